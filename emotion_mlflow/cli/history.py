"""`emotion-mlflow history`."""

from typing import Any

import click

from emotion_mlflow.cli.options import HISTORY, with_options


@click.command("history")
@with_options(HISTORY)
def command(as_json: bool, **flags: Any) -> None:
    """Show who was champion when, and mark moves that passed no gate."""
    from emotion_mlflow.cli import terminal
    from emotion_mlflow.jobs.promotion_request import HistoryRequest

    request = HistoryRequest(to=flags["to"], model_name=flags["model_name"], tracking_uri=flags["tracking_uri"] or None)
    request.check()
    with terminal.working(tensorflow=False):
        from emotion_mlflow.jobs.promotion import history

        found = history(request)
    if as_json:
        terminal.show(found.to_dict())
        return
    _show(found)


def _show(found: Any) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    if not found.moves:
        console.print(f"{found.model_name} has never had a @{found.alias}", highlight=False, markup=False)
        return
    table = Table(title=f"{found.model_name}@{found.alias}, oldest first", title_justify="left")
    for name in ("when", "version", "before", "how", "gates", "run", "by"):
        table.add_column(name)
    for move in found.moves:
        gates = Text("passed") if move.gated else Text("NO GATE PASSED", "bold red")
        table.add_row(
            move.time or "not written down",
            move.version or "nobody",
            move.previous or "nobody",
            move.kind,
            gates,
            move.run_id,
            Text(move.by),
        )
    console.print(table)
    if any(not move.gated for move in found.moves):
        line = "moves that passed no gate: made in the UI, say, or back to a version that never passed one"
        console.print(line, highlight=False, markup=False, soft_wrap=True)
