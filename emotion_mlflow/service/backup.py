"""Backup and restore of a stack: two database dumps, a tar of the artifacts, and digests of all of it.

The databases are dumped before the artifacts are copied, so that every artifact a dump speaks of is in the copy even if
runs go on meanwhile: clients log an artifact before the registry hears of it.
"""

import hashlib
import json
import os
import re
import tarfile
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import emotion_mlflow
from emotion_mlflow.errors import DataError, StackError
from emotion_mlflow.service import containers, engine
from emotion_mlflow.service.digests import TableDigests, differences
from emotion_mlflow.service.engine import Say
from emotion_mlflow.service.stack import PATIENCE_SECONDS, Place, start

DATABASES = ("mlflow", "mlflow_auth")
MANIFEST = "backup.json"
ARTIFACTS = "artifacts.tar"
PIECE = 1 << 20
SCHEMAS = {"mlflow": "alembic_version", "mlflow_auth": "alembic_version_auth"}
"""The table of each database that says which release's tables it has."""
_ROWS = (
    "select (select count(*) from runs) + (select count(*) from registered_models)"
    " + (select count(*) from logged_models) + (select count(*) from trace_info)"
    " + (select count(*) from experiments where experiment_id <> 0)"
)
_ACCOUNTS = "select count(*) from users where username <> 'admin'"


class _Parts:
    """The running containers, and the places inside that a file can be handed over at."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.description = place.description()
        self.client = engine.connect()
        self.database = self._running("database")
        self.server = self._running("server")

    def _running(self, name: str) -> Any:
        container = containers.find(self.client, self.place.name, name)
        seen = containers.state_of(container, name)
        if seen.state != "running":
            raise StackError(f"the service {name} to run (`stack up`)", got=seen.state, where=self.place.name)
        return container

    def handed(self, service: str, volume: str, file: Path) -> str:
        """The file, copied into a volume of the service, owned by its user; where it is there."""
        described = self.description.service(service)
        container = self.database if service == "database" else self.server
        user = int(described.user.partition(":")[0])
        return engine.put_file(container, file, described.volumes[volume], user=user)

    def sql(self, database: str, statement: str) -> str:
        """What psql answers to the superuser, from inside the container."""
        command = ["psql", "-U", "postgres", "-d", database, "-v", "ON_ERROR_STOP=1", "-Atqc", statement]
        return engine.run(self.database, command).decode().strip()

    def mlflow(self) -> str:
        """The server's version."""
        script = "import importlib.metadata as m; print(m.version('mlflow'))"
        return engine.run(self.server, ["python", "-c", script]).decode().strip()

    def postgresql(self) -> str:
        """The database's version, with what its packager added."""
        return self.sql("mlflow", "show server_version")

    def artifacts(self, *arguments: str, sink: Any = None) -> bytes:
        """What docker/server/artifacts.py answers."""
        return engine.run(self.server, ["python", "/app/artifacts.py", *arguments], sink=sink)


@engine.told()
def save(place: Place, folder: Path, *, say: Say) -> dict[str, Any]:
    """Writes the backup into a new folder, readable by its owner alone; gives counts and bytes.

    What is half written is called FOLDER.partial. Raises StackError if the stack doesn't run, DataError if one of the
    two is there already or can't be written.
    """
    if folder.exists():
        raise DataError("a folder that is not there yet", got="one", where=folder)
    partial = folder.with_name(folder.name + ".partial")
    if partial.exists():
        raise DataError("no half backup", got="one that failed before (delete it)", where=partial)
    parts = _Parts(place)
    try:
        partial.mkdir(parents=True, mode=0o700)
        manifest = _write(parts, partial, say)
        partial.rename(folder)
        _flush(folder.parent)
    except OSError as error:  # a full disk, mostly; the engine's own are StackErrors by then
        raise DataError("a folder that takes the backup", got=error.strerror or error, where=partial) from error
    return {"folder": str(folder), "bytes": sum(each.stat().st_size for each in folder.iterdir())} | _counts(manifest)


def _write(parts: _Parts, partial: Path, say: Say) -> dict[str, Any]:
    """The manifest, after all of the backup is on the disk."""
    held = os.umask(0o077)
    try:
        tables = {}
        for name in DATABASES:
            say(f"dumping the database {name}")
            tables[name] = _dump(parts, name, partial / f"{name}.dump")
        say("copying the artifacts")
        with (partial / ARTIFACTS).open("wb") as out:
            parts.artifacts("save", sink=out)
        manifest = _manifest(parts, partial, tables)
        (partial / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")
    finally:
        os.umask(held)
    for each in (*partial.iterdir(), partial):
        _flush(each)
    return manifest


def _flush(place: Path) -> None:
    """Puts a file's content, or a folder's names, on the disk: a power cut must not leave a backup that looks whole."""
    opened = os.open(place, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _dump(parts: _Parts, name: str, file: Path) -> dict[str, Any]:
    inside = f"{parts.description.service('database').volumes['database']}/{name}.dump"
    try:
        engine.run(parts.database, ["pg_dump", "-U", "postgres", "-Fc", "-O", "-x", "-f", inside, name])
        with file.open("wb") as out:
            engine.run(parts.database, ["cat", inside], sink=out)
        digests = TableDigests()
        engine.run(parts.database, ["pg_restore", "--data-only", "-f", "-", inside], sink=digests)
    finally:
        engine.run(parts.database, ["rm", "-f", inside])
    return digests.tables()


def _manifest(parts: _Parts, folder: Path, tables: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "by": f"emotion-mlflow {emotion_mlflow.__version__}",
        "mlflow": parts.mlflow(),
        "postgresql": parts.postgresql(),
        "files": {file.name: digest_of(file) for file in sorted(folder.iterdir())},
        "tables": tables,
        "artifacts": digests_in(folder / ARTIFACTS),
    }


def _counts(manifest: Mapping[str, Any]) -> dict[str, Any]:
    rows = sum(table["rows"] for tables in manifest["tables"].values() for table in tables.values())
    return {"artifacts": len(manifest["artifacts"]), "rows": rows, "mlflow": manifest["mlflow"]}


def digest_of(file: Path) -> str:
    """SHA-256, 64 hex digits."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def digests_in(file: Path) -> dict[str, str]:
    """Name to SHA-256 of every file in a tar."""
    with tarfile.open(file, "r:") as tar:
        members = [entry for entry in tar if entry.isfile()]
        return {entry.name: _digest_of_member(tar, entry) for entry in members}


def _digest_of_member(tar: tarfile.TarFile, entry: tarfile.TarInfo) -> str:
    content, digest = tar.extractfile(entry), hashlib.sha256()
    while content and (piece := content.read(PIECE)):
        digest.update(piece)
    return digest.hexdigest()


def read_manifest(folder: Path) -> dict[str, Any]:
    """The backup's manifest, after every file was held against it. Raises DataError for a backup that isn't whole."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        files = dict(manifest["files"])
        _counts(manifest)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"a backup's {MANIFEST}", got=f"{type(error).__name__}: {error}", where=folder) from error
    wanted = {ARTIFACTS, *(f"{name}.dump" for name in DATABASES)}
    if set(files) != wanted:
        raise DataError(f"the files {', '.join(sorted(wanted))}", got=", ".join(sorted(files)), where=folder)
    for name, digest in files.items():
        if not (folder / name).is_file():
            raise DataError(f"the file {name}", got="none", where=folder)
        if digest_of(folder / name) != digest:
            raise DataError(
                "the digest that the backup was made with", got="another: the file changed", where=folder / name
            )
    _must_hold(folder / ARTIFACTS, manifest["artifacts"])
    return manifest


def _must_hold(file: Path, wanted: Any) -> None:
    """DataError unless the tar holds these artifacts and no other, each of a name that stays among the artifacts."""
    try:
        found = digests_in(file)
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise DataError("a tar of artifacts", got=error, where=file) from error
    for name in found:
        if not name or name.startswith("/") or ".." in name.split("/"):
            raise DataError("names of artifacts, as 1/run/artifacts/history.csv", got=ascii(name), where=file)
    if found != wanted:
        raise DataError(f"the artifacts that {MANIFEST} lists", got="others", where=file)


@engine.told()
def restore(place: Place, folder: Path, *, say: Say, patience: float = PATIENCE_SECONDS) -> dict[str, Any]:
    """Fills an empty stack that is up, and verifies it: each table's rows, each artifact as the store gives it back.

    Raises DataError for a damaged backup and StackError for a stack that isn't empty or is of another release, before
    anything is written; and StackError if what was restored differs (the server is then left stopped).
    """
    manifest = read_manifest(folder)
    parts = _Parts(place)
    _must_be_empty(parts)
    _must_fit(parts, manifest)
    try:
        say("storing the artifacts")
        parts.artifacts("restore", parts.handed("server", "scratch", folder / ARTIFACTS))
        _must_agree("artifacts", manifest["artifacts"], json.loads(parts.artifacts("digests")))
    finally:
        say("stopping the server")
        parts.server.stop(timeout=int(parts.description.service("server").grace))
    for name in DATABASES:
        say(f"restoring the database {name}")
        _load(parts, name, folder / f"{name}.dump")
        _must_agree(f"tables of {name}", manifest["tables"][name], _tables(parts, name))
    image = engine.image_id(parts.client, parts.description.service("server").image)
    until = time.monotonic() + patience
    start(parts.client, place, parts.description, "server", image=image, say=say, until=until)
    return {"folder": str(folder), "verified": True} | _counts(manifest)


def _must_be_empty(parts: _Parts) -> None:
    rows, files = int(parts.sql("mlflow", _ROWS)), int(parts.artifacts("count"))
    accounts = int(parts.sql("mlflow_auth", _ACCOUNTS))
    if rows or files or accounts:
        got = f"{rows} experiments, runs, models and traces, {files} artifacts, {accounts} accounts"
        raise StackError("an empty stack (`stack down --volumes`, then `stack up`)", got=got, where=parts.place.name)


def _must_fit(parts: _Parts, manifest: Mapping[str, Any]) -> None:
    """MLflow starts on the tables of its own release alone, and pg_restore reads no dump of a later PostgreSQL."""
    for name, table in SCHEMAS.items():
        if manifest["tables"].get(name, {}).get(table) != _tables(parts, name).get(table):
            wanted = f"a stack with the backup's MLflow {manifest['mlflow']}, or one of the same tables"
            raise StackError(wanted, got=f"MLflow {parts.mlflow()}", where=parts.place.name)
    theirs, ours = str(manifest.get("postgresql", "")), parts.postgresql()
    if not 0 < _major(theirs) <= _major(ours):
        raise StackError(f"a stack with the backup's PostgreSQL {theirs} or later", got=ours, where=parts.place.name)


def _major(version: str) -> int:
    digits = re.match("[0-9]{1,4}", version)
    return int(digits[0]) if digits else 0


def _load(parts: _Parts, name: str, file: Path) -> None:
    # As the server's own role: a dump that was tampered with can do no more than the server could.
    parts.sql("postgres", f"drop database {name} with (force)")
    parts.sql("postgres", f"create database {name} owner mlflow")
    parts.sql("postgres", f"revoke all on database {name} from public")
    inside = parts.handed("database", "database", file)
    command = ["pg_restore", "-U", "mlflow", "-O", "-x", "--exit-on-error", "--single-transaction", "-d", name, inside]
    try:
        engine.run(parts.database, command)
    finally:
        engine.run(parts.database, ["rm", "-f", inside])


def _tables(parts: _Parts, name: str) -> dict[str, Any]:
    digests = TableDigests()
    engine.run(parts.database, ["pg_dump", "-U", "postgres", "--data-only", name], sink=digests)
    return digests.tables()


def _must_agree(what: str, wanted: Mapping[str, Any], got: Mapping[str, Any]) -> None:
    if differing := differences(dict(wanted), dict(got)):
        raise StackError(f"the {what} of the backup", got=f"{len(differing)} that differ, first {differing[0]}")
