import io
import json
import tarfile

import pytest

from emotion_mlflow.errors import DataError
from emotion_mlflow.service import backup


@pytest.fixture
def folder(tmp_path):
    """A backup as `save` leaves it, with one artifact of three bytes."""
    with tarfile.open(tmp_path / "artifacts.tar", "w") as tar:
        entry = tarfile.TarInfo("1/run/artifacts/history.csv")
        entry.size = 3
        tar.addfile(entry, io.BytesIO(b"abc"))
    for name in backup.DATABASES:
        (tmp_path / f"{name}.dump").write_bytes(name.encode())
    files = {file.name: backup.digest_of(file) for file in tmp_path.iterdir()}
    manifest = {"mlflow": "3.17.2", "files": files, "tables": {"mlflow": {"runs": {"rows": 2, "digest": "0"}}}}
    manifest["artifacts"] = backup.digests_in(tmp_path / "artifacts.tar")
    (tmp_path / "backup.json").write_text(json.dumps(manifest))
    return tmp_path


def test_an_artifact_s_digest_is_that_of_its_bytes(folder):
    # SHA-256 of "abc", FIPS 180-2, appendix B.1
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert backup.digests_in(folder / "artifacts.tar") == {"1/run/artifacts/history.csv": digest}


def test_a_whole_backup_is_read(folder):
    assert backup.read_manifest(folder)["mlflow"] == "3.17.2"


def test_a_changed_file_is_refused(folder):
    (folder / "mlflow.dump").write_bytes(b"drop")
    with pytest.raises(DataError, match=r"the file changed in .*mlflow\.dump"):
        backup.read_manifest(folder)


def test_a_missing_file_is_refused(folder):
    (folder / "mlflow_auth.dump").unlink()
    with pytest.raises(DataError, match=r"expected the file mlflow_auth\.dump; got none"):
        backup.read_manifest(folder)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"files": 3}', '{"files": {}, "tables": 1, "artifacts": []}'])
def test_a_manifest_that_is_none_is_refused_in_one_line(folder, text):
    (folder / "backup.json").write_text(text)
    with pytest.raises(DataError, match=r"expected a backup's backup\.json") as raised:
        backup.read_manifest(folder)
    assert "\n" not in str(raised.value)


def test_a_manifest_that_names_files_elsewhere_is_refused(folder):
    manifest = json.loads((folder / "backup.json").read_text())
    manifest["files"]["../outside"] = "0"
    (folder / "backup.json").write_text(json.dumps(manifest))
    with pytest.raises(
        DataError, match=r"expected the files artifacts\.tar, mlflow\.dump, mlflow_auth\.dump; got \.\."
    ):
        backup.read_manifest(folder)
