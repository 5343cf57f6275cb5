"""Paired tests: against SciPy, against numbers worked by hand, and on cases whose answer is known."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from emotion_mlflow.errors import ConfigError, DataError
from emotion_mlflow.metrics.paired import compare_sides, holm, lower_is_better
from emotion_mlflow.metrics.suite import Answers, suite


def answers(right, *, faces=None, valence=None):
    """Expression answers that are right on the faces of a (N,) bool mask, and valence where given."""
    right = np.asarray(right, bool)
    true = np.arange(len(right)) % 8
    label = np.where(right, true, (true + 1) % 8)
    probabilities = np.full((len(right), 8), 0.05)
    probabilities[np.arange(len(right)), label] = 0.65
    nothing = np.full(len(right), np.nan)
    truth = np.linspace(-1, 1, len(right))
    return Answers(
        expression_true=true,
        probabilities=probabilities,
        valence_true=nothing if valence is None else truth,
        arousal_true=nothing,
        valence=None if valence is None else truth + valence,
        landmarks_true=np.zeros((len(right), 0)),
    )


def compared(first, second, **changes):
    sides = {"a": first if isinstance(first, list) else [first], "b": second if isinstance(second, list) else [second]}
    return compare_sides(sides, **{"seed": 1, "groups": None, "resamples": 2000, **changes})


def accuracy(paired):
    return paired.tests["a", "b"]["expression/accuracy"]


def test_holm_steps_down_as_worked_by_hand():
    # ranks: .01 x 4 = .04; .02 x 3 = .06; .03 x 2 = .06; .04 x 1 = .04, never below the one before: .06
    assert holm({"a": 0.02, "b": 0.01, "c": 0.04, "d": 0.03}) == pytest.approx(
        {"a": 0.06, "b": 0.04, "c": 0.06, "d": 0.06}
    )


def test_holm_does_not_count_what_could_not_be_tested():
    corrected = holm({"a": 0.02, "b": math.nan})
    assert corrected["a"] == pytest.approx(0.02)
    assert math.isnan(corrected["b"])


def test_holm_never_passes_one():
    assert holm({"a": 0.7, "b": 0.8}) == {"a": 1.0, "b": 1.0}


@pytest.mark.parametrize(
    ("name", "lower"), [("valence/rmse", True), ("ece", True), ("landmarks/nme_box", True), ("valence/ccc", False)]
)
def test_metrics_know_their_better_end(name, lower):
    assert lower_is_better(name) is lower


def test_the_permutation_p_of_accuracy_is_the_sign_test_s():
    # 20 faces where only a is right, 8 where only b is; all others alike: p = 2 P(X >= 20), X ~ Binomial(28, 1/2)
    both, ours, theirs = np.ones(72), np.r_[np.ones(20), np.zeros(8)], np.r_[np.zeros(20), np.ones(8)]
    paired = compared(answers(np.r_[both, ours]), answers(np.r_[both, theirs]), resamples=10_000)
    expected = stats.binomtest(20, 28).pvalue
    assert expected == pytest.approx(0.0357, abs=1e-4)
    assert accuracy(paired).p == pytest.approx(expected, abs=0.006)


def wrongly_sure(rng, by, *, faces=1000):
    """Right more often (`by` above 0) or less often than its confidence says: an ECE of about |by|."""
    confidence = rng.uniform(0.35, 0.85, faces)
    right = rng.random(faces) < confidence + by
    true = np.arange(faces) % 8
    label = np.where(right, true, (true + 1) % 8)
    probabilities = np.repeat((1 - confidence[:, None]) / 7, 8, axis=1)
    probabilities[np.arange(faces), label] = confidence
    return replace(answers(right), probabilities=probabilities)


def test_opposite_miscalibrations_of_the_same_size_are_not_told_apart_by_permutations_alone(monkeypatch):
    """Mixing the answers of the two cures both, so that hardly a permutation has so large a difference of ECE."""
    rng = np.random.default_rng(5)
    first, second = wrongly_sure(rng, -0.12), wrongly_sure(rng, 0.12)
    paired = compared(first, second)
    assert paired.tests["a", "b"]["expression/ece"].p > 0.08
    assert paired.winners["expression/ece"] is None
    monkeypatch.setattr("emotion_mlflow.metrics.paired._bootstrap_p", lambda difference, draws: 0.0)
    assert compared(first, second).tests["a", "b"]["expression/ece"].p < 0.05  # so the bootstrap decided above


def test_a_figure_that_most_resamples_lack_has_no_p():
    true, one_face_each = np.zeros(80, int), np.r_[0, 1, np.zeros(78, int)]
    probabilities = np.random.default_rng(0).dirichlet(np.ones(8), (2, 80))
    first, second = (
        replace(answers(np.ones(80)), expression_true=true + one_face_each, probabilities=each)
        for each in probabilities
    )
    test = compared(first, second).tests["a", "b"]["expression/roc_auc"]
    assert np.isnan(test.p)


def test_the_difference_is_first_minus_second_with_its_interval_around_it():
    right = np.arange(400) % 10
    test = accuracy(compared(answers(right < 8), answers(right < 6)))
    assert test.difference == pytest.approx(0.2)
    assert test.low < test.lowest < 0.2 < test.highest < test.high
    # normal theory: sd of the difference of 20 % discordant pairs is sqrt(.2 - .04) / sqrt(400) = .02
    assert (test.high - test.low) / 2 == pytest.approx(1.96 * 0.02, rel=0.1)


def test_values_are_the_suite_s():
    one, two = answers(np.arange(80) % 4 > 0), answers(np.arange(80) % 4 > 1)
    paired = compared(one, two)
    assert {name: each.value for name, each in paired.values["a"].items()} == pytest.approx(suite(one), nan_ok=True)


def test_the_same_model_twice_has_p_one_and_no_winner():
    one = answers(np.arange(80) % 4 > 0)
    paired = compared(one, one)
    assert (accuracy(paired).difference, accuracy(paired).p) == (0.0, 1.0)
    assert set(paired.winners.values()) == {None}


def test_a_winner_of_a_lower_is_better_metric_is_the_lower_one():
    right, noise = np.arange(200) % 4 > 0, np.random.default_rng(0).normal(size=200)
    near, far = answers(right, valence=0.05 * noise), answers(right, valence=0.4 * noise)
    winners = compared(far, near).winners
    assert winners["valence/rmse"] == "b"
    assert winners["expression/accuracy"] is None


def test_only_primary_metrics_are_corrected_and_can_win():
    paired = compared(answers(np.arange(200) % 10 < 9), answers(np.arange(200) % 10 < 3))
    tests = paired.tests["a", "b"]
    assert set(paired.winners) == {"expression/accuracy", "expression/macro_f1", "expression/ece"}
    assert math.isnan(tests["expression/kappa"].p_corrected)
    assert tests["expression/accuracy"].p_corrected == pytest.approx(
        min(1, 3 * tests["expression/accuracy"].p), rel=0.01
    )


def test_faces_of_one_person_are_swapped_together():
    # a wins on all 40 pictures of 2 people: alone a clear case, but 2 groups have only 4 swaps, 2 of them as extreme
    first, second = answers(np.ones(40)), answers(np.zeros(40))
    people = np.array(["p", "q"])[np.arange(40) % 2]
    assert accuracy(compared(first, second)).p < 0.001
    assert accuracy(compared(first, second, groups=people)).p == pytest.approx(0.5, abs=0.05)


def test_the_numbers_do_not_depend_on_the_threads():
    rng = np.random.default_rng(3)
    one, two = answers(rng.random(300) < 0.7), answers(rng.random(300) < 0.6)
    assert repr(compared(one, two, workers=1)) == repr(compared(one, two, workers=3))  # by value, NaN too


def test_fewer_than_three_seeds_on_a_side_compare_as_many_versions_of_each():
    rng = np.random.default_rng(3)
    models = [answers(rng.random(100) < 0.6) for _ in range(5)]
    paired = compared(models[:3], models[3:])
    assert (paired.kind, paired.used) == ("versions", {"a": 2, "b": 2})
    mean = np.mean([suite(one)["expression/accuracy"] for one in models[:2]])
    assert paired.values["a"]["expression/accuracy"].value == pytest.approx(mean)


def test_three_seeds_on_both_sides_are_tested_as_welch_does_where_the_faces_are_many():
    # seed accuracies .60 .62 .64 and .50 .51 .53 on 4,000 faces: seed variance as in Welch's t test, faces' beside it
    faces = 4000

    def model(share, seed):
        right = np.zeros(faces, bool)
        right[np.random.default_rng(seed).permutation(faces)[: int(share * faces)]] = True
        return answers(right)

    first = [model(share, n) for n, share in enumerate((0.60, 0.62, 0.64))]
    second = [model(share, n + 9) for n, share in enumerate((0.50, 0.51, 0.53))]
    test = accuracy(compared(first, second, resamples=500))
    assert test.difference == pytest.approx(0.62 - 0.51333, abs=1e-4)
    seeds = 0.0004 / 3 + 0.000233333 / 3
    parts = [0.0004 / 3, 0.000233333 / 3, 2 * 0.24 / 3 / faces]
    freedom = sum(parts) ** 2 / (parts[0] ** 2 / 2 + parts[1] ** 2 / 2 + parts[2] ** 2 / (faces - 1))
    expected = 2 * stats.t.sf(test.difference / math.sqrt(seeds + parts[2]), freedom)
    assert test.p == pytest.approx(expected, rel=0.15)


def test_seeds_that_scatter_more_than_the_sides_differ_name_no_winner():
    shares = ((0.75, 0.55, 0.65), (0.70, 0.50, 0.60))
    rng = np.random.default_rng(1)
    first, second = ([answers(rng.random(2000) < share) for share in side] for side in shares)
    assert set(compared(first, second, resamples=300).winners.values()) == {None}


def test_with_three_sides_a_winner_beats_each_of_the_others():
    right = np.arange(300) % 10
    sides = {name: [answers(right < share)] for name, share in (("a", 2), ("b", 5), ("c", 9))}
    paired = compare_sides(sides, seed=1, groups=None, resamples=1000)
    assert paired.winners["expression/accuracy"] == "c"
    assert paired.best["expression/accuracy"] == ("b", "c")


def test_a_runner_up_as_good_as_the_best_leaves_no_winner():
    right = np.arange(300) % 10
    sides = {name: [answers(right < share)] for name, share in (("a", 2), ("b", 9), ("c", 9))}
    assert compare_sides(sides, seed=1, groups=None, resamples=1000).winners["expression/accuracy"] is None


def test_other_truths_are_refused():
    one = answers(np.ones(16))
    two = replace(one, expression_true=one.expression_true[::-1])
    with pytest.raises(DataError, match="the same faces in the same order"):
        compared(one, two)


def test_one_side_is_no_comparison():
    with pytest.raises(ConfigError, match="two or more sides"):
        compare_sides({"a": [answers(np.ones(16))]}, seed=1, groups=None)
