"""Tables and lines for the terminal."""

from collections.abc import Sequence
from typing import Any

from rich.table import Table

from emotion_mlflow.metrics.suite import PRIMARY, score_name


def score_table(outcomes: Sequence[Any]) -> Table:
    """The primary scores of each outcome side by side, with their 95 % intervals."""
    split = "test" if any(name.startswith("final/test/") for name in outcomes[0].scores) else "all"
    if not any(name.startswith(f"final/{split}/") for name in outcomes[0].scores):
        split = next(iter(outcomes[0].scores)).split("/")[1]
    table = Table(title=f"{split} faces, 95 % bootstrap interval", title_justify="left")
    table.add_column("score")
    for outcome in outcomes:
        version = f" v{outcome.model_version}" if outcome.model_version else ""
        table.add_column(f"{outcome.backbone}{version}", justify="right")
    for name in (*PRIMARY, "landmarks/nme_box"):
        cells = [_cell(outcome.scores, split, name) for outcome in outcomes]
        if any(cells):
            table.add_row(name, *cells)
    return table


def say(console: Any, line: str) -> None:
    """One line as it is: what stands in brackets in a folder's name is no markup, and nothing is wrapped."""
    console.print(line, highlight=False, markup=False, soft_wrap=True)


def _cell(scores: dict[str, float], split: str, name: str) -> str:
    value = scores.get(score_name(split, name))
    if value is None:
        return ""
    low, high = (
        scores.get(score_name(split, name, bound="low")),
        scores.get(score_name(split, name, bound="high")),
    )
    interval = f"  [{low:.3f}, {high:.3f}]" if low is not None and high is not None else ""
    return f"{value:.3f}{interval}"
