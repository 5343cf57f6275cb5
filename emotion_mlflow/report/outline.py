"""A comparison as tables of words, in the order every form shows them. Used by report only."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from emotion_mlflow.comparison.values import NO_WINNER, Cell, Comparison, Row, Side, p_value
from emotion_mlflow.report import wording

DIGEST_LETTERS = 12
PRIMARY_TITLE = "Primary rows"


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A figure as it is read, and what a table sorts it by."""

    text: str = ""
    bounds: str = ""
    key: float | None = None
    best: bool = False
    """The row's tested winner."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One row of a block."""

    label: str
    direction: str
    """`higher is better`, `lower is better`, or empty."""
    values: tuple[Shown, ...]
    """In the order of the sides."""
    difference: Shown
    pair: str
    p: Shown
    winner: str
    """A side's name, `no clear winner`, or empty where no test belongs."""
    decided: bool
    published: tuple[Shown, ...]
    """In the order of the block's `published`."""
    interval: tuple[float, float, float] | None
    """(low, difference, high) turned so that above zero the first of the pair is better; None without direction."""


@dataclass(frozen=True, kw_only=True)
class Block:
    """A section's table, and which of its columns hold anything."""

    title: str
    lines: tuple[Line, ...]
    published: tuple[str, ...]
    """Backbones with a published figure."""
    pair: str
    """Whose difference every line gives; empty where lines differ in that."""
    has_difference: bool
    has_winner: bool


@dataclass(frozen=True, kw_only=True)
class Fact:
    """A property of the sides, side by side."""

    label: str
    values: tuple[str, ...]
    differs: bool
    """A setting that is not the same everywhere; versions and scores always differ and are not marked."""


def blocks(comparison: Comparison) -> tuple[Block, ...]:
    """Every row, by section, in the comparison's order."""
    sections = dict.fromkeys(row.section for row in comparison.rows)
    return tuple(block(name, [row for row in comparison.rows if row.section == name]) for name in sections)


def primary_block(comparison: Comparison) -> Block:
    """The rows that can name a winner."""
    return block(PRIMARY_TITLE, [row for row in comparison.rows if row.primary])


def block(title: str, rows: Sequence[Row]) -> Block:
    """These rows as one table."""
    published = tuple(dict.fromkeys(name for row in rows for name in row.published))
    mixed = len({row.split for row in rows if row.split}) > 1
    pairs = {wording.pair(row) for row in rows if row.difference is not None}
    return Block(
        title=wording.plain(title),
        lines=tuple(_line(row, published, mixed) for row in rows),
        published=published,
        pair=pairs.pop() if len(pairs) == 1 else "",
        has_difference=any(row.difference is not None for row in rows),
        has_winner=any(row.winner is not None for row in rows),
    )


def _selection(side: Side) -> str:
    return f"{side.selection_score:.3f}" if math.isfinite(side.selection_score) else "not known"


def facts(comparison: Comparison) -> tuple[Fact, ...]:
    """What is compared: each side's origin, then every setting that is not the same."""
    known = [
        _fact(label, [write(side) for side in comparison.sides], marked=marked)
        for label, marked, write in (
            ("Backbone", True, lambda side: side.backbone),
            ("Recipe", True, lambda side: side.recipe),
            ("Versions", False, lambda side: ", ".join(side.versions)),
            ("Seeds", True, lambda side: ", ".join(map(str, side.seeds))),
            ("Figures come from", True, _used),
            ("Selection score (validation)", False, _selection),
            ("Chosen on test faces", True, lambda side: "yes" if side.selected_on_test else "no"),
            ("Starting weights", True, lambda side: f"{side.weights} ({side.weights_kind})"),
            ("Digest of the weights", True, lambda side: side.weights_digest[:DIGEST_LETTERS]),
        )
    ]
    names = comparison.names
    settings = [
        _fact(setting, [values.get(name, "") for name in names]) for setting, values in comparison.differing.items()
    ]
    return (*known, *settings)


def settings(comparison: Comparison) -> tuple[Fact, ...]:
    """Every resolved setting of every side, by name."""
    names = sorted({name for side in comparison.sides for name in side.config})
    return tuple(_fact(name, [side.config.get(name, "") for side in comparison.sides]) for name in names)


def _fact(label: str, values: Sequence[str], *, marked: bool = True) -> Fact:
    shown = tuple(wording.plain(value) or "not set" for value in values)
    return Fact(label=wording.plain(label), values=shown, differs=marked and len(set(shown)) > 1)


def _used(side: Side) -> str:
    if side.used == len(side.versions):
        return "this version" if side.used == 1 else f"all {side.used} versions"
    return f"{side.used} of {len(side.versions)} versions, those of the lowest seeds"


def _line(row: Row, published: Sequence[str], mixed: bool) -> Line:
    decided = row.winner not in (None, NO_WINNER)
    return Line(
        label=wording.title(row, mixed=mixed),
        direction=f"{row.better} is better" if row.better else "",
        values=tuple(_shown(row, cell, decided and name == row.winner) for name, cell in row.values.items()),
        difference=Shown(
            text=wording.difference(row), bounds=wording.bounds(row, row.low, row.high, signed=True), key=row.difference
        ),
        pair=wording.pair(row) if row.difference is not None else "",
        p=Shown(text=p_value(row.p_corrected), key=row.p_corrected),
        winner=wording.plain(row.winner or ""),
        decided=decided,
        published=tuple(_published(row, name) for name in published),
        interval=_interval(row),
    )


def _shown(row: Row, cell: Cell, best: bool) -> Shown:
    key = None if isinstance(cell.value, str) else cell.value
    text = wording.figure(row, cell.value) or "not defined"
    return Shown(text=text, bounds=wording.bounds(row, cell.low, cell.high), key=key, best=best)


def _published(row: Row, backbone: str) -> Shown:
    value = row.published.get(backbone)
    return Shown(text=wording.figure(row, value), key=None if isinstance(value, str) else value)


def _interval(row: Row) -> tuple[float, float, float] | None:
    if row.difference is None or row.low is None or row.high is None or not row.better:
        return None
    if row.better == "lower":
        return -row.high, -row.difference, -row.low
    return row.low, row.difference, row.high
