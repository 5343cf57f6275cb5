import pytest

from emotion_mlflow.comparison.choice import candidate, choose
from emotion_mlflow.errors import ModelError

BOTH = ("resnet50", "efficientnetb0")
TAGS = {
    "backbone": "resnet50",
    "recipe": "probe",
    "rng_seed": "3",
    "config_digest": "c1",
    "selected_on_test": "false",
    "test_digest": "aaaa",
    "tasks": "expression",
    "selection_score": "0.25",
}


def names(choice):
    return {side: [one.name for one in versions] for side, versions in choice.sides.items()}


def test_a_version_without_our_tags_is_no_candidate():
    assert candidate(name="emotion/1", number=1, run_id="r", tags={"backbone": "resnet50"}) is None


def test_a_candidate_is_read_from_tags_alone():
    one = candidate(name="emotion/1", number=1, run_id="r", tags=TAGS)
    assert (one.backbone, one.rng_seed, one.selected_on_test, one.selection_score) == ("resnet50", 3, False, 0.25)


def test_the_newest_group_that_holds_every_backbone_is_taken(version):
    known = [version(1, "resnet50"), version(2, "efficientnetb0"), version(3, "resnet50", test_digest="bbbb")]
    choice = choose(known, backbones=BOTH)
    assert names(choice) == {"resnet50": ["emotion/1"], "efficientnetb0": ["emotion/2"]}


def test_other_groups_are_listed_with_the_flag_that_picks_them(version):
    known = [version(1, "resnet50"), version(2, "efficientnetb0"), version(3, "resnet50", test_digest="bbbb")]
    (line,) = choose(known, backbones=BOTH).other_groups
    assert "1 versions of resnet50" in line
    assert line.endswith("(--test-digest bbbb)")


def test_the_flag_picks_an_older_group(version):
    known = [
        version(n, name, test_digest=digest) for digest, n in (("aa", 1), ("bb", 3)) for n, name in enumerate(BOTH, n)
    ]
    assert names(choose(known, backbones=BOTH))["resnet50"] == ["emotion/3"]
    assert names(choose(known, backbones=BOTH, test_digest="a"))["resnet50"] == ["emotion/1"]


def test_versions_for_other_tasks_are_another_group(version):
    known = [version(1, "resnet50"), version(2, "efficientnetb0"), version(3, "resnet50", tasks="expression")]
    assert names(choose(known, backbones=BOTH))["resnet50"] == ["emotion/1"]


def test_seeds_of_one_configuration_are_pooled_best_validated_first(version):
    known = [version(n, "resnet50", rng_seed=n, selection_score=0.4 + n / 100) for n in (1, 2, 3)]
    known.append(version(4, "efficientnetb0"))
    assert names(choose(known, backbones=BOTH))["resnet50"] == ["emotion/3", "emotion/2", "emotion/1"]


def test_the_configuration_with_the_best_mean_wins_not_the_one_with_the_best_seed(version):
    # c1: .50 and .50, mean .50; c2: .60 and .30, mean .45
    scores = [("c1", 1, 0.5), ("c1", 2, 0.5), ("c2", 1, 0.6), ("c2", 2, 0.3)]
    known = [
        version(n, "resnet50", config_digest=digest, rng_seed=seed, selection_score=score)
        for n, (digest, seed, score) in enumerate(scores, 1)
    ]
    known.append(version(9, "efficientnetb0"))
    assert names(choose(known, backbones=BOTH))["resnet50"] == ["emotion/1", "emotion/2"]


def test_a_seed_trained_twice_counts_once_the_newer_one(version):
    known = [version(1, "resnet50"), version(2, "resnet50"), version(3, "efficientnetb0")]
    assert names(choose(known, backbones=BOTH))["resnet50"] == ["emotion/2"]


def test_versions_selected_on_the_test_faces_take_part_by_their_recipe_only(version):
    clean = [version(n, name) for n, name in enumerate(BOTH, 1)]
    cheat = [version(n, name, recipe="published", selected_on_test=True) for n, name in enumerate(BOTH, 3)]
    assert names(choose(clean + cheat, backbones=BOTH))["resnet50"] == ["emotion/1"]
    assert names(choose(clean + cheat, backbones=BOTH, recipe="published"))["resnet50"] == ["emotion/3"]


def test_what_is_missing_is_told_with_the_training_that_makes_it(version):
    with pytest.raises(ModelError, match="emotion-mlflow train --backbone efficientnetb0 --recipe probe --data faces"):
        choose([version(1, "resnet50")], backbones=BOTH)


def test_an_empty_registry_names_the_first_training(version):
    with pytest.raises(ModelError, match="got none of resnet50, efficientnetb0"):
        choose([], backbones=BOTH)
