"""The README's pictures, from a demo run on drawn faces: the report's first screen, and a run in the MLflow UI.

`python -m benchmarks.pictures [--store FOLDER]`, or `make pictures`; FOLDER holds an earlier demo's mlflow.db and
comparison/. Needs Chromium and its driver (`make engine`).
"""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from benchmarks.chromium import chromium
from benchmarks.figures import ROOT
from benchmarks.postgres import free_port
from emotion_mlflow.data.sets import DEMO

IMAGES = ROOT / "docs" / "images"
NAMES = ("report.png", "mlflow_ui.png")
"""All that the README and the documents show."""
WIDTH = 1400
PATIENCE = 120
"""Seconds until a page or a server is there."""
TIDY = """
for (const button of document.querySelectorAll("button")) {
    const closes = /close/i.test(button.getAttribute("aria-label") || "");
    if (closes && button.getBoundingClientRect().left > 900) button.click();
}
for (const each of document.querySelectorAll("div, span"))
    if (!each.children.length && each.textContent.includes("/artifacts/figures/")) each.textContent = "";
"""
"""MLflow 3.17 opens a panel for a chat over a quarter of the page; the artifact's path is this machine's."""


@click.command()
@click.option(
    "--store", type=click.Path(exists=True, file_okay=False, path_type=Path), help="An earlier demo's folder."
)
def main(store: Path | None) -> None:
    """Draws docs/images/report.png and docs/images/mlflow_ui.png."""
    with tempfile.TemporaryDirectory(prefix="emotion-mlflow-pictures-") as scratch:
        folder, profile = store or Path(scratch), Path(scratch, "profile")
        if store is None:
            subprocess.run([sys.executable, "-m", "emotion_mlflow", "demo"], cwd=folder, check=True)
        else:
            require_drawn(_sets(folder))
        IMAGES.mkdir(parents=True, exist_ok=True)
        with chromium(profile, width=WIDTH, height=900) as browser:
            browser.get((folder / "comparison" / "report.html").resolve().as_uri())
            _shoot(browser, NAMES[0])
        with _ui(folder) as address, chromium(profile, width=WIDTH, height=860) as browser:
            page = f"{address}/#/experiments/1/runs/{_first_training(folder)}"
            browser.get(f"{page}/artifacts/figures/learning_curves.png")
            _wait_for(browser, "reliability_diagram.png")
            browser.execute_script(TIDY)
            time.sleep(5)  # until the picture has come
            _shoot(browser, NAMES[1])


def require_drawn(sets: Iterable[str]) -> None:
    """ClickException where a training of the store was on other faces: nobody's face is shown in these pages."""
    if others := [name for name in sets if name != DEMO]:
        raise click.ClickException(f"expected a store with trainings on drawn faces alone; got {others[0]}")


def _sets(folder: Path) -> list[str]:
    """What each run of the store was trained or scored on."""
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    runs = client.search_runs([each.experiment_id for each in client.search_experiments()])
    return [run.data.params["config/data.data"] for run in runs if "config/data.data" in run.data.params]


def _shoot(browser: Any, name: str) -> None:
    browser.save_screenshot(str(IMAGES / name))
    click.echo(f"docs/images/{name}")


def _wait_for(browser: Any, text: str) -> None:
    for _ in range(PATIENCE):
        if text in browser.page_source:
            return
        time.sleep(1)
    raise click.ClickException(f"the MLflow UI did not show {text}")


@contextlib.contextmanager
def _ui(folder: Path) -> Iterator[str]:
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"]
    with (Path(folder) / "ui.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--workers", "1", "--port", str(port)],
            cwd=folder,
            stdout=log,
            stderr=log,
            env=os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            start_new_session=True,
        )
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(PATIENCE):
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{address}/health", timeout=5):  # noqa: S310
                break
            time.sleep(1)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def _first_training(folder: Path) -> str:
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    return str(client.get_model_version("emotion", "1").run_id)


if __name__ == "__main__":
    main()
