"""The forest plot of a comparison. Used by plots.comparison."""

import itertools
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from emotion_mlflow.comparison.values import NO_WINNER, Row
from emotion_mlflow.plots.faces import shortened
from emotion_mlflow.plots.style import INK, SMALL, SOFT, canvas, dress, legend

REACH = 8.0
"""Half widths; a difference further out is drawn at the border with an arrow, so that it cannot squeeze the rest."""


def difference_plot(rows: Sequence[Row], names: Sequence[str]) -> Figure:
    """Each row's difference and 95 % interval in half widths of that interval; right: the first-named is better.

    `rows`: with difference and bounds. An open ring: no clear winner; a filled mark: a winner, its shape the side's.
    """
    from emotion_mlflow.plots.sides import SIDE_STYLES

    pairs = list(dict.fromkeys(row.between for row in rows if row.between))
    figure = canvas("Differences in the primary rows, with 95 % intervals", height=1.9 + 0.48 * len(rows))
    axes = figure.add_subplot()
    axes.axvline(0, color=SOFT, linewidth=1.2)
    looks = dict(zip(names, itertools.cycle(SIDE_STYLES), strict=False))
    for place, row in enumerate(rows):
        low, middle, high = _standardised(row)
        won = row.winner not in (None, NO_WINNER)
        style = looks[str(row.winner)] if won else None
        colour = style.colour if style else SOFT
        axes.plot([max(low, -REACH), min(high, REACH)], [place, place], color=colour, linewidth=3 if won else 1.8)
        spot = min(max(middle, -REACH), REACH)
        mark = style.marker if style else "o"
        axes.plot(spot, place, mark, color=colour, markerfacecolor=colour if won else "white", markersize=10)
        _words(axes, place, row, with_pair=len(pairs) > 1)
    first, second = pairs[0] if len(pairs) == 1 else ("second-named", "")
    left, right = (second, first) if second else ("second-named side", "first-named side")
    x = f"← {shortened(left)} better      difference / half width of its interval      {shortened(right)} better →"
    dress(axes, x=x)
    axes.set_yticks(range(len(rows)), [row.label for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    ends = [abs(end) for row in rows for end in _standardised(row)]
    reach = min(max(ends), REACH) * 1.08
    axes.set_xlim(-reach, reach)
    handles = [
        Line2D(
            [],
            [],
            color=style.colour,
            marker=style.marker,
            markersize=9,
            linewidth=3,
            label=f"winner: {shortened(name)}",
        )
        for name, style in looks.items()
        if any(row.winner == name for row in rows)
    ]
    if any(row.winner in (None, NO_WINNER) for row in rows):
        look: dict[str, Any] = {
            "color": SOFT,
            "marker": "o",
            "markerfacecolor": "white",
            "markersize": 9,
            "linewidth": 1.8,
        }
        handles.append(Line2D([], [], label=NO_WINNER, **look))
    legend(figure, handles=handles, loc="outside lower center", columns=len(handles))
    return figure


def _standardised(row: Row) -> tuple[float, float, float]:
    """(low, difference, high) over the half width, turned so that positive means the first-named is better."""
    low, middle, high = (float(value or 0.0) for value in (row.low, row.difference, row.high))
    half = (high - low) / 2 or 1.0
    if row.better == "lower":
        low, middle, high = -high, -middle, -low
    return low / half, middle / half, high / half


def _words(axes: Axes, place: int, row: Row, *, with_pair: bool) -> None:
    """The figures themselves, right of the plot: the axis has no unit a reader knows."""
    digits = 4 if row.metric.startswith("nme") else 3
    words = f"{row.difference:+.{digits}f} [{row.low:+.{digits}f}, {row.high:+.{digits}f}]"
    if with_pair and row.between:
        words += "\n" + " - ".join(shortened(name, 14) for name in row.between)
    look: dict[str, Any] = {"transform": axes.get_yaxis_transform(), "fontsize": SMALL, "color": INK, "va": "center"}
    axes.text(1.02, place, words.replace("-", "−"), parse_math=False, **look)
