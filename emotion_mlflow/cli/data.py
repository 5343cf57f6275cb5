"""`emotion-mlflow data check` and `data show`."""

from pathlib import Path
from typing import Any

import click

from emotion_mlflow.cli.options import TRAIN, json_option

_FORMAT, _CACHE = (option for option in TRAIN if option.name in ("data_format", "cache_dir"))
SHOWN = 5
"""Faults of a kind; `--json` has all."""


@click.group("data")
def command() -> None:
    """Check a set of faces, or show it as a contact sheet."""


@command.command("check")
@click.argument("path")
@_FORMAT.decorate
@_CACHE.decorate
@json_option
def check_command(path: str, data_format: str, cache_dir: str, as_json: bool) -> int:
    """Read every byte of a set (demo, a folder or a table): counts, ranges, rejected files, duplicates, leaks.

    Exit code 1 where a picture or an identity stands on both sides of a split.
    """
    from emotion_mlflow.cli import progress, terminal
    from emotion_mlflow.data.check import check
    from emotion_mlflow.data.sets import open_set

    watcher = progress.reporter()
    try:
        watcher.stage("reading faces")
        folder = terminal.cache_folder(cache_dir)
        manifest = open_set(path, data_format=data_format, cache_dir=folder, fresh=True, progress=watcher.advance)
    finally:
        watcher.close()
    report = check(manifest)
    if as_json:
        terminal.show(report.to_dict())
    else:
        _show(report)
    return 1 if report.leaks or report.identities_crossing else 0


@command.command("show")
@click.argument("path")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("contact_sheet.png"),
    show_default=True,
)
@click.option("--rows", type=click.IntRange(1, 50), default=4, show_default=True)
@click.option("--columns", type=click.IntRange(1, 50), default=8, show_default=True)
@_FORMAT.decorate
@_CACHE.decorate
@json_option
def show_command(
    path: str,
    out: Path,
    rows: int,
    columns: int,
    data_format: str,
    cache_dir: str,
    as_json: bool,
) -> None:
    """Write a contact sheet with labels and landmarks drawn."""
    from emotion_mlflow.cli import terminal
    from emotion_mlflow.data.sets import open_set
    from emotion_mlflow.data.sheet import contact_sheet
    from emotion_mlflow.errors import DataError

    manifest = open_set(path, data_format=data_format, cache_dir=terminal.cache_folder(cache_dir))
    try:
        contact_sheet(manifest, rows=rows, columns=columns).save(out)
    except (OSError, ValueError) as error:
        raise DataError("a picture file that can be written, as sheet.png", got=error, where=out) from None
    if as_json:
        terminal.show({"sheet": str(out), "faces": min(rows * columns, len(manifest))})
    else:
        click.echo(f"{min(rows * columns, len(manifest))} faces of {manifest.name} in {out}")


def _show(report: Any) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from emotion_mlflow.labels import EXPRESSIONS, TASKS

    console = Console()
    title = Text(f"{report.name}: {report.faces:,} faces, {report.rejected:,} rejected")  # no markup: it is a name
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for part in report.splits:
        table.add_column(part or "all", justify="right")
    table.add_row("faces", *(f"{counts['faces']:,}" for counts in report.splits.values()))
    for kind, names in (("classes", EXPRESSIONS), ("labelled", TASKS)):
        table.add_section()
        for name in names:
            table.add_row(name, *(f"{counts[kind].get(name, 0):,}" for counts in report.splits.values()))
    console.print(table)
    for name, bounds in report.ranges.items():
        console.print(f"{name}: " + (f"{bounds[0]:.2f} to {bounds[1]:.2f}" if bounds else "no labels"), highlight=False)
    duplicates = report.duplicates
    console.print(f"duplicates: {duplicates['exact']} exact, {duplicates['near']} near", highlight=False)
    console.print(
        f"leaks: {report.leaks} held-out faces, {len(report.identities_crossing)} identities crossing",
        highlight=False,
    )
    if duplicates["crowded"]:
        common = f"{duplicates['crowded']} pictures are too common a pattern to be compared fully"
        console.print(common, highlight=False)
    _show_faults(console, report)


def _show_faults(console: Any, report: Any) -> None:
    """The first ones of each kind, by name."""
    from emotion_mlflow.errors import printable

    faults = {
        "leak": [
            f"{pair['id']} ({pair['split']}) and {pair['other_id']} ({pair['other_split']}), {pair['kind']}"
            for pair in report.leak_pairs
        ],
        "crossing": report.identities_crossing,
        "rejected": [f"{reason['file']}: {reason['reason']}" for reason in report.reasons],
    }
    for kind, lines in faults.items():
        for line in lines[:SHOWN]:
            console.print(f"{kind}: {printable(line)}", highlight=False, markup=False, soft_wrap=True)
        if len(lines) > SHOWN:
            console.print(f"{kind}: {len(lines) - SHOWN} more, see --json", highlight=False)
