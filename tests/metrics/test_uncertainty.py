from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from emotion_mlflow.errors import ConfigError
from emotion_mlflow.metrics import affect
from emotion_mlflow.metrics.suite import Answers, suite
from emotion_mlflow.metrics.uncertainty import Interval, bootstrap, bootstrap_draws, interval, seed_of


def answers(faces, *, right=0.6):
    """A model of known accuracy and of valence a little off; no other task."""
    random = np.random.default_rng(0)
    true = np.arange(faces) % 8
    predicted = np.where(np.arange(faces) < right * faces, true, (true + 1) % 8)
    valence = random.uniform(-1, 1, faces)
    return Answers(
        expression_true=true,
        probabilities=0.6 * np.eye(8)[predicted] + 0.05,
        valence_true=valence,
        arousal_true=np.full(faces, np.nan),
        valence=0.7 * valence + random.normal(scale=0.3, size=faces),
        landmarks_true=np.zeros((faces, 0)),
    )


def test_every_figure_has_an_interval_in_the_order_of_the_suite():
    given = answers(80)
    intervals = bootstrap(given, resamples=50, seed=1)
    assert list(intervals) == list(suite(given))


def test_the_interval_of_an_accuracy_is_that_of_the_binomial():
    low, high = stats.binom(400, 0.6).ppf([0.025, 0.975]) / 400  # .5525 and .6475
    found = bootstrap(answers(400), seed=1)["expression/accuracy"]
    assert found.low == pytest.approx(low, abs=0.006)
    assert found.high == pytest.approx(high, abs=0.006)


def test_intervals_of_concordance_are_those_of_scipys_bootstrap():
    given = answers(150)
    theirs = stats.bootstrap(
        (given.valence_true, given.valence), affect.ccc, paired=True, vectorized=False, method="percentile",
        n_resamples=2000, rng=np.random.default_rng(3),
    ).confidence_interval  # fmt: skip
    ours = bootstrap(given, resamples=4000, seed=1)["valence/ccc"]
    # the interval is .11 wide; each end's Monte-Carlo error is about .002
    assert (ours.low, ours.high) == pytest.approx(tuple(theirs), abs=0.01)


def test_four_copies_of_each_face_are_no_news_once_they_are_one_identity():
    given = answers(200)
    copied = given.rows(np.repeat(np.arange(200), 4))
    people = np.repeat([f"person {face}" for face in range(200)], 4)
    alone = bootstrap(given, seed=1)["valence/rmse"]
    pooled = bootstrap(copied, seed=1)["valence/rmse"]
    grouped = bootstrap(copied, seed=1, groups=people)["valence/rmse"]
    width = alone.high - alone.low
    assert grouped.high - grouped.low == pytest.approx(width, rel=0.1)
    assert pooled.high - pooled.low == pytest.approx(width / 2, rel=0.1)


def test_more_confidence_means_a_wider_interval():
    given = answers(80)
    wide, narrow = (bootstrap(given, seed=1, resamples=500, confidence=c)["valence/ccc"] for c in (0.99, 0.5))
    assert wide.low < narrow.low < narrow.high < wide.high


def test_the_same_seed_gives_the_same_intervals_to_the_last_bit():
    given = answers(60)
    assert bootstrap(given, resamples=50, seed=9) == bootstrap(given, resamples=50, seed=9)
    assert bootstrap(given, resamples=50, seed=9) != bootstrap(given, resamples=50, seed=8)


def test_resamples_without_a_rare_class_are_left_out_and_counted():
    given = answers(80)
    rare = given.rows((given.expression_true < 7) | (np.arange(80) < 8))  # one face of the last class
    draws = bootstrap_draws(rare, resamples=400, seed=1)["expression/roc_auc"]
    missing = int(np.isnan(draws).sum())
    found = bootstrap(rare, resamples=400, seed=1)["expression/roc_auc"]
    assert 0.3 < missing / 400 < 0.45  # (1 - 1/71)^71 = .365
    assert found.undefined == missing
    assert found.low == pytest.approx(np.nanquantile(draws, 0.025))


def test_a_figure_undefined_on_most_resamples_has_no_interval():
    draws = np.array([0.1, np.nan, np.nan])
    assert np.isnan(interval(draws, 0.1).low)
    assert interval(draws, 0.1).undefined == 2


def test_a_figure_undefined_on_the_sample_has_no_interval():
    constant = replace(answers(40), valence=np.full(40, 0.2))
    intervals = bootstrap(constant, resamples=50, seed=1)
    assert np.isnan(intervals["valence/corr"].low)
    assert intervals["valence/ccc"] == Interval(0.0, 0.0)


def test_no_faces_have_no_intervals():
    intervals = bootstrap(answers(8).rows(np.zeros(0, int)), resamples=10, seed=1)
    assert np.isnan([found.low for found in intervals.values()]).all()
    assert "valence/ccc" in intervals


@pytest.mark.parametrize("setting", [{"resamples": 0}, {"confidence": 1.0}, {"confidence": 95}])
def test_impossible_settings_are_refused(setting):
    with pytest.raises(ConfigError, match="1 or more resamples and a confidence between 0 and 1"):
        bootstrap(answers(8), seed=1, **setting)


def test_the_seed_depends_on_the_test_faces_alone():
    # sha256("bootstrap abc"), its first 16 hex digits
    assert seed_of("abc") == 0x2879724C6033569F
    assert seed_of("abc") != seed_of("abd")
