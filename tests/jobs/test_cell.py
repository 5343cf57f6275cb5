"""What makes two trainings the same cell of a grid."""

import hashlib
from dataclasses import replace

import pytest

from emotion_mlflow.config import RunConfig
from emotion_mlflow.errors import WeightsError
from emotion_mlflow.jobs.cell import cell_digest, weights_digest_of

CONFIG = RunConfig(recipe="probe")


def digest(config=CONFIG, *, data="faces", weights="start"):
    return cell_digest(config, data_digest=data, weights_digest=weights)


@pytest.mark.parametrize(
    "changes",
    [
        {"training.rng_seed": 1},
        {"training.epochs": 11},
        {"model.backbone": "efficientnetb0"},
        {"data.split_seed": 1},
        {"data.limit": 100},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_decides_the_result_makes_another_cell(changes):
    assert digest(CONFIG.override(changes)) != digest()


def test_recipe_faces_and_starting_weights_make_another_cell():
    others = {digest(replace(CONFIG, recipe="improved")), digest(data="others"), digest(weights="others"), digest()}
    assert len(others) == 4


def test_names_and_places_do_not():
    moved = {"data.data": "/elsewhere", "data.data_format": "table", "data.max_rejected": 0.5, "model.weights": "/w.h5"}
    assert digest(CONFIG.override(moved)) == digest()


def test_a_digest_is_32_hex_digits():
    assert len(digest()) == 32
    assert set(digest()) <= set("0123456789abcdef")


def test_weights_are_told_apart_by_their_bytes_not_by_their_name(tmp_path):
    for name, content in {"a": b"same", "b": b"same", "c": b"other"}.items():
        (tmp_path / name).write_bytes(content)
    first, second, third = (weights_digest_of("resnet50", str(tmp_path / name)) for name in "abc")
    assert first == second == hashlib.sha256(b"same").hexdigest()[:32]
    assert third != first


@pytest.mark.parametrize("weights", ["none", "imagenet"])
def test_weights_without_a_file_are_each_backbone_s_own(weights):
    assert weights_digest_of("resnet50", weights) != weights_digest_of("efficientnetb0", weights)


@pytest.mark.parametrize("name", ["gone.weights.h5", "."])
def test_weights_that_cannot_be_read_are_told_in_one_line(tmp_path, name):
    with pytest.raises(WeightsError, match="file that can be read"):
        weights_digest_of("resnet50", str(tmp_path / name))
