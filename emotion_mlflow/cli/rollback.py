"""`emotion-mlflow rollback`."""

from typing import Any

import click

from emotion_mlflow.cli.options import ROLLBACK, with_options


@click.command("rollback")
@with_options(ROLLBACK)
def command(as_json: bool, **flags: Any) -> int:
    """Give the alias back to the version that had it before (@previous)."""
    from emotion_mlflow.cli import terminal
    from emotion_mlflow.cli.promote import show_decision
    from emotion_mlflow.jobs.promotion_request import RollbackRequest

    request = RollbackRequest(
        **{name: flags[name] for name in ("to", "model_name", "experiment")},
        tracking_uri=flags["tracking_uri"] or None,
        command=terminal.command_line(),
    )
    request.check()
    with terminal.working(tensorflow=False) as watcher:
        from emotion_mlflow.jobs.promotion import rollback

        decision = rollback(request, watcher)
    show_decision(decision, as_json=as_json)
    return 1 if decision.refused else 0
