"""What is compared, and what a reader is warned of."""

import pytest

from emotion_mlflow.comparison.sides import describe, warnings

BOTH = {"resnet50": 1, "efficientnetb0": 1}


def told(materials):
    return " | ".join(warnings(materials, used={name: len(versions) for name, versions in materials.items()}))


def test_a_side_names_its_versions_in_order_and_the_mean_of_their_scores(material):
    versions = [
        material(4, "resnet50", seed=1, selection_score=0.4),
        material(2, "resnet50", seed=2, selection_score=0.6),
    ]
    side = describe("resnet50", versions, used=1)
    assert (side.versions, side.seeds, side.used) == (("emotion/4", "emotion/2"), (1, 2), 1)
    assert side.selection_score == pytest.approx(0.5)


def test_one_backbone_on_both_sides_is_not_called_confounded_with_itself(material):
    changed = {"recipe": "improved", "training.learning_rate": "0.1"}
    sides = {"a": [material(1, "resnet50")], "b": [material(2, "resnet50", recipe="improved", params=changed)]}
    assert "confounded" not in told(sides)
    assert "several settings differ at once: recipe, training.learning_rate" in told(sides)


@pytest.mark.parametrize(
    ("params", "warned"),
    [
        ({"machine/name": "a"}, True),
        ({"machine/cpu": "another"}, True),
        ({"machine/device": "GPU:0"}, True),
        ({}, False),
    ],
)
def test_timings_of_different_machines_are_warned_of(material, params, warned):
    here = {"machine/platform": "Linux", "machine/device": "CPU"}
    sides = {
        "resnet50": [material(1, "resnet50", params=here)],
        "efficientnetb0": [material(2, "efficientnetb0", params=here | params)],
    }
    assert ("timings come from different machines" in told(sides)) is warned


def test_test_faces_that_chose_epochs_dirty_code_and_leaks_are_warned_of(material):
    sides = {
        "resnet50": [material(1, "resnet50", selected_on_test=True, params={"git/dirty": "true"})],
        "efficientnetb0": [material(2, "efficientnetb0", metrics={"data/leaks": 3.0})],
    }
    assert "emotion/1: epochs were chosen on the test faces" in told(sides)
    assert "emotion/1: trained from code with changes that no commit holds" in told(sides)
    assert "up to 3 held-out faces have a near-identical picture" in told(sides)
