import os

import pytest

from emotion_mlflow import cache
from emotion_mlflow.errors import ConfigError


@pytest.fixture
def filled(tmp_path):
    """100 bytes each; the number is the file's age in seconds."""
    ages = {
        "pixels/new.npy": 10,
        "pixels/old.npy": 300,
        "features/middle.npy": 200,
        "manifests/oldest.parquet": 900,
        "checkpoints/run/epoch-0001.npz": 800,
        "demo/faces.npy": 700,
        "notes.txt": 600,
    }
    for name, age in ages.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(bytes(100))
        os.utime(file, (1e9 - age, 1e9 - age))
    return tmp_path


def left(folder):
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())


def test_sizes_are_bytes_of_each_section_and_0_where_there_is_none(filled, tmp_path):
    assert cache.sizes(filled) == {"manifests": 100, "pixels": 200, "features": 100, "demo": 100, "checkpoints": 100}
    assert set(cache.sizes(tmp_path / "absent").values()) == {0}


def test_trim_removes_the_files_unused_for_longest_until_the_limit_holds(filled):
    # 600 bytes in all sections; 450 allowed: two files must go, the oldest of pixels and features
    assert cache.trim(filled, limit_gb=450e-9) == 200
    assert {"pixels/old.npy", "features/middle.npy"}.isdisjoint(left(filled))
    assert "pixels/new.npy" in left(filled)


def test_trim_leaves_a_cache_below_its_limit_alone(filled):
    before = left(filled)
    assert cache.trim(filled, limit_gb=600e-9) == 0
    assert left(filled) == before


def test_trim_never_takes_checkpoints_manifests_demo_faces_or_others_files(filled):
    assert cache.trim(filled, limit_gb=0.0) == 300
    assert left(filled) == [
        "checkpoints/run/epoch-0001.npz", "demo/faces.npy", "manifests/oldest.parquet", "notes.txt",
    ]  # fmt: skip


def test_trim_leaves_a_file_that_is_still_being_written(filled):
    part = filled / "pixels" / "x.part"
    part.write_bytes(bytes(100))
    cache.trim(filled, limit_gb=0.0)
    assert part.exists()


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
