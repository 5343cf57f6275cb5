from dataclasses import replace

import pytest

from emotion_mlflow.config import DataConfig
from emotion_mlflow.errors import ConfigError, WeightsError
from emotion_mlflow.jobs.cell import cell_digest, weights_digest_of
from emotion_mlflow.jobs.request import TrainRequest
from emotion_mlflow.scale.cells import Axes, identify, plan

BOTH = {"resnet50": "none", "mobilenetv3small": "none"}


def planned(base=None, **axes):
    whole = {"backbones": ("resnet50", "mobilenetv3small"), "recipes": ("probe", "improved"), "rng_seeds": (1, 2, 3)}
    return plan(Axes(**(whole | axes)), base or TrainRequest(backbone="resnet50"), weights=BOTH)


def test_a_grid_is_every_backbone_with_every_recipe_value_and_seed():
    cells = planned(vary={"model.dropout": ("0.1", "0.3"), "training.weight_decay": ("0", "1e-2")})
    assert len({cell.name for cell in cells}) == len(cells) == 2 * 2 * 2 * 2 * 3


def test_the_seeds_of_one_configuration_follow_each_other():
    names = [cell.name for cell in planned(backbones=("resnet50",), rng_seeds=(7, 8))]
    assert names == [
        "resnet50 probe seed 7",
        "resnet50 probe seed 8",
        "resnet50 improved seed 7",
        "resnet50 improved seed 8",
    ]


def test_a_cell_asks_for_its_own_backbone_weights_seed_and_settings_and_for_what_all_share(tmp_path):
    file = tmp_path / "start.weights.h5"
    file.touch()
    base = TrainRequest(backbone="resnet50", data=DataConfig(limit=9), overrides={"training.epochs": 2})
    axes = Axes(backbones=("efficientnetb0",), recipes=("probe",), rng_seeds=(5,), vary={"model.dropout": ("0.1",)})
    (cell,) = plan(axes, base, weights={"efficientnetb0": str(file)})
    asked = cell.request
    assert (asked.backbone, asked.recipe, asked.weights, asked.data.limit) == ("efficientnetb0", "probe", str(file), 9)
    assert asked.overrides == {"training.epochs": 2, "model.dropout": "0.1", "training.rng_seed": 5}
    assert cell.name == "efficientnetb0 probe seed 5 model.dropout=0.1"


@pytest.mark.parametrize(
    ("axes", "words"),
    {
        "no backbone": ({"backbones": ()}, "at least one value; got none in --backbones"),
        "no recipe": ({"recipes": ()}, "at least one value; got none in --recipe"),
        "no seed": ({"rng_seeds": ()}, "at least one value; got none in --rng-seeds"),
        "no value": ({"vary": {"model.dropout": ()}}, "at least one value; got none in --vary model.dropout"),
        "a seed twice": ({"rng_seeds": (1, 2, 1)}, "each value once; got 1 twice in --rng-seeds"),
        "a value twice": ({"vary": {"model.dropout": ("0.1", "0.1")}}, "got 0.1 twice in --vary model.dropout"),
        "an unknown recipe": ({"recipes": ("probe", "magic")}, "got magic in --recipe"),
        "an unknown field": ({"vary": {"training.magic": ("1",)}}, "got training.magic in --vary"),
        "a field with a flag": (
            {"vary": {"training.rng_seed": ("1",)}},
            "--rng-seeds; got training.rng_seed in --vary",
        ),
        "a value that cannot be": ({"vary": {"training.epochs": ("2", "0")}}, "at least 1 epoch; got 0"),
        "words for a number": ({"vary": {"training.epochs": ("2", "many")}}, "a whole number; got 'many'"),
    }.values(),
)
def test_a_mistake_in_any_cell_is_told_at_once(axes, words):
    with pytest.raises(ConfigError) as told:
        planned(**axes)
    assert words in str(told.value)


def test_a_setting_that_a_flag_has_set_is_no_axis():
    base = TrainRequest(backbone="resnet50", overrides={"training.epochs": 3})
    with pytest.raises(ConfigError, match=r"nothing else sets; got training\.epochs in --vary"):
        planned(base, vary={"training.epochs": ("2", "4")})


def test_absent_weights_are_told_at_once():
    with pytest.raises(WeightsError, match=r"absent\.h5 in --weights"):
        plan(Axes(backbones=("resnet50",)), TrainRequest(backbone="resnet50"), weights={"resnet50": "absent.h5"})


def test_a_cell_s_digest_is_the_one_that_its_training_run_will_carry(manifest):
    cell = identify(planned(), manifest)[0]
    config = cell.request.config(drawn=False, labelled=manifest.tasks(), name="faces")
    weights = weights_digest_of("resnet50", "none")
    assert cell.digest == cell_digest(config, data_digest=manifest.cut_digest(), weights_digest=weights)


def test_every_cell_has_a_digest_of_its_own_and_keeps_it_whatever_its_grid(manifest):
    wide = {cell.name: cell.digest for cell in identify(planned(), manifest)}
    narrow = {cell.name: cell.digest for cell in identify(planned(recipes=("improved",), rng_seeds=(2,)), manifest)}
    assert len(set(wide.values())) == 12
    assert narrow.items() <= wide.items()


def test_other_faces_make_other_cells(manifest):
    fewer = manifest.rows(list(range(len(manifest) - 1)))
    assert {cell.digest for cell in identify(planned(), manifest)}.isdisjoint(
        cell.digest for cell in identify(planned(), fewer)
    )


@pytest.mark.parametrize("column", ["part", "split", "identity"])
def test_faces_that_would_be_cut_otherwise_make_other_cells(manifest, column):
    first = (manifest.table["id"] == "train/3").to_numpy()
    moved = replace(manifest, table=manifest.table.assign(**{column: manifest.table[column].mask(first, "val")}))
    assert {cell.digest for cell in identify(planned(), manifest)}.isdisjoint(
        cell.digest for cell in identify(planned(), moved)
    )


def test_the_faces_decide_auto_and_the_settings_are_values(manifest):
    cells = planned(backbones=("resnet50",), recipes=("auto",), rng_seeds=(0,), vary={"model.dropout": ("1e-1",)})
    (real,) = identify(cells, manifest)
    (drawn,) = identify(cells, replace(manifest, drawn=True))
    assert (real.recipe, drawn.recipe) == ("improved", "demo")
    assert real.settings == {"model.dropout": 0.1}


def test_two_cells_that_are_the_same_training_are_a_mistake(manifest):
    cells = planned(backbones=("resnet50",), recipes=("auto", "improved"), rng_seeds=(0,))
    with pytest.raises(ConfigError, match="cells that differ from resnet50 improved seed 0"):
        identify(cells, manifest)


def test_values_that_only_look_different_are_the_same_training(manifest):
    cells = planned(vary={"model.dropout": ("0.1", "1e-1")})
    with pytest.raises(ConfigError, match=r"cells that differ .* got resnet50 probe seed 1 model\.dropout=1e-1"):
        identify(cells, manifest)
