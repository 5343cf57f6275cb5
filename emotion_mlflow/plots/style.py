"""The look of every figure: size, ink, the eight class styles, how a number is written. Used by plots only.

Figures are made through matplotlib's object API, never pyplot: no global state, safe in threads, no leaks.
Ink, sizes and white ground are set one by one, because a user's own matplotlibrc may say otherwise.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.typing import LineStyleType

WIDTH, DPI = 8.0, 125
"""Inches and dots an inch: 1,000 pixels, what MLflow's artifact view shows without shrinking."""
SMALL, NORMAL, LARGE = 10.0, 11.0, 13.0
"""Points; at 125 dots an inch 10 points are 17 pixels."""
INK, SOFT, GRID = "#222222", "#555555", "#DDDDDD"
TRAIN, VAL = "#0072B2", "#D55E00"
UNDEFINED = "not defined"


@dataclass(frozen=True)
class ClassStyle:
    """Colour, line and marker of a class: each of the three alone tells it from most others, two from all."""

    colour: str
    line: LineStyleType
    marker: str


# Okabe & Ito 2008. Classes often confused (anger and contempt, fear and surprise) have colours far apart.
CLASS_STYLES = (
    ClassStyle("#000000", "-", "o"),
    ClassStyle("#F0E442", "-", "^"),
    ClassStyle("#0072B2", "-.", "v"),
    ClassStyle("#E69F00", (0, (1, 1)), "D"),
    ClassStyle("#CC79A7", (0, (6, 2)), "s"),
    ClassStyle("#009E73", (0, (4, 1, 1, 1)), "P"),
    ClassStyle("#D55E00", (0, (3, 1, 1, 1, 1, 1)), "X"),
    ClassStyle("#56B4E9", (0, (2, 2)), "*"),
)


def canvas(title: str, *, height: float, note: str = "") -> Figure:
    """A white figure, WIDTH by `height` inches, with a title at the upper left, a note at the lower left."""
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, facecolor="white")
    figure.set_layout_engine("constrained", w_pad=0.09, h_pad=0.07)
    figure.suptitle(title, x=0.012, ha="left", fontsize=LARGE, fontweight="bold", color=INK)
    if note:
        figure.supxlabel(note, x=0.012, ha="left", fontsize=SMALL, color=SOFT)
    return figure


def dress(axes: Axes, *, title: str = "", x: str = "", y: str = "", grid: bool = True) -> None:
    """Give axes their title, axis names, ink and grid."""
    axes.set_facecolor("white")
    axes.set_title(title, fontsize=NORMAL, loc="left", color=INK)
    axes.set_xlabel(x, fontsize=SMALL, color=INK)
    axes.set_ylabel(y, fontsize=SMALL, color=INK)
    axes.tick_params(colors=INK, labelsize=SMALL)
    for side, spine in axes.spines.items():
        spine.set_color(SOFT)
        spine.set_visible(side in ("left", "bottom"))
    axes.grid(**({"color": GRID, "linewidth": 0.8} if grid else {"visible": False}))
    axes.set_axisbelow(True)


def legend(
    place: Axes | Figure,
    *,
    loc: str,
    handles: Sequence[Artist] | None = None,
    title: str = "",
    columns: int = 1,
    anchor: tuple[float, float] | None = None,
) -> None:
    """A plain legend in the figures' ink; without `handles` it holds every labelled thing in `place`."""
    look: dict[str, Any] = {"fontsize": SMALL, "labelcolor": INK, "facecolor": "white", "edgecolor": GRID}
    look |= {"loc": loc, "ncols": columns, "bbox_to_anchor": anchor, "handlelength": 2.8}
    look |= {"title": title or None, "title_fontsize": SMALL} | ({"handles": handles} if handles else {})
    place.legend(**look).get_title().set_color(INK)


def colour_bar(figure: Figure, axes: Axes, shades: ScalarMappable, label: str) -> None:
    """The scale of the shades, right of the axes."""
    bar = figure.colorbar(shades, ax=axes, pad=0.02)
    bar.set_label(label, fontsize=SMALL, color=INK)
    bar.ax.tick_params(labelsize=SMALL, colors=INK)
    bar.ax.yaxis.set_major_formatter("{x:g}")


def too_light(colour: str) -> bool:
    """The colour needs a dark border on white paper, as Okabe-Ito's yellow does (contrast 1.3)."""
    return luminance(colour) > 0.6


def luminance(colour: str) -> float:
    """Relative luminance, 0-1, of `#rrggbb` (WCAG 2.1)."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def number(value: float, digits: int = 3) -> str:
    """`0.741`; NaN, which our metrics give for what cannot be computed, is `not defined`."""
    return UNDEFINED if math.isnan(value) else f"{value:.{digits}f}"


def count(value: int, noun: str = "") -> str:
    """`1,291 faces`, `1 face`."""
    plural = "" if value == 1 else "s"
    return f"{value:,} {noun}{plural}" if noun else f"{value:,}"


def compact(value: int) -> str:
    """`9,999`, `12k`: a count for a narrow place."""
    return f"{value:,}" if value < 10_000 else f"{value / 1000:.0f}k"


def class_labels(names: tuple[str, ...], counts: list[int]) -> list[str]:
    """`happy (500)`, and `contempt (no faces)` for a class that is absent: named, never dropped."""
    return [f"{name} ({compact(n) if n else 'no faces'})" for name, n in zip(names, counts, strict=True)]
