"""Kills a training with SIGKILL at random moments and resumes it until it ends: the result must be the same.

`python -m benchmarks.campaign_kill --kills 20`, or `make campaign-kill`; exit code 1 where anything differs.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import numpy as np

from emotion_mlflow.tracking.environment import without_mlflow

SMALL = ["--backbone", "mobilenetv3small", "--weights", "none", "--image-size", "32", "--data", "demo", "--limit", "64"]
KINDS = {
    "pixels": [*SMALL, "--recipe", "improved", "--epochs", "5"],
    "features": [*SMALL, "--recipe", "probe", "--epochs", "12"],
}
LONGEST = 1800
"""Seconds that a training may take."""
TAKES_TIME = ("seconds", "memory", "system/", "images_per_second", "latency", "validation_seconds")
"""Parts of the names of figures that no two runs share."""


def takes_time(name: str) -> bool:
    """Whether a figure is one that no two runs share."""
    return any(part in name for part in TAKES_TIME)


@dataclass(kw_only=True)
class Fate:
    """What a killed training went through."""

    kills: int = 0
    before_the_run: int = 0
    """Kills that fell before the run was opened: the command was typed again."""
    differences: list[str] = field(default_factory=list)


def undisturbed(kind: str, folder: Path) -> tuple[str, float]:
    """(run id, seconds) of a training that nobody touched, in a store of its own below `folder`."""
    started = time.perf_counter()
    told = answer(_start(kind, folder / "whole", folder / "cache"))
    return str(told["run_id"]), time.perf_counter() - started


def killed(
    kind: str, folder: Path, *, name: str, kills: int, seconds: float, rng: np.random.Generator
) -> tuple[str, Fate]:
    """(run id, fate) of a training killed `kills` times, at moments drawn over the life of an undisturbed one."""
    place, fate, run_id = folder / name, Fate(), ""
    place.mkdir(parents=True)
    while True:
        process = _start(kind, place, folder / "cache", resume=run_id)
        if fate.kills < kills:
            moment = float(rng.uniform(0.15, 0.95)) * seconds
            try:
                process.wait(moment)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                fate.kills += 1
                process.communicate()
                run_id = run_id or _only_run(place)
                fate.before_the_run += not run_id
                continue
        return str(answer(process)["run_id"]), fate


def answer(process: "subprocess.Popen[str]") -> dict[str, Any]:
    """What the training printed."""
    try:
        out, err = process.communicate(timeout=LONGEST)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise click.ClickException(f"a training had not ended after {LONGEST} s") from None
    if process.returncode:
        raise click.ClickException(f"a training ended with {process.returncode}: {out[-300:]} {err[-800:]}")
    told: dict[str, Any] = json.loads(out)
    return told


def differences(folder: Path, whole: str, name: str, run_id: str) -> list[str]:
    """What of the killed run is not as in the undisturbed one, to the last bit."""
    first, second = _Record(folder / "whole", whole), _Record(folder / name, run_id)
    found = [
        f"metric {key}" for key in sorted(first.metrics | second.metrics) if first.history(key) != second.history(key)
    ]
    for table in ("train", "val", "test", "check"):
        same = first.table(f"predictions/{table}.parquet").equals(second.table(f"predictions/{table}.parquet"))
        found += [] if same else [f"predictions of {table}"]
    found += [] if first.network() == second.network() else ["the network's weights"]
    found += [] if second.status == "FINISHED" else [f"status {second.status}"]
    found += [] if second.versions == 1 else [f"{second.versions} registered versions"]
    return found


class _Record:
    """What a run left in its store."""

    def __init__(self, place: Path, run_id: str) -> None:
        import mlflow

        self.client, self.run_id = mlflow.MlflowClient(f"sqlite:///{place / 'mlflow.db'}"), run_id
        run = self.client.get_run(run_id)
        self.status = run.info.status
        self.metrics = {key for key in run.data.metrics if not takes_time(key)}
        self.versions = len(self.client.search_model_versions(f"run_id = '{run_id}'"))

    def history(self, key: str) -> list[tuple[int, float]]:
        return sorted((each.step, each.value) for each in self.client.get_metric_history(self.run_id, key))

    def table(self, name: str) -> Any:
        import pandas as pd

        with tempfile.TemporaryDirectory() as folder:
            table = pd.read_parquet(self.client.download_artifacts(self.run_id, name, folder))
        return table.map(lambda value: value.tolist() if isinstance(value, np.ndarray) else value)

    def network(self) -> list[bytes]:
        """Every weight of the last logged model, as bytes."""
        import h5py

        version = self.client.search_model_versions(f"run_id = '{self.run_id}'")[0]
        place = self.client.get_model_version_download_uri(version.name, version.version)
        weights: list[bytes] = []
        (file,) = Path(place.removeprefix("file://")).rglob("network.keras")
        with (
            tempfile.TemporaryDirectory() as folder,
            zipfile.ZipFile(file) as packed,
            h5py.File(packed.extract("model.weights.h5", folder)) as stored,
        ):
            stored.visititems(lambda _, item: weights.append(item[()].tobytes()) if hasattr(item, "dtype") else None)
        return weights


def _start(kind: str, place: Path, cache: Path, *, resume: str = "") -> "subprocess.Popen[str]":
    place.mkdir(parents=True, exist_ok=True)
    asked = ["--resume", resume] if resume else KINDS[kind]
    command = [sys.executable, "-m", "emotion_mlflow", "train", *asked, "--cache-dir", str(cache), "--json"]
    inherited = without_mlflow()
    return subprocess.Popen(
        [*command, "--tracking-uri", f"sqlite:///{place / 'mlflow.db'}"],
        cwd=place,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=inherited,
        start_new_session=True,
    )


def _only_run(place: Path) -> str:
    """The id of the run that was opened before the kill; empty where there was none."""
    import mlflow

    if not (place / "mlflow.db").is_file():
        return ""
    client = mlflow.MlflowClient(f"sqlite:///{place / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("emotion")
    runs = client.search_runs([experiment.experiment_id]) if experiment else []
    return str(runs[0].info.run_id) if runs else ""


def run(*, kills: int, each: int, seed: int, folder: Path, show: Callable[[str], None]) -> bool:
    """`kills` in all, up to `each` in one run, pixels and features by turns; True where nothing ever differed."""
    rng = np.random.default_rng(seed)
    wholes = {kind: undisturbed(kind, folder / kind) for kind in KINDS if kills > 1 or kind == "pixels"}
    done, number, clean = 0, 0, True
    while done < kills:
        kind = list(wholes)[number % len(wholes)]
        whole, seconds = wholes[kind]
        name = f"killed{number}"
        wanted = min(int(rng.integers(1, each + 1)), kills - done)
        run_id, fate = killed(kind, folder / kind, name=name, kills=wanted, seconds=seconds, rng=rng)
        fate.differences = differences(folder / kind, whole, name, run_id)
        told = fate.differences or "the same to the last bit"
        show(f"{kind}, {fate.kills} kills ({fate.before_the_run} before the run was opened): {told}")
        done, number, clean = done + fate.kills, number + 1, clean and not fate.differences
    show(f"{done} kills in {number} trainings: {'nothing differed' if clean else 'SOMETHING DIFFERED'}")
    return clean


@click.command()
@click.option("--kills", default=20, show_default=True)
@click.option("--each", default=3, show_default=True, help="Kills of one training at most.")
@click.option("--seed", default=0, show_default=True)
def main(kills: int, each: int, seed: int) -> None:
    """Kills and resumes trainings."""
    with tempfile.TemporaryDirectory(prefix="emotion-mlflow-kill-") as folder:
        sys.exit(0 if run(kills=kills, each=each, seed=seed, folder=Path(folder), show=click.echo) else 1)


if __name__ == "__main__":
    main()
