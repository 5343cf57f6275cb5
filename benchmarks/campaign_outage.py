"""Stops and starts a real tracking server at random moments of real trainings: what it holds must be the same.

`python -m benchmarks.campaign_outage --outages 20`, or `make campaign-outage`; exit code 1 where anything differs.
"""

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.campaign_kill import LONGEST, answer, takes_time
from benchmarks.postgres import Postgres, free_port, postgres
from emotion_mlflow.tracking.environment import without_mlflow

SMALL = ["--backbone", "mobilenetv3small", "--weights", "none", "--image-size", "32", "--recipe", "improved"]
SMALL += ["--data", "demo", "--limit", "32", "--epochs", "3"]
CONNECTIONS = {"MLFLOW_SQLALCHEMYSTORE_POOL_SIZE": "10", "MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW": "35"}
"""As in docker/compose.yaml, which says why."""
TIMED_FILES = ("python_env.yaml", "MLmodel", "network.keras")
"""Files with times, ids or packing dates in them; of these only the presence is compared (the weights are, apart)."""
TAGS_OF_A_MOMENT = ("heartbeat", "mlflow.source.git.commit")


@dataclass(kw_only=True)
class Server:
    """A real MLflow server that can be stopped and started at the same place."""

    folder: Path
    cluster: Postgres | None = None
    """Its database; else a SQLite file in the folder."""
    port: int = 0
    process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = self.port or free_port()
        command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--port", str(self.port)]
        command += ["--backend-store-uri", self.cluster.uri if self.cluster else f"sqlite:///{self.folder}/mlflow.db"]
        command += ["--artifacts-destination", str(self.folder / "artifacts")]
        environment = _environment() | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"} | CONNECTIONS
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=self.folder, stdout=log, stderr=log, env=environment, start_new_session=True
            )
        until = time.monotonic() + 240
        while time.monotonic() < until:
            with (
                contextlib.suppress(OSError),
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5),
            ):
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.2)
        raise click.ClickException(f"the server did not start: {(self.folder / 'server.log').read_text()[-800:]}")

    def stop(self, number: int = signal.SIGTERM) -> None:
        """At once with SIGKILL, else as an administrator does."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        with contextlib.suppress(ProcessLookupError):  # workers that outlive the one that started them
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process = None


@dataclass(frozen=True, kw_only=True)
class Held:
    """Everything that a server holds of a run, in comparable form."""

    status: str
    params: dict[str, str]
    tags: dict[str, str]
    metrics: dict[str, list[tuple[int, float]]]
    inputs: list[tuple[str, str]]
    files: dict[str, str]
    models: list[tuple[str, str]]
    model_files: dict[str, str]
    weights: str
    versions: list[dict[str, str]]


def held(uri: str, run_id: str) -> Held:
    """What the server at `uri` has of a run."""
    import mlflow

    client = mlflow.MlflowClient(uri)
    run = client.get_run(run_id)
    models = client.search_logged_models(
        [run.info.experiment_id], filter_string=f"source_run_id = '{run_id}'", max_results=50
    )
    versions = client.search_model_versions(f"run_id = '{run_id}'")
    with tempfile.TemporaryDirectory() as scratch:
        own = Path(client.download_artifacts(run_id, "", scratch))
        files = _digests(own)
    with tempfile.TemporaryDirectory() as scratch:
        place = f"models:/{models[0].model_id}" if models else ""
        mlflow.set_tracking_uri(uri)
        model = Path(mlflow.artifacts.download_artifacts(artifact_uri=place, dst_path=scratch)) if place else None
        model_files = _digests(model) if model else {}
        weights = _weights(model / "artifacts" / "network.keras") if model else ""
    return Held(
        status=run.info.status,
        # somebody may edit the code meanwhile
        params={name: text for name, text in run.data.params.items() if not name.startswith("config/git/")},
        tags={name: text for name, text in run.data.tags.items() if name not in TAGS_OF_A_MOMENT},
        metrics={
            key: sorted((each.step, each.value) for each in client.get_metric_history(run_id, key))
            for key in run.data.metrics
            if not takes_time(key)
        },
        inputs=sorted((one.dataset.name, one.dataset.digest) for one in run.inputs.dataset_inputs),
        files=files,
        models=[(one.name, str(one.status)) for one in models],
        model_files=model_files,
        weights=weights,
        versions=[dict(version.tags) for version in versions],
    )


def differences(whole: Held, other: Held) -> list[str]:
    """What is not as in the undisturbed run."""
    found = []
    for name, expected in vars(whole).items():
        got = getattr(other, name)
        if got == expected:
            continue
        if isinstance(expected, dict):
            keys = sorted(key for key in expected | got if expected.get(key) != got.get(key))
            found.append(f"{name}: {', '.join(keys[:5])}")
        else:
            found.append(f"{name}: {got!r}"[:200])
    return found


def disturbed(
    server: Server,
    flags: list[str],
    folder: Path,
    *,
    outages: int,
    seconds: float,
    writes: int,
    rng: np.random.Generator,
) -> tuple[dict[str, Any], list[str]]:
    """(answer, outages told) of a training whose server goes away so often and always comes back.

    By turns at a moment of its life, and at a number of writes that the server has confirmed.
    """
    process, told = start(server, flags, folder), []
    cache = folder / "cache" / "journal"
    for number in range(outages):
        if number % 2:
            wanted = int(rng.integers(1, writes))
            _wait_for(process, lambda wanted=wanted: _sent(cache) >= wanted)
            moment = f"after {wanted} writes"
        else:
            moment = f"{rng.uniform(0.1, 0.8) * seconds / max(outages, 1):.0f} s on"
            with contextlib.suppress(subprocess.TimeoutExpired):
                _wait_for(process, lambda: _sent(cache) > 0)
                process.wait(float(moment.split()[0]))
        if process.poll() is not None:
            break
        pause = float(rng.uniform(0.5, 8))
        told.append(f"{_take_away(server, pause, rng)} {moment}, {pause:.1f} s")
    return answer(process), told


def _take_away(server: Server, pause: float, rng: np.random.Generator) -> str:
    """The server, or every other time the database under it, is gone for so many seconds; how it went."""
    rudely = rng.random() < 0.5
    if server.cluster and rng.random() < 0.5:
        server.cluster.stop(mode="immediate" if rudely else "fast")
        time.sleep(pause)
        server.cluster.start()
        return f"PostgreSQL stopped {'at once' if rudely else 'in order'}"
    number = signal.SIGKILL if rudely else signal.SIGTERM
    server.stop(number)
    time.sleep(pause)
    server.start()
    return signal.Signals(number).name


def start(server: Server, flags: list[str], folder: Path, *, sync_wait: int = 300) -> "subprocess.Popen[str]":
    """A training that logs to the server."""
    places = ["--cache-dir", str(folder / "cache"), "--tracking-uri", server.uri, "--json", "--sync-wait", sync_wait]
    return subprocess.Popen(
        [sys.executable, "-m", "emotion_mlflow", "train", *flags, *map(str, places)],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=_environment(),
        start_new_session=True,
    )


def run(
    *,
    outages: int,
    each: int,
    seed: int,
    folder: Path,
    show: Callable[[str], None],
    cluster: Postgres | None = None,
) -> bool:
    """`outages` in all, up to `each` in one training; True where nothing ever differed.

    With a PostgreSQL `cluster` it is stopped at times too, under a server that stays.
    """
    rng, server = np.random.default_rng(seed), Server(folder=folder / "server", cluster=cluster)
    folder.mkdir(parents=True, exist_ok=True)
    server.start()
    try:
        begun = time.perf_counter()
        first = answer(start(server, SMALL, folder))["run_id"]
        seconds = time.perf_counter() - begun
        whole, done, clean = held(server.uri, first), 0, True
        show(f"undisturbed: {seconds:.0f} s, {len(whole.metrics)} metrics, {len(whole.files)} files")
        writes = len(whole.files) + 12
        for _ in range(2 * outages + 2):  # one whose training was over too soon does not count
            if done >= outages:
                break
            told, faults = disturbed(
                server, SMALL, folder, outages=min(each, outages - done), seconds=seconds, writes=writes, rng=rng
            )
            found = differences(whole, held(server.uri, told["run_id"]))
            found += [f"unsent {told['unsent']}"] if told["unsent"] else []
            show(f"{'; '.join(faults) or 'no outage in time'}: {'; '.join(found) or 'the same'}")
            done, clean = done + len(faults), clean and not found
    finally:
        server.stop()
    show(f"{done} outages: {'nothing differed' if clean else 'SOMETHING DIFFERED'}")
    return clean and done >= outages


def _digests(folder: Path) -> dict[str, str]:
    """SHA-256 by name; tables by what is in them, and no digest where a file has times in it."""
    import pandas as pd

    found = {}
    for file in sorted(file for file in folder.rglob("*") if file.is_file()):
        name = file.relative_to(folder).as_posix()
        if file.suffix == ".parquet":
            table = pd.read_parquet(file).map(lambda value: value.tolist() if isinstance(value, np.ndarray) else value)
            found[name] = hashlib.sha256(table.to_csv().encode()).hexdigest()
        elif file.name == "history.csv":
            rows = pd.read_csv(file)
            kept = [column for column in rows if not takes_time(column)]
            found[name] = hashlib.sha256(rows[kept].to_csv().encode()).hexdigest()
        elif file.name == "card.json":  # its digest is of the packed network, dates and all
            card = json.loads(file.read_text()) | {"network_sha256": ""}
            found[name] = hashlib.sha256(json.dumps(card, sort_keys=True).encode()).hexdigest()
        elif file.name in TIMED_FILES:
            found[name] = "there" if file.stat().st_size else "empty"
        else:
            found[name] = hashlib.sha256(file.read_bytes()).hexdigest()
    return found


def _weights(network: Path) -> str:
    """One digest of every weight."""
    import zipfile

    import h5py

    digest = hashlib.sha256()
    with (
        tempfile.TemporaryDirectory() as folder,
        zipfile.ZipFile(network) as packed,
        h5py.File(packed.extract("model.weights.h5", folder)) as stored,
    ):
        stored.visititems(lambda _, item: digest.update(item[()].tobytes()) if hasattr(item, "dtype") else None)
    return digest.hexdigest()


def _sent(journals: Path) -> int:
    """Writes confirmed so far in the journal of the training at work."""
    for file in journals.glob("*/sent"):
        with contextlib.suppress(OSError):
            return file.read_bytes().count(b"\n")
    return 0


def _wait_for(process: "subprocess.Popen[str]", reached: Callable[[], bool]) -> None:
    until = time.monotonic() + LONGEST
    while process.poll() is None and not reached() and time.monotonic() < until:
        time.sleep(0.02)


def _environment() -> dict[str, str]:
    kept = without_mlflow()
    return kept | {"PYTHONPATH": str(Path(__file__).parents[1])}


@click.command()
@click.option("--outages", default=20, show_default=True)
@click.option("--each", default=3, show_default=True, help="Outages of one training at most.")
@click.option("--seed", default=0, show_default=True)
@click.option("--database", type=click.Choice(["sqlite", "postgresql"]), default="sqlite", show_default=True)
def main(outages: int, each: int, seed: int, database: str) -> None:
    """Stops and starts the server, or the PostgreSQL under it, while trainings run."""
    with contextlib.ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="emotion-mlflow-outage-")))
        cluster = opened.enter_context(postgres()) if database == "postgresql" else None
        clean = run(outages=outages, each=each, seed=seed, folder=folder, show=click.echo, cluster=cluster)
    sys.exit(0 if clean else 1)


if __name__ == "__main__":
    main()
