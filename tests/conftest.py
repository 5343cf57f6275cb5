"""Fixtures for every tier. Real parts only: real pictures, a real store, real processes."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from PIL import Image

from benchmarks.chromium import absent as chromium_absent
from benchmarks.chromium import chromium
from benchmarks.postgres import free_port, postgres, programs
from benchmarks.proxy import counting_proxy
from emotion_mlflow.tracking.environment import without_mlflow

ROOT = Path(__file__).parents[1]
EPOCHS = 4
SMALL = f"--backbone mobilenetv3small --weights none --recipe improved --epochs {EPOCHS} --image-size 32".split()


def lacking(reason: str, *, in_ci: bool = True) -> NoReturn:
    """Skips and says why; in CI, which has everything that it could have, it fails."""
    if in_ci and os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real faces and starting weights that lies beside the repository."""
    folder = Path(os.environ.get("EMOTION_SHARED", ROOT.parent / "shared"))
    if (folder / "data" / "faces").is_dir():
        return folder
    lacking(f"no real faces: {folder} is absent (EMOTION_SHARED names another place)")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working directory of its own; MLflow's settings, which a job changes, are afterwards as they were."""
    import mlflow

    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.setenv(name, "")  # so that monkeypatch takes away what the job sets
        monkeypatch.delenv(name)
    before = mlflow.get_tracking_uri()
    yield tmp_path
    mlflow.set_tracking_uri(before)


@pytest.fixture(scope="session")
def open_browser(tmp_path_factory) -> Callable[..., Any]:
    """Opens a Chromium that knows nothing of the ones before."""
    if reason := chromium_absent():
        lacking(reason)

    def open_one(*, width: int = 1500, height: int = 1000) -> Any:
        return chromium(tmp_path_factory.mktemp("profile"), width=width, height=height)

    return open_one


@pytest.fixture(scope="session")
def draw_set() -> Callable[..., Path]:
    """Draws a set in AffectNet's npy form into a folder: one of each expression in every eight faces."""
    from emotion_mlflow.data.drawing import draw_face

    def draw(root: Path, *, train: int = 32, val: int = 8, seed: int = 7) -> Path:
        rng = np.random.default_rng(seed)
        for number in range(train + val):
            part = root / ("train_set" if number < train else "val_set")
            for folder in ("images", "annotations"):
                (part / folder).mkdir(parents=True, exist_ok=True)
            picture, labels = draw_face(rng, expression=number % 8)
            Image.fromarray(picture).save(part / "images" / f"{number}.jpg", quality=95)
            values = {"exp": labels.expression, "val": labels.valence, "aro": labels.arousal}
            for name, value in values.items():
                np.save(part / "annotations" / f"{number}_{name}.npy", np.array(str(value)))
            np.save(part / "annotations" / f"{number}_lnd.npy", np.asarray(labels.landmarks, np.float64).reshape(-1))
        return root

    return draw


@pytest.fixture(scope="session")
def faces(tmp_path_factory, draw_set) -> Path:
    """Forty drawn faces in AffectNet's npy form: train_set with 32, val_set with 8."""
    return draw_set(tmp_path_factory.mktemp("faces"))


@pytest.fixture(scope="session")
def cache(tmp_path_factory) -> Path:
    """One cache folder for all tests."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def store(tmp_path, monkeypatch) -> str:
    """A new MLflow store; it is also the working directory's, so that nothing is left in the repository."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


@pytest.fixture(scope="session")
def command():
    """Runs `emotion-mlflow` as its users do, in a process of its own."""

    def run(*arguments: object, cwd: Path, timeout: int = 600, **environment: str) -> subprocess.CompletedProcess:
        inherited = without_mlflow()
        return subprocess.run(
            [sys.executable, "-m", "emotion_mlflow", *map(str, arguments)],
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=timeout,
            env=inherited | {"PYTHONWARNINGS": "default"} | environment,
            check=False,
        )

    return run


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What one real training left behind."""

    uri: str
    folder: Path
    done: subprocess.CompletedProcess

    @property
    def answer(self) -> dict[str, Any]:
        return json.loads(self.done.stdout)

    @property
    def run_id(self) -> str:
        return self.answer["run_id"]

    @property
    def client(self) -> Any:
        import mlflow

        return mlflow.MlflowClient(self.uri)

    def run(self, run_id: str = "") -> Any:
        return self.client.get_run(run_id or self.run_id)

    def file(self, name: str, folder: Path, run_id: str = "") -> Path:
        """An artifact of a run, downloaded."""
        return Path(self.client.download_artifacts(run_id or self.run_id, name, str(folder)))

    def files(self, run_id: str = "", below: str = "") -> list[str]:
        """Every artifact of a run."""
        found = []
        for item in self.client.list_artifacts(run_id or self.run_id, below):
            found += self.files(run_id, item.path) if item.is_dir else [item.path]
        return found

    def model(self, folder: Path) -> Path:
        """The files of version 1, downloaded."""
        import mlflow

        before = mlflow.get_tracking_uri()
        mlflow.set_tracking_uri(self.uri)
        try:
            return Path(mlflow.artifacts.download_artifacts(artifact_uri="models:/emotion/1", dst_path=str(folder)))
        finally:
            mlflow.set_tracking_uri(before)
            os.environ.pop("MLFLOW_TRACKING_URI", None)

    def runs(self) -> list[Any]:
        """All runs of the store."""
        experiments = [experiment.experiment_id for experiment in self.client.search_experiments()]
        return self.client.search_runs(experiments)


@pytest.fixture(scope="session")
def small() -> list[str]:
    """Flags of a training that takes seconds."""
    return SMALL


@pytest.fixture(scope="session")
def trained(command, faces, cache, tmp_path_factory) -> Trained:
    """One training into a store of its own, that many tests look at."""
    folder = tmp_path_factory.mktemp("trained")
    flags = ["--data", faces, "--cache-dir", cache, "--json"]
    done = command("train", *SMALL, *flags, cwd=folder, PYTHONWARNINGS="")
    assert done.returncode == 0, done.stderr
    return Trained(uri=f"sqlite:///{folder / 'mlflow.db'}", folder=folder, done=done)


@contextlib.contextmanager
def serving(arguments: list[str], *, health: str, cwd: Path, log: Path, **environment: str) -> Iterator[None]:
    """A server process of this Python's environment, from its first healthy answer until it is stopped."""
    bin_folder = str(Path(sys.executable).parent)
    inherited = without_mlflow()
    inherited["PATH"] = os.pathsep.join([bin_folder, os.environ["PATH"]])
    with log.open("wb") as out:
        process = subprocess.Popen(
            [f"{bin_folder}/{arguments[0]}", *arguments[1:]],
            cwd=cwd,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=inherited | environment,
            start_new_session=True,
        )
    try:
        _wait_until_healthy(process, health, log)
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_until_healthy(process: subprocess.Popen, health: str, log: Path) -> None:
    for _ in range(480):
        if process.poll() is not None:
            pytest.fail(f"the server ended at once: {log.read_text()[-2000:]}")
        try:
            with urllib.request.urlopen(health, timeout=5):
                return
        except OSError:
            time.sleep(0.25)
    pytest.fail(f"the server did not answer within 120 s: {log.read_text()[-2000:]}")


@pytest.fixture(scope="session")
def serve() -> Callable:
    """`with serve(["mlflow", ...], health=URL, cwd=..., log=FILE):` runs a real server."""
    return serving


@pytest.fixture(scope="session")
def port() -> Callable[[], int]:
    """A port nobody listens on."""
    return free_port


@pytest.fixture(scope="session")
def installed() -> None:
    """PostgreSQL is there; skips where it is not, fails where it could be."""
    if programs() is None:
        could_be = not os.geteuid() and Path("/etc/debian_version").exists()
        lacking("no PostgreSQL: initdb is absent (`make engine` installs it)", in_ci=could_be)


@pytest.fixture
def database(installed) -> Iterator[Any]:
    """A real PostgreSQL that a test may stop and start."""
    with postgres() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def lasting_database(installed) -> Iterator[Any]:
    """A real PostgreSQL that stays."""
    with postgres() as cluster:
        yield cluster


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def server(request, tmp_path_factory) -> Iterator[str]:
    """The address of a real tracking server, on each kind of database in turn."""
    folder = tmp_path_factory.mktemp("server")
    number = free_port()
    sqlite = request.param == "sqlite"
    backend = f"sqlite:///{folder}/mlflow.db" if sqlite else request.getfixturevalue("lasting_database").uri
    arguments = ["mlflow", "server", "--backend-store-uri", backend, "--workers", "1"]
    arguments += ["--artifacts-destination", str(folder / "artifacts"), "--port", str(number)]
    uri = f"http://127.0.0.1:{number}"
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with serving(arguments, health=f"{uri}/health", cwd=folder, log=folder / "log.txt", **quiet):
        yield uri


@dataclass(kw_only=True)
class Counter:
    """A proxy before the server that remembers what was asked."""

    uri: str
    requests: list[tuple[str, str, bytes]] = field(default_factory=list)
    """(method, path, body), in order."""


@pytest.fixture(scope="session")
def counted(server) -> Iterator[Counter]:
    """The same server behind a proxy that keeps every request."""
    with counting_proxy(server) as (uri, requests):
        yield Counter(uri=uri, requests=requests)


@pytest.fixture(scope="session")
def trained_on_server(command, faces, cache, tmp_path_factory, counted) -> Trained:
    """The same training as `trained`, tracked by the server."""
    folder = tmp_path_factory.mktemp("trained_on_server")
    flags = ["--data", faces, "--cache-dir", cache, "--tracking-uri", counted.uri, "--json"]
    done = command("train", *SMALL, *flags, cwd=folder, PYTHONWARNINGS="")
    assert done.returncode == 0, done.stderr
    return Trained(uri=counted.uri, folder=folder, done=done)


@pytest.fixture
def typed(capsys) -> Callable[..., tuple[int, str, str]]:
    """What `emotion-mlflow` with these words does, run here: (exit code, stdout, stderr)."""
    from emotion_mlflow.cli import main

    def run(*words: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stopped:
            main([str(word) for word in words])
        told = capsys.readouterr()
        return stopped.value.code, told.out, told.err

    return run


@pytest.fixture(scope="session")
def weights_file(tmp_path_factory) -> Path:
    """MobileNetV3Small's weights as if trained but for its last norm, which still stands at its start."""
    from emotion_mlflow.models.backbones import load_trunk, norm_layers

    trunk = load_trunk("mobilenetv3small", weights="none", image_size=32)
    for layer in norm_layers(trunk.network)[:-1]:
        gamma, beta, mean, variance = layer.get_weights()
        layer.set_weights([gamma, beta + 0.1, mean + 0.1, variance * 1.5])
    file = tmp_path_factory.mktemp("weights") / "small.weights.h5"
    trunk.network.save_weights(file)
    return file
