"""The Docker engine: reached with a clear word if it can't be, and made to have the images."""

import contextlib
import io
import os
import socket
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from emotion_mlflow.errors import ConfigError, StackError, first_line
from emotion_mlflow.service.compose import Build, Service

Say = Callable[[str], None]
ANSWER_SECONDS = 15
"""How long an engine may take to say that it is there."""
WORK_SECONDS = 600
"""How long it may be silent while it works."""
EXIT_SECONDS = 10
"""How long a command may take to end once its output has."""
NOT_SENT = frozenset(("__pycache__", ".git", ".venv", "secrets"))


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Inside, whatever the engine refuses is a StackError, and so is an engine or a container that goes away."""
    import requests
    import urllib3

    import docker

    gone = (requests.RequestException, urllib3.exceptions.HTTPError, ConnectionError)
    try:
        yield
    except (docker.errors.DockerException, *gone) as error:
        raise StackError("the Docker engine to do what was asked", got=_explanation(error)) from error


def connect(address: str = "") -> Any:
    """A client of the engine that `address`, else DOCKER_HOST, else the usual socket names.

    Raises StackError if none answers there, or if this user may not use it.
    """
    where = address or os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
    if where.startswith("unix://"):
        _knock(where)
    import requests

    import docker

    try:
        client = docker.DockerClient(base_url=where, timeout=ANSWER_SECONDS)
        client.ping()
    except (docker.errors.DockerException, requests.RequestException, ValueError) as error:  # no port's number, say
        raise StackError("a Docker engine", got=first_line(error), where=where) from error
    client.api.timeout = WORK_SECONDS
    return client


def _knock(where: str) -> None:
    # The SDK wraps all of these into one long text, and leaves its socket open.
    try:
        with socket.socket(socket.AF_UNIX) as door:
            door.settimeout(ANSWER_SECONDS)
            door.connect(where.removeprefix("unix://"))
    except PermissionError as error:
        got = "permission denied (join the group docker and log in again, or use rootless Docker)"
        raise StackError("a Docker engine this user may use", got=got, where=where) from error
    except ConnectionRefusedError as error:
        raise StackError("a Docker engine", got="no answer (systemctl start docker)", where=where) from error
    except OSError as error:
        got = f"{error.strerror or error} (is it installed and started? DOCKER_HOST names another place)"
        raise StackError("a Docker engine", got=got, where=where) from error


def image_id(client: Any, name: str) -> str:
    """The id of a local image; empty if it isn't here."""
    import docker

    try:
        return str(client.images.get(name).id)
    except docker.errors.ImageNotFound:
        return ""


def ensure_image(client: Any, service: Service, *, wheels: Path | None, rebuild: bool, say: Say) -> str:
    """The image's id: as it lies here, else built if it is ours, else pulled.

    Raises StackError with the step that failed.
    """
    here = image_id(client, service.image)
    if here and not (rebuild and service.build):
        return here
    if service.build:
        say(f"building {service.image}")
        return build(client, service.image, service.build, wheels=wheels)
    say(f"pulling {service.image}")
    return _pull(client, service.image)


def build(client: Any, name: str, how: Build, *, wheels: Path | None = None) -> str:
    """Builds an image from its folder, with a folder of wheels beside the Dockerfile if one is given; gives the id."""
    import docker

    if not (how.context / "Dockerfile").is_file():
        raise ConfigError("a Dockerfile", got="none", where=how.context)
    given = {"custom_context": True, "tag": name, "buildargs": dict(how.arguments), "rm": True}
    try:
        with _context(how.context, wheels) as packed:
            image, _ = client.images.build(fileobj=packed, **given)
    except docker.errors.BuildError as error:
        raise StackError(f"{name} to be built", got=str(error.msg).strip()[-300:], where=how.context) from error
    except docker.errors.APIError as error:
        raise StackError(f"{name} to be built", got=_explanation(error), where=how.context) from error
    return str(image.id)


def _context(folder: Path, wheels: Path | None) -> Any:
    if wheels and not any(wheels.glob("*.whl")):
        raise ConfigError("a folder of wheels", got="none there", where=wheels)
    packed = tempfile.TemporaryFile()  # noqa: SIM115  the caller closes it
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for file in sorted(folder.iterdir()):
            if file.name not in NOT_SENT and not (wheels and file.name == "wheels"):
                tar.add(file, file.name, filter=_owned_by_root)
        for wheel in sorted(wheels.glob("*.whl")) if wheels else ():
            tar.add(wheel, f"wheels/{wheel.name}", filter=_owned_by_root)
    packed.seek(0)
    return packed


def _owned_by_root(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    if Path(entry.name).name in NOT_SENT:
        return None
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
    return entry


def _pull(client: Any, name: str) -> str:
    import docker

    try:
        return str(client.images.pull(name).id)
    except docker.errors.APIError as error:
        raise StackError(f"the image {name}", got=_explanation(error)) from error


def _explanation(error: Any) -> str:
    lines = str(getattr(error, "explanation", "") or error).strip().splitlines()
    return lines[-1][:300] if lines else type(error).__name__


@told()
def put_file(container: Any, source: Path, folder: str, *, user: int) -> str:
    """Copies a file into a volume of a running container, for `user` alone to read; gives its place there."""
    entry = tarfile.TarInfo(source.name)
    entry.size, entry.uid, entry.gid, entry.mode = source.stat().st_size, user, user, 0o600

    def pieces() -> Any:
        yield entry.tobuf(tarfile.PAX_FORMAT)
        with source.open("rb") as file:
            while piece := file.read(1 << 20):
                yield piece
        yield bytes(-entry.size % tarfile.BLOCKSIZE + 2 * tarfile.BLOCKSIZE)

    container.put_archive(folder, pieces())
    return f"{folder}/{source.name}"


@told()
def run(container: Any, command: list[str], *, sink: Any = None) -> bytes:
    """Runs a command in a container and gives its stdout, or writes that to `sink` as it comes.

    Raises StackError with the last line of its stderr if it fails, or if its output ended before it did.
    """
    api = container.client.api
    made = api.exec_create(container.id, command)
    kept, errors = io.BytesIO(), bytearray()
    for out, complaint in api.exec_start(made["Id"], stream=True, demux=True):
        (sink or kept).write(out or b"")
        errors += complaint or b""
    code = _exit_code(api, made["Id"])
    if code != 0:
        lines = errors.decode(errors="replace").strip().splitlines() or ["nothing on stderr"]
        ended = "no exit code" if code is None else f"exit code {code}"
        raise StackError(f"`{' '.join(command)[:80]}` to work", got=f"{ended}: {lines[-1][:300]}", where=container.name)
    return kept.getvalue()


def _exit_code(api: Any, command: str) -> int | None:
    """None where the command has none yet: its output was cut off, or the engine is a moment behind it."""
    until = time.monotonic() + EXIT_SECONDS
    while (code := api.exec_inspect(command)["ExitCode"]) is None and time.monotonic() < until:
        time.sleep(0.1)
    return None if code is None else int(code)
