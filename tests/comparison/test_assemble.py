import datetime
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from emotion_mlflow.comparison.assemble import assemble
from emotion_mlflow.comparison.sides import differing, weights_kind
from emotion_mlflow.comparison.values import NO_WINNER
from emotion_mlflow.errors import DataError
from emotion_mlflow.metrics.suite import PRIMARY
from emotion_mlflow.report.files import SCHEMA, to_json

NOW = datetime.datetime(2026, 11, 25, tzinfo=datetime.UTC)
REPEATS = {"latency": 30, "throughput": 5}


def compared(materials, **changes):
    return assemble(materials, repeats=REPEATS, now=NOW, **{"resamples": 400, **changes})


@pytest.fixture(scope="module")
def far_apart(material):
    """ResNet50 right on 90 % of 160 faces, EfficientNetB0 on 30 %."""
    sides = {
        "resnet50": [material(1, "resnet50", right=0.9)],
        "efficientnetb0": [material(2, "efficientnetb0", right=0.3, seed=5)],
    }
    return compared(sides)


def test_a_whole_comparison_is_what_the_published_schema_says(far_apart):
    answer = json.loads(to_json(far_apart))
    assert list(Draft202012Validator(json.loads(SCHEMA.read_text())).iter_errors(answer)) == []


def test_whole_people_are_swapped_where_they_are_known(material):
    """Four people have 16 swaps, two of them as far apart as what was seen: p is about 2 / 16 however many faces."""
    sides = {
        "resnet50": [material(1, "resnet50", right=0.9)],
        "efficientnetb0": [material(2, "efficientnetb0", right=0.3, seed=5)],
    }
    people = np.array([f"person{row // 40}" for row in range(160)])
    known = {name: [replace(one, identities=people) for one in versions] for name, versions in sides.items()}
    row = compared(known).row("test/expression/accuracy")
    assert row.p == pytest.approx(2 / 16, abs=0.06)
    assert row.winner == NO_WINNER


def test_of_more_seeds_than_the_other_side_has_the_lowest_are_used_not_the_best(material):
    scored = {1: 0.2, 2: 0.9, 3: 0.8}
    first = [material(n, "resnet50", seed=n, selection_score=score) for n, score in scored.items()]
    comparison = compared({"resnet50": first, "efficientnetb0": [material(9, "efficientnetb0", seed=5)]})
    side = comparison.sides[0]
    assert (side.versions[: side.used], side.used) == (("emotion/1",), 1)


@pytest.fixture(scope="module")
def alike(material):
    sides = {"resnet50": [material(1, "resnet50")], "efficientnetb0": [material(2, "efficientnetb0", seed=5)]}
    return compared(sides)


def test_a_large_difference_has_a_winner_and_names_it(far_apart):
    row = far_apart.row("test/expression/accuracy")
    assert (row.winner, row.primary) == ("resnet50", True)
    assert row.difference == pytest.approx(row.values["resnet50"].value - row.values["efficientnetb0"].value)
    assert row.low > 0


def test_equal_models_have_no_clear_winner_in_any_row(alike):
    assert {row.winner for row in alike.rows if row.primary} == {NO_WINNER}


def test_the_eight_primary_rows_are_the_ones_declared_and_no_other_row_has_a_winner(far_apart):
    primary = [f"{row.task}/{row.metric}" for row in far_apart.rows if row.primary]
    assert sorted(primary) == sorted(PRIMARY)
    assert {row.winner for row in far_apart.rows if not row.primary} == {None}


def test_rows_follow_the_published_order_and_what_it_left_out_comes_last(far_apart):
    sections = list(dict.fromkeys(row.section for row in far_apart.rows))
    assert sections == [
        "Training efficiency",
        "Losses and accuracy while training",
        "Validation faces",
        "Test faces",
        "Learning rate",
        "Not in the published report",
        "Cost",
    ]


def test_published_figures_stand_beside_ours_by_backbone(far_apart):
    assert far_apart.row("test/expression/accuracy").published == {"resnet50": 0.125, "efficientnetb0": 0.364}
    assert far_apart.row("parameters").published == {"resnet50": 25e6, "efficientnetb0": 5.3e6}


def test_per_class_f1_is_there_with_its_faces_and_interval(far_apart):
    row = far_apart.row("test/expression/f1_fear")
    assert row.label == "F1 of fear (20 faces)"
    cell = row.values["resnet50"]
    assert cell.low < cell.value < cell.high


def test_every_recommendation_carries_its_figure(far_apart, alike):
    for comparison in (far_apart, alike):
        assert comparison.recommendations
        assert all(re.search(r" \d", advice.figure) for advice in comparison.recommendations)


def test_the_better_one_is_recommended_for_what_it_is_better_at(far_apart):
    first = far_apart.recommendations[0]
    assert first.text.startswith("Choose resnet50 if ")
    assert "Expression accuracy" in first.text
    assert "test/expression/accuracy" in first.figure


def test_where_nothing_separates_them_that_is_said(alike):
    assert alike.recommendations[-1].text.startswith("No quality figure tells resnet50 and efficientnetb0 apart")


def test_one_seed_a_side_compares_versions_and_says_so(alike):
    assert alike.kind == "versions"
    assert any("fewer than 3 seeds" in warning for warning in alike.warnings)


def test_three_seeds_a_side_compare_trainings(material):
    sides = {
        name: [material(n, name, seed=n) for n in numbers]
        for name, numbers in (("resnet50", (1, 2, 3)), ("efficientnetb0", (4, 5, 6)))
    }
    comparison = compared(sides)
    assert comparison.kind == "procedures"
    assert comparison.sides[0].seeds == (1, 2, 3)
    assert not any("fewer than" in warning for warning in comparison.warnings)


def test_two_recipes_are_called_confounded(material):
    sides = {
        "resnet50": [material(1, "resnet50")],
        "efficientnetb0": [material(2, "efficientnetb0", seed=5, recipe="improved", params={"recipe": "improved"})],
    }
    comparison = compared(sides)
    assert (
        "backbone and recipe are confounded: the recipes differ (resnet50 probe, efficientnetb0 improved)"
        in comparison.warnings
    )
    assert comparison.differing["recipe"] == {"resnet50": "probe", "efficientnetb0": "improved"}


def test_one_recipe_with_another_setting_is_called_confounded_too(material):
    sides = {
        "resnet50": [material(1, "resnet50", params={"training.learning_rate": "0.001"})],
        "efficientnetb0": [material(2, "efficientnetb0", params={"training.learning_rate": "0.0001"})],
    }
    assert any("also differ in training.learning_rate" in warning for warning in compared(sides).warnings)


def test_weights_of_another_kind_and_incomplete_weights_are_warned_of(material):
    partial = {"weights": "part.weights.h5", "batch_norm_untrained": "10", "batch_norm_layers": "53"}
    sides = {"resnet50": [material(1, "resnet50", params=partial)], "efficientnetb0": [material(2, "efficientnetb0")]}
    told = " | ".join(compared(sides).warnings)
    assert "not of the same kind: resnet50 file, efficientnetb0 none" in told
    assert "10 of 53 BatchNormalization layers were never trained" in told


def test_random_weights_are_not_called_incomplete(material):
    one = material(1, "resnet50", params={"weights": "none", "batch_norm_untrained": "53", "batch_norm_layers": "53"})
    assert weights_kind(one) == "none"


def test_seed_backbone_and_place_are_no_differences(material):
    first = material(1, "resnet50", params={"model.backbone": "resnet50", "training.rng_seed": "1", "data.data": "a"})
    second = material(2, "efficientnetb0", params={"model.backbone": "x", "training.rng_seed": "2", "data.data": "b"})
    assert differing({"a": [first], "b": [second]}) == {}


def test_versions_scored_on_other_faces_are_refused_with_both_digests(material):
    sides = {"a": [material(1, "resnet50")], "b": [material(2, "resnet50", test_digest="bbbb", data_name="other")]}
    with pytest.raises(DataError, match=r"faces, test digest aaaa.*other, test digest bbbb"):
        compared(sides)


def test_answers_for_other_ids_are_refused(material):
    one, two = material(1, "resnet50"), material(2, "resnet50")
    with pytest.raises(DataError, match="got others in emotion/2"):
        compared({"a": [one], "b": [replace(two, ids=two.ids[::-1])]})


def test_only_common_tasks_are_compared(material):
    one, two = material(1, "resnet50"), material(2, "efficientnetb0")
    two = replace(two, answers=replace(two.answers, landmarks=None))
    comparison = compared({"a": [one], "b": [two]})
    assert comparison.tasks == ("expression", "valence", "arousal")
    assert comparison.row("test/landmarks/nme") is None


def test_the_faces_they_disagree_on_come_largest_gap_first(far_apart):
    gaps = [one.gap for one in far_apart.disagreements]
    assert gaps == sorted(gaps, reverse=True)
    assert len(gaps) == 12


def test_plain_values_hold_no_numpy_and_no_nan(far_apart):
    text = json.dumps(far_apart.to_dict(), allow_nan=False)
    assert json.loads(text)["models"][0]["name"] == "resnet50"


def test_three_sides_name_a_winner_only_where_it_beats_both(material):
    sides = {
        "a": [material(1, "resnet50", right=0.9)],
        "b": [material(2, "efficientnetb0", right=0.9, seed=5)],
        "c": [material(3, "mobilenetv3small", right=0.2, seed=6)],
    }
    row = compared(sides).row("test/expression/accuracy")
    assert row.winner == NO_WINNER
    assert set(row.between) == {"a", "b"}


def test_a_collapsed_side_is_to_be_avoided(material):
    one = material(1, "resnet50")
    constant = np.full((len(one.ids), 8), 0.05)
    constant[:, 0] = 0.65
    gone = replace(
        one,
        answers=replace(one.answers, probabilities=constant),
        metrics={**one.metrics, "final/test/expression/kappa": 0.0},
    )
    comparison = compared({"resnet50": [gone], "efficientnetb0": [material(2, "efficientnetb0", right=0.9)]})
    assert any(advice.text.startswith("Avoid resnet50 because it collapsed") for advice in comparison.recommendations)
