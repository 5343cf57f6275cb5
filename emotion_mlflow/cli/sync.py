"""`emotion-mlflow sync`."""

from typing import Any

import click

from emotion_mlflow.cli.options import SYNC, with_options


@click.command("sync")
@click.argument("run_id", default="")
@with_options(SYNC)
def command(run_id: str, as_json: bool, **flags: Any) -> int:
    """Send what trainings could not send because the tracking server was away, and register what was due.

    Of every training on this machine, or of RUN_ID alone.
    """
    from emotion_mlflow.cli import terminal

    with terminal.working(tensorflow=False) as watcher:
        from emotion_mlflow.tracking.syncing import sync

        done = sync(
            terminal.cache_folder(flags["cache_dir"]),
            run_id=run_id,
            tracking_uri=flags["tracking_uri"] or None,
            tell=watcher.warn,
        )
    if as_json:
        terminal.show({"runs": [one.to_dict() for one in done]})
    else:
        for one in done:
            version = f", registered as {one.model_name} version {one.model_version}" if one.model_version else ""
            problem = f"; {one.problem}" if one.problem else ""
            click.echo(f"{one.run_id}: {one.sent} sent, {one.unsent} unsent, {one.status or 'open'}{version}{problem}")
        if not done:
            click.echo("nothing is unsent")
    return 1 if any(one.unsent or one.problem for one in done) else 0
