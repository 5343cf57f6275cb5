import contextlib
import io
import json
import sqlite3
import tarfile
from unittest import mock

import pytest

from emotion_mlflow.errors import DataError, StackError
from emotion_mlflow.service import backup, compose
from emotion_mlflow.service.stack import COMPOSE, Place

TABLES = {name: {table: {"rows": 1, "digest": "0"}} for name, table in backup.SCHEMAS.items()}


def written(folder, name="1/run/artifacts/history.csv"):
    """A backup as `save` leaves it, with one artifact of three bytes."""
    with tarfile.open(folder / "artifacts.tar", "w") as tar:
        entry = tarfile.TarInfo(name)
        entry.size = 3
        tar.addfile(entry, io.BytesIO(b"abc"))
    for database in backup.DATABASES:
        (folder / f"{database}.dump").write_bytes(database.encode())
    files = {file.name: backup.digest_of(file) for file in folder.iterdir()}
    manifest = {"mlflow": "3.17.2", "postgresql": "17.10", "files": files, "tables": TABLES}
    manifest["artifacts"] = backup.digests_in(folder / "artifacts.tar")
    (folder / "backup.json").write_text(json.dumps(manifest))
    return folder


@pytest.fixture
def folder(tmp_path):
    return written(tmp_path)


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


@pytest.mark.parametrize("name", ["../outside", "/run/secrets/key", "1/../../x", "1/run/.."])
def test_an_artifact_whose_name_leads_elsewhere_is_refused(tmp_path, name):
    with pytest.raises(DataError, match=rf"names of artifacts, .*; got '{name}' in .*artifacts\.tar"):
        backup.read_manifest(written(tmp_path, name))


def test_artifacts_that_the_manifest_does_not_list_are_refused(folder):
    manifest = json.loads((folder / "backup.json").read_text())
    manifest["artifacts"] = {}
    (folder / "backup.json").write_text(json.dumps(manifest))
    with pytest.raises(DataError, match=r"the artifacts that backup\.json lists; got others"):
        backup.read_manifest(folder)


def test_artifacts_that_are_no_tar_are_refused(folder):
    (folder / "artifacts.tar").write_bytes(b"x" * 600)
    manifest = json.loads((folder / "backup.json").read_text())
    manifest["files"]["artifacts.tar"] = backup.digest_of(folder / "artifacts.tar")
    (folder / "backup.json").write_text(json.dumps(manifest))
    with pytest.raises(DataError, match="expected a tar of artifacts"):
        backup.read_manifest(folder)


class Parts(backup._Parts):
    """A stack of one artifact and no tables, which holds what a test says."""

    rows, accounts, files, version = 0, 0, 0, "17.10"

    def __init__(self, place):
        self.place = place
        self.description = compose.read(COMPOSE, {})
        self.database = self.server = None

    def sql(self, database, statement):
        if statement == "show server_version":
            return self.version
        return str(self.accounts if database == "mlflow_auth" else self.rows)

    def artifacts(self, *arguments, sink=None):
        if arguments == ("count",):
            return str(self.files)
        with tarfile.open(fileobj=sink, mode="w|") as tar:
            tar.addfile(tarfile.TarInfo("1/run/artifacts/empty"))


@pytest.fixture
def running(monkeypatch):
    """A stack that answers every command with a line."""

    def answer(container, command, *, sink=None):
        return sink.write(b"x\n") if sink else b"3.17.2\n"

    monkeypatch.setattr(backup, "_Parts", Parts)
    monkeypatch.setattr(backup.engine, "run", answer)


def save(folder):
    return backup.save(Place(), folder, say=lambda line: None)


def test_a_backup_is_on_the_disk_before_it_bears_its_name(running, tmp_path, monkeypatch):
    flushed = []

    def flush(place):
        flushed.append((place.name, (tmp_path / "saved").exists()))

    monkeypatch.setattr(backup, "_flush", flush)
    assert save(tmp_path / "saved")["artifacts"] == 1
    names = ["artifacts.tar", "backup.json", "mlflow.dump", "mlflow_auth.dump", "saved.partial"]
    assert sorted(flushed[:-1]) == [(name, False) for name in names]
    assert flushed[-1] == (tmp_path.name, True)


def test_a_half_backup_of_before_is_told_and_left_alone(running, tmp_path):
    (tmp_path / "saved.partial").mkdir()
    with pytest.raises(DataError, match=r"expected no half backup; got one that failed before .*saved\.partial"):
        save(tmp_path / "saved")
    assert not any((tmp_path / "saved.partial").iterdir())


def test_a_full_disk_is_told_in_one_line_and_leaves_no_whole_backup(running, tmp_path, monkeypatch):
    def full(*arguments, sink):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Parts, "artifacts", full)
    with pytest.raises(DataError, match=r"takes the backup; got No space left on device in .*saved\.partial"):
        save(tmp_path / "saved")
    assert [each.name for each in tmp_path.iterdir()] == ["saved.partial"]


def test_a_place_that_takes_no_folder_is_told_in_one_line(running, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="got Not a directory"):
        save(tmp_path / "file" / "saved")


@pytest.mark.parametrize(
    ("held", "got"), [("rows", "1 experiments"), ("files", "1 artifacts"), ("accounts", "1 accounts")]
)
def test_a_stack_that_holds_anything_is_not_restored_over(running, folder, monkeypatch, held, got):
    monkeypatch.setattr(Parts, held, 1)
    with pytest.raises(StackError, match=rf"an empty stack .*; got .*{got}"):
        backup.restore(Place(), folder, say=lambda line: None)


@pytest.mark.parametrize(
    ("tables", "version", "message"),
    [
        ({"alembic_version": {"rows": 1, "digest": "1"}}, "17.10", "the backup's MLflow 3.17.2, .*; got MLflow 3.17.2"),
        (TABLES["mlflow"] | TABLES["mlflow_auth"], "16.4 (Debian)", r"PostgreSQL 17\.10 or later; got 16\.4"),
    ],
    ids=["of another release", "on an earlier PostgreSQL"],
)
def test_a_stack_that_cannot_read_the_backup_is_told_before_anything_is_written(
    running, folder, monkeypatch, tables, version, message
):
    monkeypatch.setattr(backup, "_tables", lambda parts, name: tables)
    monkeypatch.setattr(Parts, "version", version)
    said = []
    with pytest.raises(StackError, match=message):
        backup.restore(Place(), folder, say=said.append)
    assert said == []


def test_a_server_whose_artifacts_differ_is_left_stopped(running, folder, monkeypatch):
    server = mock.Mock()
    monkeypatch.setattr(backup, "_must_fit", lambda parts, manifest: None)
    monkeypatch.setattr(Parts, "handed", lambda self, *where: "/scratch/artifacts.tar")
    plain = Parts.artifacts

    def artifacts(self, *arguments, **named):
        self.server = server
        return plain(self, *arguments, **named) if arguments == ("count",) else b"{}"

    monkeypatch.setattr(Parts, "artifacts", artifacts)
    with pytest.raises(StackError, match="the artifacts of the backup; got 1 that differ"):
        backup.restore(Place(), folder, say=lambda line: None)
    server.stop.assert_called_once()


@pytest.mark.server
def test_a_new_store_counts_as_empty_and_an_experiment_as_something(store, tmp_path):
    import mlflow

    def held():
        with contextlib.closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
            return database.execute(backup._ROWS).fetchone()[0]

    client = mlflow.MlflowClient(store)
    client.search_experiments()
    assert held() == 0
    client.create_experiment("kept")
    assert held() == 1
