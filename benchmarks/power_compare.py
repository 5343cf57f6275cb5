"""How often a comparison finds a true difference in accuracy, by its size: the curves of docs/METRICS.md.

`python -m benchmarks.power_compare` prints their table and draws docs/images/compare_power.png. One side's simulated
models are more skilled by steps; what that is in points of accuracy is measured on the simulated faces themselves.
"""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.campaign_compare import RESAMPLES, World
from emotion_mlflow.metrics.paired import compare_sides

ROW = "expression/accuracy"
SEEDS = (1, 3, 5)
SKILLS = (0.0, 0.1, 0.2, 0.3, 0.45, 0.6)
"""In units of a face's noise; a seed's own skill spreads by 0.15."""
FACES = 1000
PICTURE = Path(__file__).parents[1] / "docs" / "images" / "compare_power.png"


@dataclass(frozen=True, kw_only=True)
class Point:
    """Comparisons of one kind: how large the difference was, and how often it was found."""

    seeds: int
    points: float
    """Mean difference in accuracy, percent."""
    found: float
    """Share of comparisons in which the better side won accuracy."""
    wrong: float
    """Share in which the other side won it; with no true difference either side's win is wrong."""
    error: float
    """Standard error of `found`."""


def measure(seeds: int, skill: float, *, comparisons: int) -> Point:
    """One point of a curve."""
    jobs = [(seeds, skill, number) for number in range(comparisons)]
    with ProcessPoolExecutor(2) as pool:
        answers = list(pool.map(_compare, jobs, chunksize=5))
    found = float(np.mean([winner == "a" for winner, _ in answers]))
    return Point(
        seeds=seeds,
        points=100 * float(np.mean([difference for _, difference in answers])),
        found=found,
        wrong=float(np.mean([winner == "b" for winner, _ in answers])),
        error=float(np.sqrt(found * (1 - found) / comparisons)),
    )


def _compare(job: tuple[int, float, int]) -> tuple[str | None, float]:
    seeds, skill, number = job
    world = World(FACES, np.random.default_rng([number, seeds, int(100 * skill), 7]))
    sides = {"a": world.side(seeds, skill=skill), "b": world.side(seeds)}
    paired = compare_sides(sides, seed=number, groups=None, resamples=RESAMPLES, workers=1)
    return paired.winners[ROW], paired.tests["a", "b"][ROW].difference


def draw(points: Sequence[Point], comparisons: int) -> Any:
    """The curves, one for each number of seeds."""
    from emotion_mlflow.plots.style import CLASS_STYLES, SOFT, canvas, dress, legend

    note = (
        f"{FACES:,} simulated faces, {comparisons} comparisons a point; bars: two standard errors; Holm over eight rows"
    )
    figure = canvas("How often a true difference in accuracy is found", height=4.6, note=note)
    axes = figure.add_subplot()
    for seeds, style in zip(SEEDS, (CLASS_STYLES[2], CLASS_STYLES[6], CLASS_STYLES[5]), strict=True):
        curve = [point for point in points if point.seeds == seeds]
        label = "1 seed: these versions" if seeds == 1 else f"{seeds} seeds: the trainings"
        axes.errorbar(
            [point.points for point in curve],
            [100 * point.found for point in curve],
            yerr=[200 * point.error for point in curve],
            color=style.colour,
            linestyle=style.line,
            marker=style.marker,
            markersize=7,
            capsize=3,
            label=label,
        )
    axes.axhline(5, color=SOFT, linewidth=1, linestyle=":")
    axes.set_ylim(-2, 102)
    dress(axes, x="true difference, points of accuracy", y="named the winner, % of comparisons")
    legend(axes, loc="lower right")
    return figure


@click.command()
@click.option("--comparisons", default=200, show_default=True, help="A point.")
def main(comparisons: int) -> None:
    """Measures the curves, prints and draws them."""
    points = []
    click.echo("| Seeds a side | True difference, points | Found | Standard error | The worse side named |")
    click.echo("|---|---|---|---|---|")
    for seeds in SEEDS:
        for skill in SKILLS:
            points.append(measure(seeds, skill, comparisons=comparisons))
            one = points[-1]
            click.echo(f"| {seeds} | {one.points:.1f} | {one.found:.1%} | {one.error:.1%} | {one.wrong:.1%} |")
    draw(points, comparisons).savefig(PICTURE)
    click.echo(f"drawn: {PICTURE.name}")


if __name__ == "__main__":
    main()
