"""The lines of a comparison: what a figure of several versions is, and how its label says it."""

import pytest

from emotion_mlflow.comparison.assemble import assemble
from emotion_mlflow.comparison.values import Cell

LATENCY = {"cost/latency_ms": 20.0, "cost/latency_ms_low": 18.0, "cost/latency_ms_high": 25.0}


@pytest.fixture(scope="module")
def compared(material):
    """Of so many versions a side; the n-th takes 10 n ms, but for a lone one, which has quartiles."""
    import datetime

    def make(*counts):
        sides = {}
        for place, (name, count) in enumerate(zip(("resnet50", "efficientnetb0"), counts, strict=True)):
            metrics = LATENCY if count == 1 else {}
            sides[name] = [material(n + 1, name, seed=n + 10 * place, metrics=metrics) for n in range(count)]
        now = datetime.datetime(2026, 11, 25, tzinfo=datetime.UTC)
        return assemble(sides, repeats={"latency": 30, "throughput": 5}, now=now, resamples=100)

    return make


def test_the_latency_of_one_version_is_a_median_with_quartiles_and_says_so(compared):
    row = compared(1, 1).row("latency_ms")
    assert row.label == "Latency of one picture (ms, median of 30 with quartiles)"
    assert row.values["resnet50"] == Cell(value=20.0, low=18.0, high=25.0, bounds="quartiles")


def test_the_latency_of_three_versions_is_a_mean_of_medians_with_the_range_and_says_so(compared):
    comparison = compared(3, 3)
    row = comparison.row("latency_ms")
    assert row.label == "Latency of one picture (ms, mean of 3 versions' medians of 30)"
    assert row.values["resnet50"] == Cell(value=20.0, low=10.0, high=30.0, bounds="range")
    assert comparison.row("parameters").values["resnet50"].bounds == "range"


def test_figures_on_test_faces_have_intervals_and_those_of_one_version_elsewhere_nothing(compared):
    comparison = compared(1, 1)
    assert comparison.row("test/valence/ccc").values["resnet50"].bounds == "interval95"
    assert comparison.row("test/expression/f1_fear").values["resnet50"].bounds == "interval95"
    assert comparison.row("val/valence/ccc").values["resnet50"].bounds is None


def test_what_a_version_did_not_log_leaves_its_side_empty(compared):
    comparison = compared(1, 1)
    assert comparison.row("images_per_second_batch32") is None  # nobody logged it


def test_epochs_are_neither_better_nor_worse(compared):
    found = compared(1, 1)
    listed = {row.metric: row.better for row in found.rows}
    assert (listed["epochs"], listed["best_epoch"], listed["latency_ms"]) == ("", "", "lower")
