"""`emotion-mlflow evaluate`."""

from typing import Any

import click

from emotion_mlflow.cli.options import EVALUATE, with_options


@click.command("evaluate")
@with_options(EVALUATE)
def command(as_json: bool, **flags: Any) -> None:
    """Score a registered version on faces, as a run of its own.

    On the set it was trained on, the faces of a split are those that its training logged; of any other set all
    faces are scored.
    """
    from emotion_mlflow.cli import terminal
    from emotion_mlflow.cli.train import show_outcome
    from emotion_mlflow.jobs.request import EvaluateRequest

    names = ("model", "data", "data_format", "split", "max_rejected", "experiment", "show_faces")
    request = EvaluateRequest(
        **{name: flags[name] for name in names},
        tracking_uri=flags["tracking_uri"] or None,
        cache_dir=terminal.cache_folder(flags["cache_dir"]),
        command=terminal.command_line(),
    )
    request.check()  # before TensorFlow is imported, which takes seconds
    with terminal.working() as watcher:
        from emotion_mlflow.jobs.evaluation import evaluate

        outcome = evaluate(request, watcher)
    show_outcome(outcome, as_json=as_json)
