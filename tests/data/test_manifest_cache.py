import numpy as np

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
