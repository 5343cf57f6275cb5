"""`python -m benchmarks [PART ...]`: measures, keeps the figures, writes docs/PERFORMANCE.md. `make bench` calls it."""

import datetime
import importlib
import os
import shlex
import sys
import time
from pathlib import Path

import click

from benchmarks import report
from benchmarks.figures import BACKBONES, ROOT, Settings

PARTS = ("help", "metrics", "manifest", "requests", "compare", "epoch", "probe")


@click.command()
@click.argument("parts", nargs=-1, type=click.Choice(PARTS))
@click.option("--faces", type=int, help="Faces of epoch, probe and manifest; else each one's own number.")
@click.option("--repeats", type=click.IntRange(1), help="Repeats; else each one's own number.")
@click.option("--backbones", default=",".join(BACKBONES), show_default=True, help="Of epoch and probe.")
@click.option("--drawn", is_flag=True, help="Drawn faces and random weights for probe, even where real ones are.")
@click.option("--dry", is_flag=True, help="Print the figures, keep none.")
@click.option("--render", is_flag=True, help="Measure nothing, only write the page again.")
def main(
    parts: tuple[str, ...], faces: int | None, repeats: int | None, backbones: str, drawn: bool, dry: bool, render: bool
) -> None:
    """Measures PARTS, or all: help metrics manifest requests (two minutes), compare (ten), epoch and probe (an hour).

    probe takes the real faces and weights of EMOTION_SHARED, or of ../shared, where they are.
    """
    names = tuple(name.strip() for name in backbones.split(","))
    settings = Settings(faces=faces, repeats=repeats, backbones=names, shared=None if drawn else _shared())
    stamp = {"command": shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]]), "machine": report.machine()}
    for part in () if render else parts or PARTS:
        load, started = os.getloadavg()[0], time.perf_counter()
        click.echo(f"{part}: measuring", err=True)
        figures = _module(part).measure(settings)
        now = {"date": datetime.date.today().isoformat(), "load": round(load, 2)}
        if not dry:
            report.keep(part, figures, {**stamp, **now})
        for figure in figures:
            click.echo(report.line(figure))
        click.echo(f"{part}: {time.perf_counter() - started:.0f} s", err=True)
    if dry:
        return
    report.render({part: str(_module(part).__doc__).strip() for part in PARTS})
    click.echo(f"written: {report.PAGE.relative_to(ROOT)}", err=True)


def _module(part: str) -> object:
    return importlib.import_module(f"benchmarks.bench_{part}")


def _shared() -> Path | None:
    folder = Path(os.environ.get("EMOTION_SHARED", ROOT.parent / "shared"))
    return folder if (folder / "data" / "faces").is_dir() else None


if __name__ == "__main__":
    main()
