from dataclasses import replace

import numpy as np
import pytest

from emotion_mlflow.errors import DataError
from emotion_mlflow.metrics import resampling
from emotion_mlflow.metrics.resampling import ResampledSuite, count_chunks
from emotion_mlflow.metrics.suite import Answers, suite

FACES = 60


def answers(*, width=136):
    """A middling model on 60 faces, class 7 on three of them."""
    random = np.random.default_rng(4)
    true = np.r_[np.arange(FACES - 3) % 7, 7, 7, 7]
    affect = random.uniform(-1, 1, (2, FACES))
    points = random.uniform(0, 224, (FACES, width))
    probabilities = random.dirichlet(np.ones(8), FACES) + 0.3 * np.eye(8)[true]
    probabilities /= probabilities.sum(1, keepdims=True)
    return Answers(
        expression_true=true,
        probabilities=probabilities,
        valence_true=affect[0],
        arousal_true=affect[1],
        valence=0.5 * affect[0] + random.normal(scale=0.2, size=FACES),
        arousal=random.uniform(-1, 1, FACES),
        landmarks_true=points,
        landmarks=points + random.normal(scale=4, size=points.shape),
    )


def with_gaps():
    given = answers()
    expression_true, valence_true = given.expression_true.copy(), given.valence_true.copy()
    points = given.landmarks_true.copy()
    expression_true[::3], valence_true[1::4], points[::5] = -1, np.nan, np.nan
    return replace(given, expression_true=expression_true, valence_true=valence_true, landmarks_true=points)


def collapsed():
    given = answers()
    return replace(
        given,
        probabilities=np.tile([0.3, *[0.1] * 7], (FACES, 1)),
        valence=np.full(FACES, 0.1),
        arousal=np.r_[0.9, np.full(FACES - 1, 0.1)],  # constant in resamples without the first face
    )


def with_ties():
    given = answers()
    return replace(given, probabilities=given.probabilities[np.arange(FACES) // 4 * 4])


def single_precision():
    given = answers()
    names = ("probabilities", "valence", "arousal", "landmarks", "valence_true", "arousal_true")
    return replace(given, **{name: getattr(given, name).astype(np.float32) for name in names})


CASES = {
    "all labels": answers(),
    "missing labels": with_gaps(),
    "tied scores": with_ties(),
    "collapsed model": collapsed(),
    "single precision": single_precision(),
    "unknown eyes": answers(width=10),
    "two tasks": replace(answers(), probabilities=None, landmarks=None),
    "no landmark labels": replace(answers(), landmarks_true=np.zeros((FACES, 0))),
    "one class": answers().rows(np.full(FACES, 9)),
}
GROUPS = ["", *"aaab" * 5, *[f"person {face // 3}" for face in range(FACES - 21)]]


@pytest.mark.parametrize("groups", [None, GROUPS], ids=["faces", "identities"])
@pytest.mark.parametrize("case", CASES)
def test_a_resample_has_the_figures_of_the_suite_on_the_faces_drawn(case, groups):
    given = CASES[case]
    ready = ResampledSuite(given)
    for counts in count_chunks(FACES, resamples=40, seed=5, groups=groups):
        scores = ready.scores(counts)
        for column in range(counts.shape[1]):
            plain = suite(given.rows(np.repeat(np.arange(FACES), counts[:, column])))
            assert list(scores) == list(plain)
            found = [values[column] for values in scores.values()]
            assert found == pytest.approx(list(plain.values()), abs=1e-9, nan_ok=True)


def test_cases_reach_what_they_are_there_for():
    """Without these the comparison above would compare less than it says."""
    (counts,) = count_chunks(FACES, resamples=40, seed=5)
    assert (counts[-3:].sum(0) == 0).any(), "no resample lacks the rare class"
    assert (counts[0] == 0).any(), "no resample of the collapsed model is constant"
    scores = ResampledSuite(CASES["collapsed model"]).scores(counts)
    assert np.isnan(scores["arousal/corr"]).any()
    assert np.isfinite(scores["arousal/corr"]).any()
    assert np.isnan(scores["valence/corr"]).all()
    assert (scores["valence/ccc"] == 0).all()


def test_a_constant_resample_of_few_faces_is_seen_as_constant():
    """Sums of squares of .7 leave a variance of 1e-17 where there is none."""
    given = answers().rows(np.arange(5))
    given = replace(given, valence=np.array([0.1, 0.1, 0.3, 0.7, 0.7]), arousal=np.array([0.1, 0.3, 0.3, 0.7, 0.7]))
    (counts,) = count_chunks(5, resamples=600, seed=5)
    counts = counts[:, (counts[3:].sum(0) == 5) & (counts[3:] > 0).all(0)]
    assert counts.shape[1] >= 3
    scores = ResampledSuite(given).scores(counts)
    for name in ("valence", "arousal"):
        assert np.isnan(scores[f"{name}/corr"]).all()
        assert (scores[f"{name}/ccc"] == 0).all()


def test_counts_of_no_face_leave_every_figure_undefined():
    scores = ResampledSuite(answers()).scores(np.zeros((FACES, 2), np.int32))
    assert np.isnan(list(scores.values())).all()


def test_faces_may_be_swapped_between_two_models_by_counts_of_0_and_1():
    """What a permutation test does: rows of both models under each other, each face taken once."""
    one, other = CASES["all labels"], CASES["tied scores"]
    names = [name for name, value in vars(one).items() if value is not None]
    both = Answers(**{name: np.concatenate([getattr(one, name), getattr(other, name)]) for name in names})
    swapped = np.random.default_rng(0).random(FACES) < 0.5
    counts = np.r_[~swapped, swapped].astype(np.int32)[:, None]
    found = ResampledSuite(both).scores(counts)
    wanted = suite(both.rows(np.flatnonzero(counts[:, 0])))
    assert [values[0] for values in found.values()] == pytest.approx(list(wanted.values()), abs=1e-9)


def test_as_many_faces_are_drawn_as_there_are_each_as_likely_as_the_next(monkeypatch):
    monkeypatch.setattr(resampling, "CHUNK_COUNTS", 50 * 7)
    chunks = list(count_chunks(50, resamples=2000, seed=1))
    counts = np.hstack(chunks)
    assert {chunk.shape[1] for chunk in chunks[:-1]} == {7}
    assert counts.shape == (50, 2000)
    assert (counts.sum(0) == 50).all()
    # Binomial(50, 1/50): mean 1, variance .98; the mean of 2,000 has a standard error of .022
    assert counts.mean(1) == pytest.approx(np.ones(50), abs=5 * 0.0222)
    assert counts.var() == pytest.approx(0.98, abs=0.03)


def test_a_persons_faces_are_drawn_together_and_nameless_faces_alone():
    names = ["ann", "", "bob", "ann", "", "ann"]
    (counts,) = count_chunks(6, resamples=500, seed=2, groups=names)
    assert (counts[0] == counts[3]).all()
    assert (counts[0] == counts[5]).all()
    assert (counts[1] != counts[4]).any()
    assert (counts[[0, 1, 2, 4]].sum(0) == 4).all()


def test_the_same_seed_draws_the_same_faces():
    first, again, other = (next(count_chunks(30, resamples=5, seed=seed)) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_names_for_another_number_of_faces_are_refused():
    with pytest.raises(DataError, match="expected 3 group names; got 2"):
        next(count_chunks(3, resamples=1, seed=0, groups=["a", "b"]))
