"""`emotion-mlflow compare`."""

from pathlib import Path
from typing import Any

import click

from emotion_mlflow.cli.options import COMPARE, with_options
from emotion_mlflow.errors import without_password


@click.command("compare")
@with_options(COMPARE)
def command(as_json: bool, **flags: Any) -> None:
    """Compare the best validated configuration of each backbone, from the registry: tests, report, diagnosis.

    A winner is named only where a paired test finds one.
    """
    from emotion_mlflow.cli import terminal
    from emotion_mlflow.jobs.comparison import CompareRequest, compare

    names = ("recipe", "metric", "test_digest", "experiment", "model_name", "show_faces")
    request = CompareRequest(
        **{name: flags[name] for name in names},
        backbones=_listed(flags["backbones"]),
        models=_listed(flags["models"]),
        out=Path(flags["out"]).expanduser(),
        tracking_uri=flags["tracking_uri"] or None,
        cache_dir=terminal.cache_folder(flags["cache_dir"]),
        command=terminal.command_line(),
    )
    request.check()
    with terminal.working(tensorflow=False) as watcher:
        outcome = compare(request, watcher)
    show_comparison(outcome, as_json=as_json)


def show_comparison(outcome: Any, *, as_json: bool) -> None:
    """The one JSON object, or the tables and where the report is."""
    from emotion_mlflow.cli import terminal

    if as_json:
        terminal.show(outcome.to_dict())
        return
    from rich.console import Console

    from emotion_mlflow.report.terminal import show

    console = Console()
    show(console, outcome.comparison)
    console.print(f"report: {outcome.report}", highlight=False, soft_wrap=True)
    console.print(f"run {outcome.run_id} in {without_password(outcome.tracking_uri)}", highlight=False, soft_wrap=True)


def _listed(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.split(",") if item.strip())
