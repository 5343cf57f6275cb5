"""What this machine can do, and what to type: environments, tracking store, weights, devices, disk, versions.

Of the outside world: only the command line uses it. Imports neither TensorFlow nor MLflow; processes of their
own try them.
"""

import importlib.metadata
import json
import os
import platform
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import psutil

from emotion_mlflow import cache
from emotion_mlflow.errors import without_password
from emotion_mlflow.models.facts import BACKBONES
from emotion_mlflow.tracking.environment import address

DEFAULT_TRACKING_URI = "sqlite:///mlflow.db"  # MLflow's own default
PYTHONS = ((3, 11), (3, 13))  # first and last minor release that the lock is made for
MLFLOW_FLOOR = (3, 10)  # before it CVE-2026-0545, -2614 and -2652 are open
SHOWN_PACKAGES = ("tensorflow", "keras", "mlflow", "numpy", "pandas", "scikit-learn", "scipy")
NETWORK_SECONDS = 3.0
LOW_DISK, NO_DISK = 5 * 2**30, 2**30  # bytes free: warn, fail

WEIGHTS_HOST = "storage.googleapis.com"  # where Keras fetches imagenet weights (keras/src/applications)

# MLflow's client itself asks, so that its certificates, names and passwords count; the address comes by
# environment, since it may hold a password and arguments are for all to see. A run with an artifact is written and
# deleted again, in an experiment that stays.
_ASK_SERVER = """
import json, os, mlflow
client, at = mlflow.MlflowClient(), "reading"
try:
    client.search_experiments(max_results=1)
    at, os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "writing", "1"  # an upload that failed may cost the connection
    place = client.get_experiment_by_name("emotion-mlflow-doctor")
    if place and place.lifecycle_stage == "deleted":
        client.restore_experiment(place.experiment_id)
    place = place.experiment_id if place else client.create_experiment("emotion-mlflow-doctor")
    run = client.create_run(place).info.run_id
    try:
        client.log_text(run, "written by emotion-mlflow doctor", "doctor.txt")
    finally:
        client.delete_run(run)
    told = {"status": 200, "message": ""}
except mlflow.exceptions.MlflowException as error:
    told = {"status": error.get_http_status_code(), "message": str(error)}
except Exception as error:  # an artifact store's own
    told = {"status": 0, "message": f"{type(error).__name__}: {error}"}
print(json.dumps({**told, "at": at}))
"""
# In a process of its own: on an unfit processor TensorFlow's import ends the process.
_ASK_TENSORFLOW = """
import json, tensorflow as tf
gpus = tf.config.list_physical_devices("GPU")
details = map(tf.config.experimental.get_device_details, gpus)
print(json.dumps([each.get("device_name", gpu.name) for gpu, each in zip(gpus, details)]))
"""

State = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing looked at: `fail` stops a training here, `warn` takes a choice away."""

    name: str
    state: State
    detail: str
    advice: str
    """What to type or to change; empty where nothing is left to do."""


def _ok(name: str, detail: str, advice: str = "") -> Finding:
    return Finding(name=name, state="ok", detail=detail, advice=advice)


def _warn(name: str, detail: str, advice: str) -> Finding:
    return Finding(name=name, state="warn", detail=detail, advice=advice)


def _fail(name: str, detail: str, advice: str) -> Finding:
    return Finding(name=name, state="fail", detail=detail, advice=advice)


def examine(*, tracking_uri: str | None, cache_dir: Path, devices: bool = True) -> list[Finding]:
    """Everything found, in the order a new user meets it.

    `devices=False` leaves out TensorFlow's start, which takes seconds.
    """
    uri = tracking_uri or address() or DEFAULT_TRACKING_URI
    findings = [_python(), _packages(), *_environment_managers(), _tracking(uri), *_imagenet_weights()]
    if devices:
        findings.append(_devices())
    findings.append(_disk("disk of the caches", cache_dir, "--cache-dir FOLDER, or emotion-mlflow cache clear"))
    if (file := _sqlite_file(uri)) is not None:
        findings.append(_disk("disk of the tracking store", file.parent, "--tracking-uri sqlite:////FOLDER/mlflow.db"))
    return [*findings, _cache_sizes(cache_dir)]


def _python() -> Finding:
    first, last = PYTHONS
    fits = first <= sys.version_info[:2] <= last
    return Finding(
        name="Python",
        state="ok" if fits else "fail",
        detail=f"{platform.python_version()} at {sys.executable}",
        advice="" if fits else "make clean install PYTHON=python3.11 (3.11 to 3.13 are supported)",
    )


def _packages() -> Finding:
    found: dict[str, str | None] = {}
    for name in SHOWN_PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    detail = ", ".join(f"{name} {version or 'missing'}" for name, version in found.items())
    if None in found.values():
        return _fail("packages", detail, "make install")
    if _release(found["mlflow"] or "0") < MLFLOW_FLOOR:
        return _fail("packages", f"{detail}; this MLflow has known holes", "make install")
    return _ok("packages", detail)


def _release(version: str) -> tuple[int, ...]:
    """Major and minor number: `3.17.2` -> (3, 17)."""
    return tuple(int(digits) for digits in re.findall(r"\d+", version)[:2])


def _environment_managers() -> Iterator[Finding]:
    yield _ok(
        "mlflow run --env-manager local",
        "always works: takes the environment that is active",
        "mlflow run . -e train -P backbone=resnet50 --env-manager local",
    )
    yield _virtualenv_manager()
    yield _uv_manager()
    conda = shutil.which("conda")
    yield _ok(
        "conda",
        f"at {conda}" if conda else "not on PATH, and not needed",
        "conda env create -f conda.yaml, conda activate emotion-mlflow, then --env-manager local" if conda else "",
    )


def _virtualenv_manager() -> Finding:
    """MLflow asks pyenv for the very release that runs MLflow, and pyenv builds what it lacks from source."""
    name, release = "mlflow run --env-manager virtualenv", platform.python_version()
    others = "--env-manager local or --env-manager uv"
    pyenv = shutil.which("pyenv")
    if pyenv is None:
        return _warn(name, "needs pyenv; it is not on PATH", others)
    if not _pyenv_has(pyenv, release):
        detail = f"pyenv has no Python {release} and would build it from source"
        return _warn(name, detail, f"pyenv install {release}, or {others}")
    advice = "mlflow run . -e train -P backbone=resnet50"
    return _ok(name, f"pyenv has Python {release}; this is the default", advice)


def _pyenv_has(pyenv: str, release: str) -> bool:
    try:
        return subprocess.run([pyenv, "prefix", release], capture_output=True, timeout=30).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _uv_manager() -> Finding:
    name, beside = "mlflow run --env-manager uv", Path(sys.executable).with_name("uv")
    if found := shutil.which("uv"):
        advice = "mlflow run . -e train -P backbone=resnet50 --env-manager uv"
        return _ok(name, f"uv at {found}", advice)
    if beside.exists():
        advice = f'export PATH="{beside.parent}:$PATH"'
        return _warn(name, f"uv is at {beside}, but not on PATH", advice)
    return _warn(name, "uv is not on PATH", "pip install uv")


def _tracking(uri: str) -> Finding:
    try:
        scheme = urlsplit(uri).scheme
    except ValueError as error:
        return _fail(f"tracking store {without_password(uri)}", str(error), f"--tracking-uri {DEFAULT_TRACKING_URI}")
    if scheme.startswith("sqlite"):
        return _sqlite_store(uri)
    if scheme in ("http", "https"):
        return _server(uri)
    shown = f"tracking store {without_password(uri)}"
    if len(scheme) <= 1 or scheme == "file":  # one letter: a Windows drive
        detail = "a folder of files; MLflow 3 refuses these"
        return _fail(shown, detail, f"--tracking-uri {DEFAULT_TRACKING_URI}")
    detail = f"not tried: doctor knows sqlite, http and https, and not {scheme}"
    return _warn(shown, detail, "mlflow experiments search")


def _sqlite_file(uri: str) -> Path | None:
    """The file of `sqlite:///relative` or `sqlite:////absolute`; None for other stores and for memory."""
    match = re.match(r"sqlite(?:\+\w+)?:///([^?]+)", uri)
    return Path(match[1]) if match and match[1] != ":memory:" else None


def _sqlite_store(uri: str) -> Finding:
    name, file = f"tracking store {uri}", _sqlite_file(uri)
    if file is None:
        detail = "a database in memory, gone with the process"
        return _fail(name, detail, f"--tracking-uri {DEFAULT_TRACKING_URI}")
    try:
        _try_writing(file)
    except (OSError, sqlite3.Error) as error:
        return _fail(name, f"cannot be written: {error}", "--tracking-uri sqlite:////FOLDER/mlflow.db")
    detail = "can be written" if file.exists() else "will be made by the first run"
    return _ok(name, detail, f"mlflow ui --backend-store-uri {uri}")


def _try_writing(file: Path) -> None:
    """Raise OSError or sqlite3.Error where a run could not be stored; nothing is changed or left behind."""
    if not file.exists():
        with tempfile.TemporaryFile(dir=_nearest(file.parent)):
            return
    connection = sqlite3.connect(f"{file.absolute().as_uri()}?mode=rw", uri=True, timeout=NETWORK_SECONDS)
    try:
        connection.execute("BEGIN IMMEDIATE")  # the write lock is had, then given back
        connection.rollback()
    finally:
        connection.close()


def _server(uri: str) -> Finding:
    name = f"tracking store {without_password(uri)}"
    limits = {"MLFLOW_HTTP_REQUEST_TIMEOUT": f"{NETWORK_SECONDS:.0f}", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    try:
        answer = json.loads(_run_python(_ASK_SERVER, seconds=120, MLFLOW_TRACKING_URI=uri, **limits))
    except (subprocess.SubprocessError, ValueError) as error:
        return _fail(name, f"MLflow could not ask it: {_last_line(error)}", "make install")
    if answer["status"] == 200:
        return _ok(name, "answers, and takes a run with an artifact", f"open {without_password(uri)}")
    if answer["at"] == "writing":
        detail = f"can be read, but not written: {without_password(' '.join(answer['message'].split()))[:400]}"
        return _fail(name, detail, "look into the server's log, or take a user who may write")
    detail, advice = _server_trouble(uri, status=answer["status"], message=answer["message"])
    return _fail(name, detail, advice)


def _server_trouble(uri: str, *, status: int, message: str) -> tuple[str, str]:
    """What went wrong in plain words, and what to do."""
    host = urlsplit(uri).netloc.rpartition("@")[2]
    if status == 403 and "host header" in message.lower():
        return (
            f"the server is up, but refuses the host name {host} (403)",
            f"mlflow server --allowed-hosts {host}",
        )
    if status in (401, 403):
        advice = "export MLFLOW_TRACKING_USERNAME=... MLFLOW_TRACKING_PASSWORD=..."
        return f"the server refuses this user ({status})", advice
    if failing := re.search(r"too many (\d{3}) error responses", message):
        return f"the server is up, but answers {failing[1]}: a fault of its own", "look into the server's log"
    if "failed with exception" in message:
        advice = f"start one with mlflow server, or --tracking-uri {DEFAULT_TRACKING_URI}"
        return f"nothing answers at {host} within {NETWORK_SECONDS:.0f} s", advice
    return (
        f"answers, but not as MLflow does: {' '.join(message.split())[:160]}",
        "--tracking-uri of an MLflow server",
    )


def _imagenet_weights() -> Iterator[Finding]:
    folder = _keras_home() / "models"
    files = {name: folder / facts.imagenet_file for name, facts in BACKBONES.items()}
    reachable = all(file.exists() for file in files.values()) or _reachable(WEIGHTS_HOST)
    for backbone, file in files.items():
        name = f"imagenet weights of {backbone}"
        if file.exists():
            yield _ok(name, str(file), "--weights imagenet")
        elif reachable:
            detail = f"not here yet; the first use fetches them from {WEIGHTS_HOST}"
            yield _ok(name, detail, "--weights imagenet")
        else:
            advice = f"use --weights none or FILE, or put {file.name} into {folder}"
            yield _warn(name, "not on this machine and not reachable", advice)


def _keras_home() -> Path:
    """Where Keras keeps downloads: its own rule (keras/src/backend/config.py)."""
    if home := os.environ.get("KERAS_HOME"):
        return Path(home)
    user = Path.home()
    return (user if os.access(user, os.W_OK) else Path(tempfile.gettempdir())) / ".keras"


def _reachable(host: str) -> bool:
    """Whether `host` answers https in time, through a proxy where one is set."""
    answers: list[bool] = []

    def ask() -> None:
        try:
            with urllib.request.urlopen(f"https://{host}/", timeout=NETWORK_SECONDS):
                answers.append(True)
        except urllib.error.HTTPError as error:
            answers.append(error.code < 500)  # 400 or 404 at its root is an answer; 502 is a proxy's
        except OSError:
            return

    # A thread, and a daemon, since the wait for a silent name server can be neither bounded nor broken off.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(NETWORK_SECONDS)
    return any(answers)


def _devices() -> Finding:
    memory = psutil.virtual_memory().total
    detail = f"{os.cpu_count()} CPU cores, {_size(memory)} of memory"
    try:
        gpus = json.loads(_run_python(_ASK_TENSORFLOW, seconds=300, TF_CPP_MIN_LOG_LEVEL="3"))
    except (subprocess.SubprocessError, ValueError) as error:
        detail = f"{detail}; TensorFlow does not start: {_last_line(error)}"
        return _fail("devices", detail, "make clean install")
    wants = "100,000 faces want 15 GB of memory at 224 px, 3 GB at 96"
    if gpus:
        return _ok("devices", f"{detail}, GPU: {', '.join(gpus)}", wants)
    advice = "--image-size 96 and --limit 3000 keep a training on a CPU short; --recipe probe trains the heads alone"
    return _ok("devices", f"{detail}, no GPU", f"{advice}; {wants}")


def _run_python(source: str, *, seconds: float, **environment: str) -> str:
    """The last line the program prints; subprocess.SubprocessError where it fails or takes too long."""
    command = [sys.executable, "-c", source]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=seconds, env=os.environ | environment
    )
    return done.stdout.strip().rpartition("\n")[2]


def _last_line(error: Exception) -> str:
    told = error.stderr if isinstance(error, subprocess.CalledProcessError) else None
    return (told or str(error)).strip().rpartition("\n")[2][:200]


def _disk(name: str, folder: Path, elsewhere: str) -> Finding:
    free = shutil.disk_usage(_nearest(folder)).free
    state: State = "fail" if free < NO_DISK else "warn" if free < LOW_DISK else "ok"
    return Finding(
        name=name,
        state=state,
        detail=f"{_size(free)} free at {folder}",
        advice="" if state == "ok" else elsewhere,
    )


def _nearest(folder: Path) -> Path:
    """The folder, or the one above it in which it will be made."""
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    return place


def _cache_sizes(cache_dir: Path) -> Finding:
    sizes = cache.sizes(cache_dir)
    detail = f"{_size(sum(sizes.values()))} in {cache_dir}: " + ", ".join(f"{k} {_size(v)}" for k, v in sizes.items())
    return _ok("caches", detail, "emotion-mlflow cache clear")


def _size(count: float) -> str:
    """Bytes for people: `1.5 GiB`."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"
