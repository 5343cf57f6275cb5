"""`emotion-mlflow promote`."""

from typing import Any

import click

from emotion_mlflow.cli.options import PROMOTE, with_options
from emotion_mlflow.places import expanded


@click.command("promote")
@with_options(PROMOTE)
def command(as_json: bool, **flags: Any) -> int:
    """Make a version @champion if it passes every gate; exit code 1 if it is refused.

    --backbone X takes the version that `compare` called @X. Each gate is shown with figure, limit and verdict.
    """
    from emotion_mlflow.cli import terminal
    from emotion_mlflow.jobs.promotion_request import PromoteRequest

    names = ("backbone", "version", "to", "model_name", "allow_dirty", "dry_run", "experiment")
    request = PromoteRequest(
        **{name: flags[name] for name in names},
        gates=expanded(flags["gates"], "--gates") if flags["gates"] else None,
        tracking_uri=flags["tracking_uri"] or None,
        cache_dir=terminal.cache_folder(flags["cache_dir"]),
        command=terminal.command_line(),
    )
    request.check()
    with terminal.working(tensorflow=False) as watcher:
        from emotion_mlflow.jobs.promotion import promote

        decision = promote(request, watcher)
    show_decision(decision, as_json=as_json)
    return 1 if decision.refused else 0


def show_decision(decision: Any, *, as_json: bool) -> None:
    """The one JSON object, or the gates and what was moved."""
    from emotion_mlflow.cli import terminal

    if as_json:
        terminal.show(decision.to_dict())
        return
    from rich.console import Console

    console = Console()
    if decision.gates:
        console.print(_gate_table(decision))
    console.print(_verdict(decision), highlight=False, markup=False, soft_wrap=True)
    if decision.run_id:
        line = f"run {decision.run_id} in {decision.tracking_uri}"
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _gate_table(decision: Any) -> Any:
    from rich.table import Table
    from rich.text import Text

    title = f"{decision.model_name}/{decision.version} for @{decision.alias}"
    table = Table(title=Text(title), title_justify="left")
    for name, justify in (
        ("gate", "left"),
        ("figure", "right"),
        ("limit", "right"),
        ("verdict", "left"),
        ("why", "left"),
    ):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]  # a literal to rich
    for gate in decision.gates:
        verdict = Text("passed", "green") if gate.passed else Text("REFUSED", "bold red")
        table.add_row(gate.name, _figure(gate.value), _figure(gate.limit), verdict, Text(gate.why))
    return table


def _figure(value: float | str | None) -> str:
    return "" if value is None else value if isinstance(value, str) else f"{value:.4g}"


def _verdict(decision: Any) -> str:
    subject, place = f"{decision.model_name}/{decision.version}", f"@{decision.alias}"
    if decision.already:
        return f"{subject} is {place} already: nothing moved"
    if decision.dry_run:
        return f"dry run: {subject} would {'become ' + place if decision.passed else 'be refused'}; nothing moved"
    if decision.refused:
        return f"refused: {place} stays {_version(decision.previous)}"
    return f"{subject} is {place} now; before: {_version(decision.previous)}"


def _version(number: str | None) -> str:
    return f"version {number}" if number else "nobody"
