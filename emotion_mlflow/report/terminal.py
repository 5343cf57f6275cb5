"""A comparison at the terminal: winners are seen without colour, 120 columns hold it, 80 stack it. Used by cli."""

import re

from rich.console import Console
from rich.measure import Measurement
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from emotion_mlflow.comparison.values import Comparison
from emotion_mlflow.report import outline, wording
from emotion_mlflow.report.outline import Block, Line, Shown

LABEL_WIDTH = 28
"""Columns; longer labels go on in the next line."""
ROOM_FOR_PUBLISHED = 100
"""Columns from which the published figures are shown."""
NO_BREAK = "\u00a0"
MARK = "*"
"""Before a winner's name and figure: bold and colour alone are lost in a log file."""


def show(console: Console, comparison: Comparison) -> None:
    """Everything but the figures: what is compared, warnings, rows, diagnosis, recommendations, the verdict."""
    _opening(console, comparison)
    for block in outline.blocks(comparison):
        console.print()
        _heading(console, block.title)
        console.print(_table(console, block, comparison.names))
    console.print()
    _notes(console, comparison)
    _diagnosis(console, comparison)
    _recommendations(console, comparison)
    _heading(console, "Verdict")
    console.print(Text(_ascii(wording.verdict(comparison)), style="bold"))


def _opening(console: Console, comparison: Comparison) -> None:
    names = _ascii(wording.subject(comparison))
    data = _ascii(wording.plain(comparison.data_name))
    digest = wording.plain(comparison.test_digest)[: outline.DIGEST_LETTERS]
    console.print(Text(f"Comparing {names}", style="bold"))
    console.print(Text(f"on the same {comparison.faces:,} test faces of {data} (digest {digest})"))
    console.print()
    table = _plain_table()
    for heading in ("", *map(_ascii, comparison.names), ""):
        table.add_column(Text(heading), overflow="fold")
    for fact in outline.facts(comparison):
        mark = Text("<- differs", style="yellow") if fact.differs else Text("")
        table.add_row(Text(_ascii(fact.label)), *(Text(_ascii(value)) for value in fact.values), mark)
    console.print(table)
    console.print()
    for warning in comparison.warnings:
        console.print(_item("Warning:", warning, "bold yellow"))
    console.print(Text(_ascii(wording.scope(comparison))))
    for group in comparison.other_groups:
        console.print(_item("Not compared:", group, "bold"))


def _table(console: Console, block: Block, names: tuple[str, ...]) -> Table:
    """The widest form that fits: intervals beside their figures, else below them."""
    published = console.width >= ROOM_FOR_PUBLISHED
    wide = _filled(block, names, stacked=False, published=published)
    fits = Measurement.get(console, console.options.update(max_width=10_000), wide).maximum <= console.width
    return wide if fits else _filled(block, names, stacked=True, published=published)


def _filled(block: Block, names: tuple[str, ...], *, stacked: bool, published: bool) -> Table:
    table = _plain_table()
    table.add_column("", overflow="fold", max_width=LABEL_WIDTH)
    for name in names:
        table.add_column(Text(_ascii(name)), justify="right", overflow="fold")
    if block.has_difference:
        heading = block.pair.replace(" − ", " -\n") or "difference"
        table.add_column(Text(_ascii(heading)), justify="right", overflow="fold")
    if block.has_winner:
        table.add_column(Text("p\n(Holm)"), justify="right", overflow="fold")
        table.add_column(Text("winner"), overflow="fold")
    if published and block.published:
        table.add_column(Text(f"published,\n{wording.OTHER_DATA}"), justify="right", overflow="fold")
    for line in block.lines:
        table.add_row(*_cells(line, block, stacked=stacked, with_published=published))
    return table


def _cells(line: Line, block: Block, *, stacked: bool, with_published: bool) -> list[Text]:
    cells = [Text(_ascii(line.label), style="bold" if line.decided else "")]
    cells += [_figure(value, stacked) for value in line.values]
    if block.has_difference:
        difference = _figure(line.difference, stacked)
        cells.append(difference if block.pair or not line.pair else Text(f"{_ascii(line.pair)}\n").append(difference))
    if block.has_winner:
        undecided = line.winner.replace(" winner", "\nwinner" if stacked else " winner")
        winner = Text(f"{MARK} {_ascii(line.winner)}", style="bold green") if line.decided else Text(undecided)
        cells += [Text(line.p.text.replace("< 0", "<0")), winner]
    if with_published and block.published:
        told = [_ascii(figure.text) for figure in line.published]
        cells.append(Text(" / ".join(text or "-" for text in told) if any(told) else "", style="dim"))
    return cells


def _figure(shown: Shown, stacked: bool) -> Text:
    text = Text(f"{MARK} " if shown.best else "", style="bold green" if shown.best else "")
    text.append(_ascii(shown.text))
    if shown.bounds:
        short = re.sub(r"(?<![\d.])0\.", ".", _ascii(shown.bounds))
        text.append(("\n" if stacked else " ") + short.replace(" ", NO_BREAK), style="dim")
    return text


def _notes(console: Console, comparison: Comparison) -> None:
    console.print(Text(wording.BOUNDS_NOTE, style="dim"))
    published = next((block.published for block in outline.blocks(comparison) if block.published), ())
    if published:
        where = (
            "" if console.width >= ROOM_FOR_PUBLISHED else " They are in the report's files: the terminal is narrow."
        )
        words = f"Published figures ({' / '.join(published)}) were measured on other data.{where}"
        console.print(Text(words, style="dim"))


def _diagnosis(console: Console, comparison: Comparison) -> None:
    if comparison.diagnosis:
        console.print()
        _heading(console, "Diagnosis")
    for finding in comparison.diagnosis:
        console.print(_item(f"{finding.side}, {finding.version}:", finding.text, "bold"))


def _recommendations(console: Console, comparison: Comparison) -> None:
    if comparison.recommendations:
        console.print()
        _heading(console, "Recommendations")
    for advice in comparison.recommendations:
        console.print(_item("-", advice.text, "bold"))
        console.print(Padding(Text(_ascii(wording.plain(advice.figure)), style="dim"), (0, 0, 0, 2)))
    console.print()


def _heading(console: Console, words: str) -> None:
    console.print(Rule(Text(f"{_ascii(words)} ", style="bold"), align="left", characters="-", style="dim"))


def _item(lead: str, words: str, style: str) -> Text:
    return Text(_ascii(wording.plain(lead)), style=style).append(f" {_ascii(wording.plain(words))}", style="not bold")


def _plain_table() -> Table:
    return Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold", expand=False)


def _ascii(text: str) -> str:
    """Our own signs as plain letters: not every terminal and log knows them. Names from data stay as they are."""
    return text.replace("−", "-").replace("“", '"').replace("”", '"')
