"""Requests to the tracking server per epoch, counted by a proxy between real trainings and a real MLflow server.

Trainings of FEW and of MANY epochs differ in epochs only, so the difference of their requests belongs to the epochs: a
training before them makes experiment and model, and is not counted. Batches of system metrics are counted apart.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figures import ROOT, Figure, Settings, plain
from benchmarks.proxy import counting_proxy
from emotion_mlflow.tracking.environment import without_mlflow

FEW, MANY = 2, 8


def measure(settings: Settings) -> list[Figure]:
    """Requests an epoch beside system metrics."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        _draw_faces(folder / "faces")
        with _server(folder) as port, counting_proxy(f"http://127.0.0.1:{port}") as (uri, seen):
            counts = []
            for epochs in (FEW, FEW, MANY):
                seen.clear()
                _train(folder, uri, epochs)
                counts.append(sum(not _is_system(body) for _, _, body in seen))
            few, many = counts[1:]
    what = f"{few} requests for {FEW} epochs, {many} for {MANY}, system metrics left out"
    value = (many - few) / (MANY - FEW)
    return [plain("requests to the tracking server an epoch", [value], unit="requests", target=2, what=what)]


def _is_system(body: bytes) -> bool:
    """A batch of system metrics alone."""
    try:
        asked = json.loads(body or b"{}")
    except ValueError:  # an artifact's bytes
        return False
    metrics = asked.get("metrics", []) if isinstance(asked, dict) else []
    return bool(metrics) and all(metric["key"].startswith("system/") for metric in metrics)


def _train(folder: Path, uri: str, epochs: int) -> None:
    small = ["--backbone", "mobilenetv3small", "--weights", "none", "--recipe", "improved", "--image-size", "32"]
    small += ["--batch-size", "4"]  # epochs of seconds
    places = [
        "--data",
        str(folder / "faces" / "faces.csv"),
        "--cache-dir",
        str(folder / "cache"),
        "--tracking-uri",
        uri,
    ]
    command = [sys.executable, "-m", "emotion_mlflow", "train", *small, *places, "--json", "--epochs", str(epochs)]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, env=_environment())


def _draw_faces(folder: Path) -> None:
    from emotion_mlflow.data.demo import demo_manifest

    manifest = demo_manifest(folder, train=64, validation=16)
    table = manifest.table.assign(
        path=[str(manifest.root.relative_to(folder) / path) for path in manifest.table["path"]]
    )
    table["split"] = table["part"]
    table.drop(columns=["crop_x", "crop_y", "crop_width", "crop_height", "part"]).to_csv(
        folder / "faces.csv", index=False
    )


@contextlib.contextmanager
def _server(folder: Path) -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--port", str(port)]
    command += [
        "--backend-store-uri",
        f"sqlite:///{folder}/mlflow.db",
        "--artifacts-destination",
        str(folder / "artifacts"),
    ]
    environment = _environment() | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, env=environment, start_new_session=True)
    try:
        for _ in range(480):
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                break
            time.sleep(0.25)
        yield port
    finally:
        os.killpg(process.pid, signal.SIGTERM)  # the workers it started too
        process.wait(30)


def _environment() -> dict[str, str]:
    kept = without_mlflow()
    return kept | {"PYTHONPATH": str(ROOT)}
