import os

import numpy as np
import pytest

from emotion_mlflow.data.read import FORMATS, read, recognise
from emotion_mlflow.errors import DataError


@pytest.fixture
def small_set(tmp_path, write_npy_face):
    for seed, stem in enumerate(("1", "2", "3")):
        write_npy_face(tmp_path / "set/train_set", stem, seed=seed)
    write_npy_face(tmp_path / "set/val_set", "9", seed=9)
    write_npy_face(tmp_path / "set/val_set", "bad", seed=10, val="9.5")
    return tmp_path / "set"


class Opened:
    """Counts the faces that are opened: none where the kept manifest is taken."""

    def __init__(self):
        self.calls = []

    def __call__(self, done, total):
        self.calls.append((done, total))


def same(one, two):
    assert one.table.equals(two.table)
    assert (one.table.dtypes == two.table.dtypes).all()
    np.testing.assert_array_equal(one.landmarks, two.landmarks)
    assert one.rejected.equals(two.rejected)
    names = ("name", "root", "drawn", "two_parts")
    assert [getattr(one, name) for name in names] == [getattr(two, name) for name in names]


def test_the_form_is_recognised(small_set, tmp_path, write_csv):
    table = write_csv(tmp_path / "t/mine.csv", [{"path": "a.png", "expression": 1}])
    listed = write_csv(tmp_path / "c/training.csv", [{"subDirectory_filePath": "a.png", "expression": 1}])
    renamed = write_csv(tmp_path / "d/list.csv", [{"subDirectory_filePath": "a.png", "expression": 1}])
    assert recognise(small_set) == recognise(small_set / "val_set") == "affectnet-npy"
    assert recognise(listed) == recognise(listed.parent) == recognise(renamed) == "affectnet-csv"
    assert recognise(table) == "table"


@pytest.mark.parametrize("name", ["nothing", "empty", "file.txt"])
def test_an_unknown_form_names_the_known_ones(tmp_path, name):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.txt").write_text("x")
    with pytest.raises(DataError) as error:
        read(tmp_path / name, cache_dir=None)
    assert all(form in str(error.value) for form in FORMATS)


def test_a_wrong_format_name_lists_the_right_ones(small_set):
    with pytest.raises(DataError, match="auto, affectnet-npy, affectnet-csv, table; got npy"):
        read(small_set, data_format="npy", cache_dir=None)


def test_the_format_asked_for_overrides_what_is_recognised(small_set):
    with pytest.raises(DataError, match=r"training\.csv or validation\.csv"):
        read(small_set, data_format="affectnet-csv", cache_dir=None)


def test_progress_ends_at_all_faces(small_set):
    opened = Opened()
    read(small_set, cache_dir=None, progress=opened)
    assert opened.calls[-1] == (5, 5)


def test_the_second_start_opens_no_picture_and_reads_the_same(small_set, tmp_path):
    opened = Opened()
    first = read(small_set, cache_dir=tmp_path / "cache")
    second = read(small_set, cache_dir=tmp_path / "cache", progress=opened)
    assert opened.calls == []
    assert (len(second), len(second.rejected)) == (4, 1)
    same(first, second)


def test_a_set_without_landmarks_is_kept_too(tmp_path, write_csv, write_picture):
    write_picture(tmp_path / "a.png")
    table = write_csv(tmp_path / "mine.csv", [{"path": "a.png", "expression": 1}])
    first = read(table, cache_dir=tmp_path / "cache")
    same(first, read(table, cache_dir=tmp_path / "cache"))


def test_fresh_reads_every_byte_again(small_set, tmp_path):
    read(small_set, cache_dir=tmp_path / "cache")
    picture = small_set / "train_set/images/1.jpg"
    status = picture.stat()
    picture.write_bytes(b"\0" * status.st_size)  # the same name, size and time: only the bytes tell
    os.utime(picture, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert len(read(small_set, cache_dir=tmp_path / "cache")) == 4
    assert len(read(small_set, cache_dir=tmp_path / "cache", fresh=True)) == 3
    assert len(read(small_set, cache_dir=tmp_path / "cache")) == 3


@pytest.mark.parametrize("change", ["label", "new face", "face gone", "bad face mended"])
def test_a_changed_file_is_noticed(small_set, tmp_path, write_npy_face, change):
    read(small_set, cache_dir=tmp_path / "cache")
    if change == "label":
        np.save(small_set / "train_set/annotations/1_exp.npy", np.array("5"))
    elif change == "new face":
        write_npy_face(small_set / "train_set", "4", seed=4)
    elif change == "face gone":
        for file in small_set.glob("train_set/*/1*"):
            file.unlink()
    else:
        np.save(small_set / "val_set/annotations/bad_val.npy", np.array("0.5"))
    kept = read(small_set, cache_dir=tmp_path / "cache")
    same(kept, read(small_set, cache_dir=None))
    assert (kept.table["expression"] == 5).sum() == (change == "label")


def test_a_part_that_appears_later_is_noticed(tmp_path, write_npy_face):
    write_npy_face(tmp_path / "set/val_set", "1", seed=0)
    assert not read(tmp_path / "set", cache_dir=tmp_path / "cache").two_parts
    write_npy_face(tmp_path / "set/train_set", "1", seed=1)
    assert read(tmp_path / "set", cache_dir=tmp_path / "cache").two_parts


def test_a_missing_picture_that_appears_later_is_noticed(tmp_path, write_csv, write_picture):
    write_picture(tmp_path / "a.png")
    table = write_csv(tmp_path / "mine.csv", [{"path": f"{name}.png", "expression": 1} for name in ("a", "new/b")])
    assert len(read(table, cache_dir=tmp_path / "cache").rejected) == 1
    write_picture(tmp_path / "new/b.png", seed=1)
    assert len(read(table, cache_dir=tmp_path / "cache").rejected) == 0


@pytest.mark.parametrize("name", ["mine.csv", "training.csv"])
def test_a_table_that_changes_while_its_pictures_are_read_is_read_anew(tmp_path, write_csv, write_picture, name):
    write_picture(tmp_path / "a.png")
    table = write_csv(tmp_path / name, [{"path": "a.png", "expression": 1}])

    first = read(
        table,
        cache_dir=tmp_path / "cache",
        progress=lambda done, total: write_csv(table, [{"path": "a.png", "expression": 3}]),
    )
    assert first.table["expression"].tolist() == [1]
    assert read(table, cache_dir=tmp_path / "cache").table["expression"].tolist() == [3]


def test_a_damaged_cache_is_read_past_and_said(small_set, tmp_path, caplog):
    first = read(small_set, cache_dir=tmp_path / "cache")
    (kept,) = (tmp_path / "cache").rglob("*.parquet")
    kept.write_bytes(kept.read_bytes()[:-200])
    same(first, read(small_set, cache_dir=tmp_path / "cache"))
    assert "is damaged" in caplog.text
    caplog.clear()
    same(first, read(small_set, cache_dir=tmp_path / "cache"))
    assert caplog.text == ""


@pytest.mark.slow
def test_the_real_set_keeps_its_faces_and_identities(shared):
    manifest = read(shared / "data/faces", cache_dir=None)
    assert manifest.table["part"].value_counts().to_dict() == {"train": 9434, "validation": 1291}
    counts = manifest.table.groupby(["part", "expression"]).size()
    assert counts["train"].tolist() == [2393, 2392, 1290, 1341, 463, 143, 1298, 114]
    assert counts["validation"].tolist() == [320, 320, 162, 210, 75, 17, 173, 14]
    assert len(manifest.rejected) == 0
    assert (manifest.table["identity"] != "").any()
    assert manifest.tasks() == ("expression", "valence", "arousal", "landmarks")
