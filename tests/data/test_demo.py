import os
import threading

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from emotion_mlflow.data.check import check
from emotion_mlflow.data.demo import demo_manifest
from emotion_mlflow.data.drawing import draw_face
from emotion_mlflow.data.manifest import COLUMNS
from emotion_mlflow.errors import DataError


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def faces(cache):
    """8 people with 8 faces each, of whom 3 are in the validation part."""
    return demo_manifest(cache, train=40, validation=24)


def pixels(manifest):
    return np.stack([np.asarray(Image.open(manifest.root / path)) for path in manifest.table["path"]])


def test_a_face_is_a_png_of_96_by_96_colour_pixels(faces):
    assert pixels(faces).shape == (64, 96, 96, 3)


def test_the_table_has_every_column_of_a_manifest_in_its_type(faces):
    assert list(faces.table.columns) == list(COLUMNS)
    assert faces.table.dtypes.equals(pd.DataFrame(columns=list(COLUMNS)).astype(COLUMNS).dtypes)
    assert (faces.drawn, faces.two_parts, len(faces.rejected)) == (True, True, 0)


def test_every_task_is_labelled_on_every_face_and_in_range(faces):
    assert all(labelled.all() for labelled in faces.labelled().values())
    assert faces.table[["valence", "arousal"]].abs().to_numpy().max() <= 1
    assert faces.layout.name == "ibug68"


def test_landmarks_are_those_drawn_with_0_0_in_the_middle_of_the_first_pixel(monkeypatch, tmp_path):
    drawn = []

    def watched(*arguments, **others):
        drawn.append(draw_face(*arguments, **others))
        return drawn[-1]

    monkeypatch.setattr("emotion_mlflow.data.demo.draw_face", watched)
    manifest = demo_manifest(tmp_path, train=8, validation=8)
    by_picture = {picture.tobytes(): labels.landmarks for picture, labels in drawn}
    assert len(by_picture) == len(manifest) == 16
    for picture, landmarks in zip(pixels(manifest), manifest.landmarks, strict=True):
        np.testing.assert_array_equal(landmarks.reshape(68, 2), by_picture[picture.tobytes()] - 0.5)


def test_expressions_are_balanced_in_both_parts(faces):
    counts = faces.table.groupby(["part", "expression"]).size()
    assert counts.to_dict() == {(part, e): n for part, n in (("train", 5), ("validation", 3)) for e in range(8)}


def test_no_identity_is_in_both_parts_and_each_has_eight_faces(faces):
    parts = faces.table.groupby("identity")["part"]
    assert (parts.nunique() == 1).all()
    assert (parts.size() == 8).all()


def test_no_picture_of_one_part_is_a_twin_of_the_other_part(faces):
    assert check(faces).leaks == 0


def test_one_seed_gives_the_same_bytes_and_labels_whatever_the_size_of_the_set(faces, tmp_path):
    small = demo_manifest(tmp_path, train=8, validation=8)
    same = faces.rows(faces.table["id"].isin(small.table["id"]).to_numpy())
    assert len(same) == 16
    pd.testing.assert_frame_equal(small.table, same.table)  # with the content hashes
    assert small.digest() == same.digest()


def test_another_seed_gives_other_faces(faces, tmp_path):
    other = demo_manifest(tmp_path, seed=1, train=8, validation=8)
    assert not set(other.table["content_hash"]) & set(faces.table["content_hash"])


def test_the_second_call_draws_nothing(faces, cache):
    heard = []
    again = demo_manifest(cache, train=40, validation=24, progress=lambda done, total: heard.append(done))
    assert heard == []
    assert again.digest() == faces.digest()
    pd.testing.assert_frame_equal(again.table, faces.table)


def test_progress_ends_with_the_number_of_faces(tmp_path):
    heard = []
    demo_manifest(tmp_path, train=32, validation=8, progress=lambda done, total: heard.append((done, total)))
    assert heard == [(32, 40), (40, 40)]


def test_threads_that_draw_the_same_set_at_once_leave_one_whole_set(tmp_path):
    digests, gate = [], threading.Barrier(3)

    def draw():
        gate.wait()
        digests.append(demo_manifest(tmp_path, train=8, validation=8).digest())

    threads = [threading.Thread(target=draw) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(digests) == 3
    assert len(set(digests)) == 1
    assert len(os.listdir(tmp_path)) == 1  # and no half-drawn folder


def test_a_set_that_lost_a_picture_is_drawn_again(tmp_path):
    first = demo_manifest(tmp_path, train=8, validation=8)
    (first.root / first.table["path"][3]).unlink()
    again = demo_manifest(tmp_path, train=8, validation=8)
    assert again.digest() == first.digest()
    assert (again.root / again.table["path"][3]).is_file()
    assert len(os.listdir(tmp_path)) == 1


def test_read_anew_a_set_with_a_damaged_picture_is_drawn_again_and_says_so(tmp_path, caplog):
    first = demo_manifest(tmp_path, train=8, validation=8)
    file = first.root / first.table["path"][3]
    whole = file.read_bytes()
    file.write_bytes(whole[:500])
    again = demo_manifest(tmp_path, train=8, validation=8, fresh=True)
    assert (again.digest(), file.read_bytes()) == (first.digest(), whole)
    assert f"{file} is damaged: all are drawn again" in caplog.text
    caplog.clear()
    demo_manifest(tmp_path, train=8, validation=8, fresh=True)
    assert caplog.text == ""


@pytest.mark.parametrize(
    "damage",
    [lambda file: file.write_bytes(file.read_bytes()[:500]), lambda file: pd.DataFrame({"a": [1]}).to_parquet(file)],
    ids=["cut short", "another table"],
)
def test_a_set_whose_labels_are_damaged_is_drawn_again_and_says_so(tmp_path, damage, caplog):
    first = demo_manifest(tmp_path, train=8, validation=8)
    damage(first.root / "labels.parquet")
    again = demo_manifest(tmp_path, train=8, validation=8)
    assert again.digest() == first.digest()
    assert "they are drawn again" in caplog.text


def test_an_interrupted_drawing_leaves_nothing_behind(tmp_path):
    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        demo_manifest(tmp_path, train=32, validation=8, progress=stop)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("wrong", [{"seed": -1}, {"train": 0}, {"validation": 0}], ids=lambda wrong: next(iter(wrong)))
def test_an_impossible_set_is_refused_in_one_line(tmp_path, wrong):
    with pytest.raises(DataError, match="expected a seed of at least 0 and a face in each part; got seed"):
        demo_manifest(tmp_path, **wrong)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return demo_manifest(tmp_path_factory.mktemp("whole"))


@pytest.mark.slow
def test_the_whole_set_leaks_nothing(whole):
    assert len(whole) == 2240
    assert check(whole).leaks == 0


@pytest.mark.slow
@pytest.mark.parametrize(("side", "mode"), [(32, "L"), (48, "RGB")], ids=["grey", "colour"])
def test_a_linear_model_of_the_pixels_stays_below_45_percent(whole, side, mode):
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    seen = np.stack([_small(whole.root / path, side=side, mode=mode) for path in whole.table["path"]])
    train, label = (whole.table["part"] == "train").to_numpy(), whole.table["expression"].to_numpy()
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000, tol=1e-3))
    model.fit(seen[train], label[train])
    accuracy = model.score(seen[~train], label[~train])
    assert 0.2 < accuracy <= 0.45  # chance is .125: what a linear model sees is not nothing


def _small(path, *, side, mode):
    with Image.open(path) as picture:
        return np.asarray(picture.convert(mode).resize((side, side), Image.Resampling.BOX), dtype=float).ravel()
