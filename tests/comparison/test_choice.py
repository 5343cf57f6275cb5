import math

import pytest

from emotion_mlflow.comparison.choice import best_validated, candidate, choose
from emotion_mlflow.errors import ConfigError, ModelError

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


def test_versions_of_another_recipe_chosen_on_the_test_faces_are_not_called_published(version):
    cheat = [version(n, name, selected_on_test=True) for n, name in enumerate(BOTH, 1)]
    with pytest.raises(ModelError, match="got none of resnet50, efficientnetb0 "):
        choose(cheat, backbones=BOTH)


def test_a_group_without_an_asked_backbone_is_listed_without_a_flag(version):
    known = [version(1, "resnet50"), version(2, "efficientnetb0"), version(3, "resnet50", test_digest="bbbb")]
    (line,) = choose(known, backbones=BOTH).other_groups
    assert line.endswith("1 versions of resnet50 (none of efficientnetb0)")


def test_the_flag_of_another_group_picks_it_though_its_faces_are_the_same(version):
    known = [version(n, name) for n, name in enumerate(BOTH, 1)]
    known += [version(n, name, tasks="expression") for n, name in enumerate(BOTH, 3)]
    choice = choose(known, backbones=BOTH)
    (line,) = choice.other_groups
    assert names(choice)["resnet50"] == ["emotion/3"]
    assert line.endswith(
        "2 versions of efficientnetb0, resnet50 (--test-digest aaaa:expression,valence,arousal,landmarks)"
    )
    flag = line.rpartition("--test-digest ")[2].removesuffix(")")
    assert names(choose(known, backbones=BOTH, test_digest=flag))["resnet50"] == ["emotion/1"]


def test_the_flag_picks_an_older_group(version):
    known = [
        version(n, name, test_digest=digest) for digest, n in (("aa", 1), ("bb", 3)) for n, name in enumerate(BOTH, n)
    ]
    assert names(choose(known, backbones=BOTH))["resnet50"] == ["emotion/3"]
    assert names(choose(known, backbones=BOTH, test_digest="a"))["resnet50"] == ["emotion/1"]


def test_versions_for_other_tasks_are_another_group(version):
    known = [version(1, "resnet50"), version(2, "efficientnetb0"), version(3, "resnet50", tasks="expression")]
    assert names(choose(known, backbones=BOTH))["resnet50"] == ["emotion/1"]


def test_seeds_of_one_configuration_are_pooled_in_their_order_not_their_scores(version):
    known = [version(n, "resnet50", rng_seed=9 - n, selection_score=0.4 + n / 100) for n in (1, 3, 2)]
    known.append(version(4, "efficientnetb0"))
    choice = choose(known, backbones=BOTH)
    assert names(choice)["resnet50"] == ["emotion/3", "emotion/2", "emotion/1"]
    assert best_validated(choice.sides["resnet50"]).name == "emotion/3"


def test_a_score_that_is_not_defined_is_no_best_one(version):
    tags = TAGS | {"selection_score": "nan"}
    broken = candidate(name="emotion/1", number=1, run_id="r", tags=tags | {"tasks": version(1, "resnet50").tasks})
    known = [broken, version(2, "resnet50", selection_score=-0.9), version(3, "efficientnetb0")]
    assert names(choose(known, backbones=BOTH))["resnet50"] == ["emotion/2"]


def test_another_score_is_asked_of_the_chosen_group_alone(version):
    asked = []

    def score(one):
        asked.append(one.name)
        return {"emotion/1": 0.2, "emotion/2": 0.3, "emotion/3": 0.1}[one.name]

    known = [version(1, "resnet50"), version(2, "resnet50", config_digest="c2"), version(3, "efficientnetb0")]
    known += [version(4, "mobilenetv3small"), version(5, "resnet50", test_digest="bbbb")]
    assert names(choose(known, backbones=BOTH, score=score))["resnet50"] == ["emotion/2"]
    assert sorted(asked) == ["emotion/1", "emotion/2", "emotion/3"]


def test_a_configuration_without_the_score_is_passed_over_and_a_backbone_without_it_told(version):
    known = [version(1, "resnet50"), version(2, "resnet50", config_digest="c2"), version(3, "efficientnetb0")]

    def lacking(*numbers):
        return lambda one: -math.inf if one.number in numbers else 0.5

    assert names(choose(known, backbones=BOTH, score=lacking(2)))["resnet50"] == ["emotion/1"]
    with pytest.raises(ConfigError, match="got none of efficientnetb0 in --metric"):
        choose(known, backbones=BOTH, score=lacking(3))


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


@pytest.mark.parametrize("recipe", ["", "probe", "published"])
def test_a_version_selected_on_the_test_faces_by_another_recipe_never_takes_part(version, recipe):
    cheat = [version(n, name, selected_on_test=True) for n, name in enumerate(BOTH, 1)]
    with pytest.raises(ModelError):
        choose(cheat, backbones=BOTH, recipe=recipe)


def test_where_only_published_ones_are_there_that_is_said(version):
    cheat = [version(n, name, recipe="published", selected_on_test=True) for n, name in enumerate(BOTH, 1)]
    with pytest.raises(ModelError, match=r"but those chosen on the test faces \(--recipe published\)"):
        choose(cheat, backbones=BOTH)


def test_what_is_missing_is_told_with_the_training_that_makes_it(version):
    words = "got none of efficientnetb0 .try: emotion-mlflow train --backbone efficientnetb0 --recipe probe --limit 9"
    with pytest.raises(ModelError, match=words):
        choose([version(1, "resnet50")], backbones=BOTH, flags=lambda one: " --limit 9")


def test_backbones_that_were_scored_on_different_faces_are_told_so(version):
    known = [version(1, "resnet50"), version(2, "efficientnetb0", test_digest="bbbb", tasks="expression")]
    with pytest.raises(
        ModelError, match=r"got efficientnetb0 on bbbb:expression; resnet50 on aaaa:expression,valence"
    ) as told:
        choose(known, backbones=BOTH)
    assert "train --backbone resnet50 " in str(told.value)


def test_a_digest_that_no_version_has_is_told_with_those_there_are(version):
    with pytest.raises(ModelError, match=r"\(aaaa:expression,valence,arousal,landmarks\); got zz in --test-digest"):
        choose([version(1, "resnet50")], backbones=BOTH, test_digest="zz")


def test_an_empty_registry_names_the_first_training(version):
    with pytest.raises(ModelError, match="got none of resnet50, efficientnetb0"):
        choose([], backbones=BOTH)
