import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emotion_mlflow.data import manifest_cache
from emotion_mlflow.data.folder import Folder, Watch

WATCH = Watch(directories=("",), suffixes=(".jpg",))


def test_everything_comes_back_as_it_was(tmp_path, make_manifest):
    manifest = make_manifest(
        [0, -1, 7], identity=["a", "", "NA"], landmark_width=136, rejected=2, valence=[0.1, np.nan, -1]
    )
    (tmp_path / "set").mkdir()
    folder = Folder(tmp_path / "set")
    manifest_cache.save(tmp_path / "c/kept.parquet", manifest, folder, WATCH)
    found = manifest_cache.load(tmp_path / "c/kept.parquet", folder)
    assert found.table.equals(manifest.table)
    assert found.rejected.to_numpy().tolist() == manifest.rejected.to_numpy().tolist()
    assert (found.landmarks.dtype, found.landmarks.tolist()) == (np.float32, manifest.landmarks.tolist())
    assert found.root == folder.root
    assert [path.name for path in (tmp_path / "c").iterdir()] == ["kept.parquet"]


def test_landmarks_that_are_missing_stay_missing(tmp_path, make_manifest):
    manifest = make_manifest([0, 1], landmark_width=4)
    manifest.landmarks[1] = np.nan
    folder = Folder(tmp_path)
    manifest_cache.save(tmp_path / "c/kept.parquet", manifest, folder, WATCH)
    assert manifest_cache.load(tmp_path / "c/kept.parquet", folder).labelled()["landmarks"].tolist() == [True, False]


def test_a_manifest_of_an_older_version_is_not_taken(tmp_path, make_manifest, monkeypatch):
    folder = Folder(tmp_path)
    manifest_cache.save(tmp_path / "c/kept.parquet", make_manifest([0]), folder, WATCH)
    monkeypatch.setattr(manifest_cache, "VERSION", manifest_cache.VERSION + 1)
    assert manifest_cache.load(tmp_path / "c/kept.parquet", folder) is None


@pytest.mark.parametrize("path", ["../outside.jpg", "/etc/passwd", "link.jpg"])
def test_a_kept_path_that_leads_out_of_the_folder_is_not_taken(tmp_path, make_manifest, path, caplog):
    place = tmp_path / "set"
    place.mkdir()
    (tmp_path / "outside.jpg").write_bytes(b"x")
    (place / "link.jpg").symlink_to(tmp_path / "outside.jpg")
    manifest_cache.save(tmp_path / "kept.parquet", make_manifest([0], path=[path]), Folder(place), WATCH)
    assert manifest_cache.load(tmp_path / "kept.parquet", Folder(place)) is None
    assert "is damaged" in caplog.text


@pytest.mark.parametrize("change", ["landmarks of text", "a number too large"])
def test_a_whole_file_whose_columns_lie_is_not_taken(tmp_path, make_manifest, change):
    folder, file = Folder(tmp_path), tmp_path / "c/kept.parquet"
    manifest_cache.save(file, make_manifest([0, 1], landmark_width=4), folder, WATCH)
    table = pq.read_table(file)
    name, values = ("landmarks", ["a", "b"]) if change == "landmarks of text" else ("valence", [1e308, 0.0])
    table = table.set_column(table.column_names.index(name), name, pa.array(values))
    pq.write_table(table, file)
    assert manifest_cache.load(file, folder) is None
