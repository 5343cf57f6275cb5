"""`emotion-mlflow compare`."""

from typing import Any

import click

from emotion_mlflow.cli.options import COMPARE, with_options
from emotion_mlflow.places import expanded


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
        out=expanded(flags["out"], "--out"),
        tracking_uri=flags["tracking_uri"] or None,
        cache_dir=terminal.cache_folder(flags["cache_dir"]),
        command=terminal.command_line(),
    )
    request.check()
    with terminal.working(tensorflow=False) as watcher:
        outcome = compare(request, watcher)
    show_comparison(outcome, as_json=as_json)


def show_comparison(outcome: Any, *, as_json: bool) -> None:
    """The one JSON object, or the tables; and where the report is, beside JSON on stderr."""
    from rich.console import Console

    from emotion_mlflow.cli import terminal
    from emotion_mlflow.cli.tables import say
    from emotion_mlflow.report.terminal import show

    console = Console(stderr=as_json)
    if as_json:
        terminal.show(outcome.to_dict())
    else:
        show(console, outcome.comparison)
    say(console, f"report: {outcome.report}")
    say(console, f"run {outcome.run_id} in {outcome.tracking_uri}")


def _listed(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.split(",") if item.strip())
