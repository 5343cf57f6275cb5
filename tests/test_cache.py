import os
import time

import pytest

from emotion_mlflow import cache
from emotion_mlflow.errors import ConfigError


@pytest.fixture
def filled(tmp_path):
    """100 bytes each; the number is the file's age in seconds."""
    ages = {
        "pixels/new.npy": 10,
        "pixels/old.npy": 300,
        "features/trunk/middle.npy": 200,
        "manifests/oldest.parquet": 900,
        "checkpoints/run/epoch-0001.npz": 800,
        "demo/demo-0/faces.png": 700,
        "notes.txt": 600,
    }
    for name, age in ages.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(bytes(100))
        os.utime(file, (1e9 - age, 1e9 - age))
    os.utime(tmp_path / "demo/demo-0", (1e9 - 700, 1e9 - 700))
    return tmp_path


def left(folder):
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())


def test_sizes_are_bytes_of_each_section_and_0_where_there_is_none(filled, tmp_path):
    assert cache.sizes(filled) == {"manifests": 100, "pixels": 200, "features": 100, "demo": 100, "checkpoints": 100}
    assert set(cache.sizes(tmp_path / "absent").values()) == {0}


def test_trim_removes_what_was_unused_for_longest_until_the_limit_holds(filled):
    # 600 bytes in all sections; 350 allowed: three must go, the oldest first, a drawn set as a whole
    assert cache.trim(filled, limit_gb=350e-9) == 300
    assert left(filled) == [
        "checkpoints/run/epoch-0001.npz",
        "features/trunk/middle.npy",
        "notes.txt",
        "pixels/new.npy",
    ]
    assert not (filled / "demo/demo-0").exists()


def test_features_go_with_the_list_of_their_faces(filled):
    (filled / "features/trunk/middle.txt").write_bytes(bytes(50))
    assert cache.trim(filled, limit_gb=0.0) == 550
    assert not list((filled / "features").rglob("*.*"))


def test_trim_leaves_a_cache_below_its_limit_alone(filled):
    before = left(filled)
    assert cache.trim(filled, limit_gb=600e-9) == 0
    assert left(filled) == before


def test_trim_never_takes_checkpoints_of_a_run_that_may_go_on_or_others_files(filled):
    assert cache.trim(filled, limit_gb=0.0) == 500
    assert left(filled) == ["checkpoints/run/epoch-0001.npz", "notes.txt"]


def test_trim_takes_abandoned_checkpoints_last_of_all(filled):
    long_ago = time.time() - cache.ABANDONED - 1000
    os.utime(filled / "checkpoints/run", (long_ago, long_ago))
    cache.trim(filled, limit_gb=100e-9)
    assert left(filled) == ["checkpoints/run/epoch-0001.npz", "notes.txt"]
    cache.trim(filled, limit_gb=0.0)
    assert left(filled) == ["notes.txt"]


@pytest.mark.parametrize("name", ["pixels/x.part", "demo/.demo-1-x/face.png"])
def test_trim_leaves_what_is_still_being_written(filled, name):
    part = filled / name
    part.parent.mkdir(exist_ok=True)
    part.write_bytes(bytes(100))
    cache.trim(filled, limit_gb=0.0)
    assert part.exists()


def test_trim_takes_what_a_killed_write_left_a_day_ago(filled):
    part = filled / "pixels" / "x.part"
    part.write_bytes(bytes(100))
    yesterday = time.time() - cache.UNFINISHED - 100
    os.utime(part, (yesterday, yesterday))
    before = left(filled)
    assert cache.trim(filled, limit_gb=600e-9) == 100
    assert left(filled) == [name for name in before if name != "pixels/x.part"]


def test_trim_leaves_the_lock_of_a_cell_however_old(filled):
    lock = filled / "checkpoints" / "cell.lock"
    lock.touch()
    long_ago = time.time() - cache.ABANDONED - 1000
    os.utime(lock, (long_ago, long_ago))
    cache.trim(filled, limit_gb=0.0)
    assert lock.exists()


def test_clear_says_what_may_not_be_removed(filled, monkeypatch):
    monkeypatch.setattr("shutil.rmtree", lambda folder, **options: None)
    with pytest.raises(ConfigError, match="expected files that may be removed; got 600 of 600 bytes that may not"):
        cache.clear(filled)


def test_clear_empties_every_section_and_touches_nothing_else(filled):
    assert cache.clear(filled) == 600
    assert left(filled) == ["notes.txt"]


def test_clearing_an_absent_cache_removes_nothing(tmp_path):
    assert cache.clear(tmp_path / "absent") == 0


def test_clear_refuses_a_file(tmp_path):
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(ConfigError, match="expected a folder; got a file in --cache-dir"):
        cache.clear(file)


def test_the_default_lies_in_the_user_s_cache_folder():
    assert cache.default_cache_dir().name == "emotion-mlflow"
