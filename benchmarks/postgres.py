"""A real PostgreSQL in a folder of its own, for tests and campaigns: started, restarted, and deleted at the end."""

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Postgres:
    """A running cluster; `initdb` refuses root, so root runs it as `postgres` or `nobody`."""

    programs: Path
    folder: Path
    port: int
    user: str | None
    """Who runs it, where this is root."""

    @property
    def uri(self) -> str:
        """For `mlflow server --backend-store-uri`."""
        return f"postgresql+psycopg2://mlflow@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Until it takes connections."""
        flags = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.folder}"
        self._run("pg_ctl", "start", "--wait", "-l", str(self.folder / "log"), "-o", flags)

    def stop(self, *, mode: str = "fast") -> None:
        """`fast`: as an administrator does; `immediate`: as if its plug were pulled."""
        self._run("pg_ctl", "stop", "--wait", "-m", mode)

    def make(self) -> None:
        """A new cluster, trusting this machine."""
        self._run("initdb", "--auth=trust", "--username=mlflow", "--encoding=UTF8", "--locale=C")

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self.programs / program), "-D", str(self.folder / "data"), *arguments]
        # its log is the server's own file: a pipe would stay open for as long as the server lives
        with (self.folder / f"{program}.txt").open("w+") as told:
            done = subprocess.run(command, stdout=told, stderr=told, cwd=self.folder, user=self.user, check=False)
            told.seek(0)
            if done.returncode:
                raise RuntimeError(f"{program} ended with {done.returncode}: {told.read()[-800:]}")


def programs() -> Path | None:
    """The folder of initdb and pg_ctl; None where PostgreSQL is not installed."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    found = str(debian[-1]) if debian else shutil.which("initdb")
    return Path(found).parent if found else None


@contextlib.contextmanager
def postgres() -> Iterator[Postgres]:
    """A cluster from its making to its end; RuntimeError where the programs are absent."""
    place = programs()
    if place is None:
        raise RuntimeError("no PostgreSQL: initdb is absent (`make engine` installs it)")
    user = _other_user() if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="emotion-mlflow-postgres-"))
    if user:
        shutil.chown(folder, user)
    cluster = Postgres(programs=place, folder=folder, port=free_port(), user=user)
    try:
        cluster.make()
        cluster.start()
        yield cluster
    finally:
        with contextlib.suppress(RuntimeError):
            cluster.stop(mode="immediate")
        shutil.rmtree(folder, ignore_errors=True)


def _other_user() -> str:
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
