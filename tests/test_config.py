import subprocess
import sys
import typing

import pytest

from emotion_mlflow.config import (
    SECTIONS,
    AugmentConfig,
    DataConfig,
    ModelConfig,
    RunConfig,
    TrainingConfig,
    as_dict,
    field_names,
)
from emotion_mlflow.errors import ConfigError
from emotion_mlflow.models.facts import BACKBONES
from emotion_mlflow.recipes import RECIPES

NOT_IN_DIGEST = ("data.data", "data.data_format", "data.max_rejected", "model.weights", "training.rng_seed")


def other_value(config, name):
    """A possible value that differs from the config's own."""
    section, key = name.split(".")
    value = getattr(getattr(config, section), key)
    kind = typing.get_type_hints(SECTIONS[section])[key]
    if typing.get_origin(kind) is typing.Literal:
        return next(choice for choice in typing.get_args(kind) if choice != value)
    if name == "training.early_stopping":
        return "val/loss"
    if name == "model.backbone":
        return "mobilenetv3small" if value != "mobilenetv3small" else "resnet50"
    if isinstance(value, tuple):
        return ("expression",) if name == "model.tasks" else (0.5, 1.75)
    if isinstance(value, bool):
        return not value
    return {int: lambda: value + 1, float: lambda: value / 3 + 0.1, str: lambda: f"{value}-other"}[type(value)]()


def plain(name):
    """A config in which the setting `name` may have another value; components are of a frozen backbone alone."""
    return RunConfig(recipe="plain", model=ModelConfig(train_backbone=name != "model.components"))


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("recipe", RECIPES)
def test_what_to_params_writes_from_params_reads_back(recipe, backbone):
    config = RECIPES[recipe](backbone)
    params = config.to_params()
    assert all(isinstance(value, str) for value in params.values())
    assert list(params) == ["recipe", *field_names()]
    assert RunConfig.from_params(params) == config


@pytest.mark.parametrize("name", field_names())
def test_every_field_survives_being_written_and_read(name):
    config = plain(name)
    changed = config.override({name: other_value(config, name)})
    assert changed != config
    assert RunConfig.from_params(changed.to_params()) == changed


@pytest.mark.parametrize("name", field_names())
def test_the_digest_changes_with_every_field_but_seed_names_and_paths(name):
    config = plain(name)
    changed = config.override({name: other_value(config, name)})
    digests = [each.digest(training_data="faces", weights="none") for each in (config, changed)]
    assert (digests[0] == digests[1]) is (name in NOT_IN_DIGEST)


def test_the_recipes_name_alone_makes_no_other_configuration():
    digests = {RunConfig(recipe=name).digest(training_data="faces", weights="none") for name in ("plain", "fancy")}
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model.tasks": "valence", "training.early_stopping": "val/expression/accuracy"}, "one of val/loss, "),
        (
            {"training.early_stopping": "val/expression/accurcy"},
            "got val/expression/accurcy in training.early_stopping",
        ),
        ({"model.train_backbone": "false", "augment.rotation": "5"}, "expected flip alone, as features are cached"),
    ],
    ids=["a column of a task not learnt", "a column that is none", "features that cannot be turned"],
)
def test_settings_that_contradict_each_other_are_refused_at_once(changes, message):
    with pytest.raises(ConfigError, match=message):
        RunConfig(recipe="plain").override(changes)


def test_tasks_in_another_order_are_the_same_configuration():
    swapped = RunConfig(recipe="plain").override({"model.tasks": "arousal,expression,arousal"})
    assert swapped.model.tasks == ("expression", "arousal")


def test_the_digest_changes_with_training_faces_and_starting_weights():
    config = RECIPES["improved"]("resnet50")
    digests = {config.digest(training_data=data, weights=weights) for data in "ab" for weights in "ab"}
    assert len(digests) == 4
    assert all(len(digest) == 32 and int(digest, 16) >= 0 for digest in digests)


@pytest.mark.parametrize(
    ("name", "typed", "value"),
    [
        pytest.param("training.epochs", " 7 ", 7, id="whole number"),
        pytest.param("training.learning_rate", "1e-3", 0.001, id="float"),
        pytest.param("data.drop_leaks", "True", True, id="true"),
        pytest.param("data.drop_leaks", "false", False, id="false"),
        pytest.param("model.weights", "some/file.weights.h5", "some/file.weights.h5", id="text"),
        pytest.param("training.optimizer", "sgd", "sgd", id="choice"),
        pytest.param("model.tasks", "expression, landmarks", ("expression", "landmarks"), id="many words"),
        pytest.param("augment.contrast", "(0.5,1.5)", (0.5, 1.5), id="pair in brackets"),
        pytest.param("augment.contrast", "0.5,1.5", (0.5, 1.5), id="pair"),
    ],
)
def test_an_override_is_read_from_what_a_user_types(name, typed, value):
    section, key = name.split(".")
    changed = RECIPES["improved"]("resnet50").override({name: typed})
    read = getattr(getattr(changed, section), key)
    assert read == value
    assert type(read) is type(value)


def test_an_override_leaves_all_else_as_it_was():
    config = RECIPES["improved"]("resnet50")
    changed = config.override({"training.epochs": "7", "model.dropout": 0.5}).to_params()
    differing = {name: value for name, value in changed.items() if value != config.to_params()[name]}
    assert differing == {"training.epochs": "7", "model.dropout": "0.5"}


@pytest.mark.parametrize(
    ("name", "typed", "words"),
    [
        ("training.epochs", "2.5", "expected a whole number; got '2.5' in training.epochs"),
        ("training.epochs", "", "expected a whole number; got '' in training.epochs"),
        ("training.learning_rate", "fast", "expected a finite number; got 'fast' in training.learning_rate"),
        ("training.learning_rate", "inf", "expected a finite number; got 'inf' in training.learning_rate"),
        ("training.learning_rate", "nan", "expected a finite number; got 'nan' in training.learning_rate"),
        ("data.drop_leaks", "yes", "expected true or false; got 'yes' in data.drop_leaks"),
        ("training.optimizer", "lion", "expected one of adam, adamw, sgd; got 'lion' in training.optimizer"),
        ("augment.contrast", "0.8", "expected values with a comma between them; got '0.8' in augment.contrast"),
        ("augment.contrast", "a,b", "expected values with a comma between them; got 'a,b' in augment.contrast"),
    ],
)
def test_an_override_of_another_type_is_refused_in_one_line(name, typed, words):
    with pytest.raises(ConfigError) as caught:
        RECIPES["improved"]("resnet50").override({name: typed})
    assert str(caught.value) == words


@pytest.mark.parametrize("name", ["training.epoch", "trainings.epochs", "epochs", "recipe", "model.", ""])
def test_a_wrong_name_lists_the_right_ones(name):
    with pytest.raises(ConfigError) as caught:
        RECIPES["improved"]("resnet50").override({name: "1"})
    assert all(right in str(caught.value) for right in field_names())
    assert str(caught.value).endswith(f"got {name} in --set" if name else "got in --set")


@pytest.mark.parametrize(
    ("kind", "field", "value", "words"),
    [
        (DataConfig, "limit", -1, "expected a number of faces of at least 0; got -1 in data.limit"),
        (DataConfig, "max_rejected", 1.5, "expected a share from 0 to 1; got 1.5 in data.max_rejected"),
        (
            ModelConfig,
            "tasks",
            ("age",),
            "expected tasks of expression, valence, arousal, landmarks; got age in tasks",
        ),
        (ModelConfig, "tasks", (), "expected tasks of expression, valence, arousal, landmarks; got in tasks"),
        (ModelConfig, "image_size", 31, "expected an image size of 32 to 1024 pixels; got 31 in image_size"),
        (ModelConfig, "image_size", 1025, "expected an image size of 32 to 1024 pixels; got 1025 in image_size"),
        (ModelConfig, "components", -1, "expected a number of at least 0; got -1 in model.components"),
        (ModelConfig, "components", 8, "expected 0 where the backbone is trained; got 8 in model.components"),
        (ModelConfig, "dropout", 1.0, "expected a share from 0 to below 1; got 1.0 in model.dropout"),
        (
            ModelConfig,
            "batch_norm_momentum",
            1.0,
            "expected a momentum between 0 and 1; got 1.0 in model.batch_norm_momentum",
        ),
        (AugmentConfig, "flip", 1.1, "expected a share from 0 to 1; got 1.1 in augment.flip"),
        (AugmentConfig, "erase", -0.1, "expected a share from 0 to 1; got -0.1 in augment.erase"),
        (AugmentConfig, "contrast", (1.2, 0.8), "expected low,high above 0; got (1.2, 0.8) in augment.contrast"),
        (AugmentConfig, "rotation", -1.0, "expected a number of at least 0; got -1.0 in augment.rotation"),
        (AugmentConfig, "noise", float("nan"), "expected a number of at least 0; got nan in augment.noise"),
        (TrainingConfig, "epochs", 0, "expected at least 1 epoch; got 0 in epochs"),
        (TrainingConfig, "warmup_epochs", 11, "expected 0 to all epochs; got 11 in training.warmup_epochs"),
        (TrainingConfig, "batch_size", 0, "expected a batch of at least 1 face; got 0 in batch_size"),
        (TrainingConfig, "learning_rate", 0.0, "expected a learning rate between 0 and 10; got 0.0 in learning_rate"),
        (
            TrainingConfig,
            "label_smoothing",
            1.0,
            "expected a share from 0 to below 1; got 1.0 in training.label_smoothing",
        ),
        (TrainingConfig, "patience", -1, "expected a number of epochs of at least 0; got -1 in training.patience"),
        (
            TrainingConfig,
            "valence_weight",
            -0.5,
            "expected a weight of at least 0; got -0.5 in training.valence_weight",
        ),
        (
            TrainingConfig,
            "weight_decay",
            -1.0,
            "expected a number of at least 0; got -1.0 in training.weight_decay",
        ),
        (TrainingConfig, "clip_norm", -1.0, "expected a number of at least 0; got -1.0 in training.clip_norm"),
        (
            TrainingConfig,
            "plateau_factor",
            1.0,
            "expected a factor between 0 and 1; got 1.0 in training.plateau_factor",
        ),
        (
            TrainingConfig,
            "plateau_patience",
            0,
            "expected a number of epochs of at least 1; got 0 in training.plateau_patience",
        ),
    ],
)
def test_an_impossible_value_is_refused_at_once_and_told_in_one_line(kind, field, value, words):
    with pytest.raises(ConfigError) as caught:
        kind(**{field: value})
    assert str(caught.value) == words


def test_zoom_cannot_shrink_a_picture_to_nothing():
    with pytest.raises(ConfigError, match=r"got 1\.0 in augment\.zoom"):
        AugmentConfig(zoom=1.0)


def test_a_possible_value_at_each_end_is_taken():
    assert ModelConfig(image_size=32, dropout=0.0).image_size == 32
    assert ModelConfig(image_size=1024).image_size == 1024
    assert TrainingConfig(epochs=3, warmup_epochs=3).warmup_epochs == 3
    assert AugmentConfig(flip=1.0, contrast=(1.0, 1.0)).flip == 1.0


def test_as_dict_is_nested_and_plain():
    nested = as_dict(RECIPES["improved"]("resnet50"))
    assert list(nested) == ["recipe", "data", "model", "augment", "training"]
    assert nested["augment"]["contrast"] == [0.8, 1.2]


@pytest.mark.parametrize("module", ["config", "recipes", "checkpoints", "cache", "data.augment", "data.pixels"])
def test_the_quick_rooms_import_no_tensorflow(module):
    code = f"import sys, emotion_mlflow.{module}; print([n for n in ('tensorflow', 'keras') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("training.epochs", None), ("training.epochs", {"a": 1}), ("training.epochs", 2.5), ("training.epochs", True),
        ("augment.contrast", 5), ("augment.contrast", (1, None)), ("augment.zoom", ()), ("training.clip_norm", 10**400),
        ("training.schedule", 3), ("model.tasks", 7), ("data.drop_leaks", 1), ("data.data", 3),
    ],
)  # fmt: skip
def test_a_value_of_another_kind_is_refused(name, value):
    with pytest.raises(ConfigError, match=name.replace(".", r"\.")):
        RunConfig(recipe="plain").override({name: value})


def test_a_whole_number_for_a_fraction_is_the_same_setting_as_its_text():
    config = RunConfig(recipe="plain")
    assert (
        config.override({"training.clip_norm": 1}).to_params()
        == config.override({"training.clip_norm": "1"}).to_params()
    )
