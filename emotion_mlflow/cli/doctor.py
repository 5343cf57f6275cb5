"""`emotion-mlflow doctor`."""

import click

from emotion_mlflow.cli.options import TRAIN, json_option

_URI, _CACHE = (option for option in TRAIN if option.name in ("tracking_uri", "cache_dir"))
MARKS = {"ok": "ok", "warn": "!", "fail": "FAIL"}


@click.command("doctor")
@_URI.decorate
@_CACHE.decorate
@json_option
def command(tracking_uri: str, cache_dir: str, as_json: bool) -> int:
    """Say what this machine can do - environments, tracking store, weights, devices, disk - and what to type.

    Exit code 1 where something stops a training here.
    """
    from emotion_mlflow.cli import terminal
    from emotion_mlflow.doctor import examine

    findings = examine(tracking_uri=tracking_uri or None, cache_dir=terminal.cache_folder(cache_dir))
    failed = any(finding.state == "fail" for finding in findings)
    if as_json:
        terminal.show({"ok": not failed, "findings": [vars(finding) for finding in findings]})
        return int(failed)
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console, table = Console(), Table(show_header=True)
    for column in ("", "what", "found"):
        table.add_column(column, overflow="fold")
    for finding in findings:
        table.add_row(MARKS[finding.state], Text(finding.name), Text(finding.detail))
    console.print(table)
    console.print("What to type:")
    for finding in findings:
        if finding.advice:  # not in the table, whose column would break what is to be copied
            console.print(f"{finding.name}:", style="dim", highlight=False, markup=False, soft_wrap=True)
            console.print(f"  {finding.advice}", highlight=False, markup=False, soft_wrap=True)
    return int(failed)
