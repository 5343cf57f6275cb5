"""Sixteen trainings log at once while five readers look on: nothing lost, nothing doubled, no 5xx answer.

`python -m benchmarks.campaign_load`, or `make campaign-load`, on SQLite and on PostgreSQL; exit code 1 where a limit is
missed. A writer logs as `train` does, through a journal: settings, 24 figures every 2 s, files at its end;
a reader asks what the MLflow UI asks. The server's own access log says how each request was answered.
"""

import contextlib
import multiprocessing
import os
import re
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.campaign_outage import Server
from benchmarks.postgres import postgres

WRITERS, READERS, PROCESSES = 16, 5, 2
EVERY = 2.0
"""Seconds between two epochs of a writer."""
FIGURES = 24
SETTINGS = {f"setting_{number}": number for number in range(60)}
FILES = {f"figures/{number}.png": bytes([number]) * 100_000 for number in range(8)}
EXPERIMENT = "load"
FAULT = re.compile(r"^\S*(Error|Exception)\b.*: ")
"""Last line of a traceback in the server's log."""
LINES = 10
ANSWER = re.compile(r'"(GET|POST|PUT|PATCH|DELETE) (\S+) HTTP/1.1" (\d{3})')


@dataclass(kw_only=True)
class Written:
    """What the runs of one process sent, and how long the server took."""

    epochs: dict[str, int] = field(default_factory=dict)
    """Run id -> epochs logged."""
    unsent: int = 0
    seconds: list[float] = field(default_factory=list)
    """Of each log_batch request, failed ones too."""
    failed: int = 0
    """Of these."""


def write(uri: str, folder: str, number: int, seconds: float) -> Written:
    """Some writers, in a process of their own."""
    import mlflow

    from emotion_mlflow.tracking import journaled

    found, lock, plain = Written(), threading.Lock(), mlflow.MlflowClient.log_batch

    def timed(*arguments: Any, **named: Any) -> Any:
        begun, failed = time.perf_counter(), True
        try:
            answer = plain(*arguments, **named)
            failed = False
            return answer
        finally:
            with lock:
                found.seconds.append(time.perf_counter() - begun)
                found.failed += failed

    def train(which: int) -> None:
        place = {"tracking_uri": uri, "cache_dir": Path(folder, f"{number}-{which}")}
        with journaled.open_run(
            experiment=EXPERIMENT, name=f"{number}-{which}", tags={}, sync_wait=120, tell=print, **place
        ) as run:
            run.log_params(SETTINGS)
            until, epoch = time.monotonic() + seconds, 0
            while time.monotonic() < until:
                epoch += 1
                run.log_epoch({"epoch": epoch} | {name: figure(which, epoch, name) for name in names()})
                time.sleep(EVERY)
            run.journal.append("files", {}, FILES)
        with lock:
            found.epochs[run.run_id] = epoch
            found.unsent += run.unsent

    mlflow.MlflowClient.log_batch = timed
    try:
        with ThreadPoolExecutor(WRITERS // PROCESSES) as pool:
            list(pool.map(train, range(WRITERS // PROCESSES)))
    finally:
        mlflow.MlflowClient.log_batch = plain
    return found


def read(uri: str, seconds: float) -> int:
    """Five readers, in a process of their own; how often they asked."""
    import mlflow

    client, until = mlflow.MlflowClient(uri), time.monotonic() + seconds

    def look(_: int) -> int:
        asked = 0
        while time.monotonic() < until:
            experiment = client.get_experiment_by_name(EXPERIMENT)
            runs = client.search_runs([experiment.experiment_id], max_results=50) if experiment else []
            for run in runs[:4]:
                client.get_metric_history(run.info.run_id, names()[0])
                client.list_artifacts(run.info.run_id)
            client.search_registered_models(max_results=20)
            asked += 1 + 2 * len(runs[:4]) + 2
            time.sleep(0.2)
        return asked

    with ThreadPoolExecutor(READERS) as pool:
        return sum(pool.map(look, range(READERS)))


def names() -> list[str]:
    """Of an epoch's figures."""
    return [f"figure/{number}" for number in range(FIGURES)]


def figure(which: int, epoch: int, name: str) -> float:
    """Another number in every place, so that a swapped one is noticed."""
    return which * 1e6 + epoch * 100 + int(name.removeprefix("figure/"))


def faults(uri: str, epochs: dict[str, int]) -> list[str]:
    """Figures that the server lost, doubled or changed."""
    import mlflow

    client, found = mlflow.MlflowClient(uri), []
    for run_id, count in epochs.items():
        which = int(str(client.get_run(run_id).info.run_name).split("-")[1])
        for name in names():
            held = [(one.step, one.value) for one in client.get_metric_history(run_id, name)]
            if sorted(held) != [(epoch, figure(which, epoch, name)) for epoch in range(1, count + 1)]:
                found.append(f"{run_id} {name}: {len(held)} of {count}")
    return found


def lacking(uri: str, run_id: str) -> list[str]:
    """Settings and files that the server lost."""
    import mlflow

    client = mlflow.MlflowClient(uri)
    params = client.get_run(run_id).data.params
    files = {item.path: item.file_size for item in client.list_artifacts(run_id, "figures")}
    found = [name for name, value in SETTINGS.items() if params.get(f"config/{name}") != str(value)]
    found += [path for path, content in FILES.items() if files.get(path) != len(content)]
    return [f"{run_id} {name}" for name in found]


def at_once(uri: str, count: int) -> list[str]:
    """Every one of `count` runs logs a batch at the same moment, once; why some were refused."""
    import mlflow

    client = mlflow.MlflowClient(uri)
    experiment = client.create_experiment(f"{count} at once")
    runs = [client.create_run(experiment).info.run_id for _ in range(count)]
    all_ready = threading.Barrier(count)

    def log(run_id: str) -> str:
        metrics = [mlflow.entities.Metric(name, 1.0, 0, 1) for name in names()]
        all_ready.wait()
        try:
            client.log_batch(run_id, metrics)
        except mlflow.MlflowException as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(count) as pool:
        return [refusal for refusal in pool.map(log, runs) if refusal]


@contextlib.contextmanager
def serving(database: str) -> Iterator[Server]:
    """A real server on either database."""
    with contextlib.ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="emotion-mlflow-load-")))
        cluster = opened.enter_context(postgres()) if database == "postgresql" else None
        server = Server(folder=folder / "server", cluster=cluster)
        server.start()
        opened.callback(server.stop)
        yield server


def run(database: str, *, seconds: float, show: Callable[[str], None]) -> bool:
    """One database under load; True where nothing was lost, doubled or refused."""
    with serving(database) as server:
        # spawned: a fork of a process with threads may die at any moment
        with ProcessPoolExecutor(PROCESSES + 1, mp_context=multiprocessing.get_context("spawn")) as pool:
            folder = str(server.folder / "caches")
            writers = [pool.submit(write, server.uri, folder, number, seconds) for number in range(PROCESSES)]
            asked = pool.submit(read, server.uri, seconds).result()
            written = [writer.result() for writer in writers]
        epochs = {run_id: count for one in written for run_id, count in one.epochs.items()}
        found = faults(server.uri, epochs) + [one for run_id in epochs for one in lacking(server.uri, run_id)]
        log = (server.folder / "server.log").read_text()
    answers = ANSWER.findall(log)
    statuses, unsent = Counter(status[0] + "xx" for _, _, status in answers), sum(one.unsent for one in written)
    taken = np.concatenate([one.seconds for one in written])
    show(
        f"{database:10}  {len(epochs)} runs, {sum(epochs.values()):,} epochs x {FIGURES} figures in {seconds:.0f} s, "
        f"{READERS} readers asked {asked:,} times; answers {dict(sorted(statuses.items()))}; log_batch median "
        f"{1000 * np.median(taken):.0f} ms, p95 {1000 * np.quantile(taken, 0.95):.0f} ms, failed "
        f"{sum(one.failed for one in written)}; unsent {unsent}; "
        f"lost or doubled {len(found)}{': ' + found[0] if found else ''}"
    )
    for what in (each for each in answers if each[2].startswith("5")):
        show(f"            {' '.join(what)}")
    for line in [line for line in log.splitlines() if FAULT.search(line)][:LINES]:
        show(f"            {line[:300]}")
    return not (found or unsent or statuses["5xx"]) and len(epochs) == WRITERS and bool(statuses["2xx"])


@click.command()
@click.option("--seconds", default=300.0, show_default=True)
@click.option("--database", type=click.Choice(["sqlite", "postgresql", "both"]), default="both", show_default=True)
def main(seconds: float, database: str) -> None:
    """Puts a tracking server under load."""
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    kinds = ["sqlite", "postgresql"] if database == "both" else [database]
    clean = [run(kind, seconds=seconds, show=click.echo) for kind in kinds]
    sys.exit(0 if all(clean) else 1)


if __name__ == "__main__":
    main()
