"""`emotion-mlflow reap`."""

from typing import Any

import click

from emotion_mlflow.cli.options import REAP, with_options
from emotion_mlflow.errors import ConfigError


@click.command("reap")
@with_options(REAP)
def command(as_json: bool, **flags: Any) -> None:
    """Mark as KILLED the trainings that the server believes to be running and whose process is gone."""
    from emotion_mlflow.cli import terminal

    if not flags["older_than"] >= 0:
        raise ConfigError("seconds from 0 on", got=flags["older_than"], where="--older-than")
    with terminal.working(tensorflow=False):
        from emotion_mlflow.tracking.syncing import reap

        names = ("older_than", "dry_run")
        found = reap(tracking_uri=flags["tracking_uri"] or None, **{name: flags[name] for name in names})
    if as_json:
        terminal.show({"dry_run": flags["dry_run"], "runs": [vars(one) for one in found]})
        return
    for one in found:
        click.echo(f"{one.run_id} ({one.name}): last heartbeat {one.heartbeat}")
    done = "would be marked" if flags["dry_run"] else "marked"
    click.echo(f"{len(found)} runs {done} KILLED")
