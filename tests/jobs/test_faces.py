"""The faces of a job: what is told of them before anything is learnt."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from emotion_mlflow.config import DataConfig
from emotion_mlflow.data.manifest import COLUMNS, REJECTED_COLUMNS, Manifest
from emotion_mlflow.errors import DataError
from emotion_mlflow.jobs.faces import cut_faces, require_labels, require_memory


def manifest(part, *, folder, **columns):
    faces = len(part)
    table = pd.DataFrame(
        {
            "id": [f"{number:03d}" for number in range(faces)],
            "path": "",
            **dict.fromkeys(("crop_x", "crop_y", "crop_width", "crop_height"), np.nan),
            **dict.fromkeys(("width", "height"), 48),
            **dict.fromkeys(("expression", "valence", "arousal"), 0),
            **dict.fromkeys(("identity", "source", "split"), ""),
            "part": part,
            "content_hash": [f"{number:032x}" for number in range(faces)],
            "picture_hash": np.random.default_rng(0).integers(1, 2**63, faces, dtype=np.uint64),
        }
    ).assign(**columns)
    return Manifest(
        name="tiny",
        root=folder,
        table=table.astype(COLUMNS)[list(COLUMNS)],
        landmarks=np.empty((faces, 0), np.float32),
        rejected=pd.DataFrame(columns=list(REJECTED_COLUMNS)),
        two_parts=True,
    )


PART = ["train"] * 20 + ["validation"] * 4


def test_leaks_are_told_as_held_out_faces_and_kept_as_pairs(tmp_path, reporter, capsys):
    hashes = np.random.default_rng(1).integers(1, 2**63, 24, dtype=np.uint64)
    hashes[[2, 3]] = hashes[20]  # two training faces show one test face
    _, found = cut_faces(manifest(PART, folder=tmp_path, picture_hash=hashes), DataConfig(), reporter)
    assert (len(found), found["id"].nunique()) == (2, 1)
    assert "warning: 1 held-out faces have a twin picture in another split" in capsys.readouterr().err


def test_identities_that_cross_the_set_s_own_parts_are_told(tmp_path, reporter, capsys):
    identity = ["ann"] * 2 + [""] * 18 + ["ann"] * 4
    cut_faces(manifest(PART, folder=tmp_path, identity=identity), DataConfig(), reporter)
    assert "1 identities have faces in more than one split, the first: ann" in capsys.readouterr().err


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_task_needs_labels_to_learn_from_and_to_choose_by(tmp_path, split):
    splits = ["train"] * 16 + ["val"] * 4 + ["test"] * 4
    cut = manifest(PART, folder=tmp_path, split=splits)
    valence = np.where(np.array(splits) == split, np.nan, 0.5)
    blind = replace(cut, table=cut.table.assign(valence=valence.astype(np.float32)))
    require_labels(cut, ["expression", "valence"], selected_on_test=False)
    require_labels(blind, ["expression"], selected_on_test=False)
    with pytest.raises(DataError, match=f"expected {split} faces with labels for valence, or --tasks without it; got"):
        require_labels(blind, ["expression", "valence"], selected_on_test=False)


def test_where_the_test_faces_choose_it_is_they_that_need_labels(tmp_path):
    splits = ["train"] * 20 + ["test"] * 4
    cut = manifest(PART, folder=tmp_path, split=splits, valence=[0.5] * 20 + [np.nan] * 4)
    require_labels(cut, ["expression"], selected_on_test=True)
    with pytest.raises(DataError, match="expected test faces with labels for valence"):
        require_labels(cut, ["valence"], selected_on_test=True)


@pytest.mark.parametrize(("held_out", "faces"), [("val", 20), ("test", 24)])
def test_pictures_that_memory_cannot_hold_are_told_with_what_needs_less(tmp_path, held_out, faces):
    cut = manifest(PART, folder=tmp_path, split=["train"] * 16 + [held_out] * 4 + ["test"] * 4)
    require_memory(cut, image_size=224)
    words = rf"GB of free memory for {faces} faces of 10000000 px \(--image-size and --limit .*\); got .* in tiny"
    with pytest.raises(DataError, match=words):
        require_memory(cut, image_size=10_000_000)
