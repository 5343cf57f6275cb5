"""How a comparison's figures and conclusions are written, the same in every form. Used by report only."""

import re
from collections.abc import Sequence

from emotion_mlflow.comparison.classes import RESAMPLES as CLASS_RESAMPLES
from emotion_mlflow.comparison.values import NO_WINNER, Comparison, Row

OTHER_DATA = "other data"
OTHER_SPLITS = {"train": "training", "val": "validation"}
FINE_METRICS = ("nme", "nme_box")
"""Errors of a few hundredths: a fourth digit is needed to tell two models apart."""
MEGABYTE = 1e6

BOUNDS_NOTE = (
    "In brackets: 95 % intervals on test faces; elsewhere the smallest and the largest of the versions, or the "
    "quartiles of repeated timings."
)
NO_WINNER_NOTE = (
    "“No clear winner” does not say that the sides are equal. It says that a difference as large as the one seen also "
    "arises by chance where there is none, more often than the 5 % allowed over all primary rows together. The "
    "interval of the difference says what the true one may be; more test faces or more seeds narrow it."
)


def plain(text: object) -> str:
    """One printable line: whatever could steer a terminal or break a table's line is written as its escape."""
    words = re.sub(r"\s+", " ", str(text)).strip()
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in words)


def title(row: Row, *, mixed: bool = False) -> str:
    """A row's label; `mixed`: rows of several splits stand together, so that all but test rows name theirs."""
    label = plain(row.label)
    if row.metric.endswith("_bytes"):
        label = label.replace("(bytes)", "(MB)")
    return f"{label}, {OTHER_SPLITS[row.split]} faces" if mixed and row.split in OTHER_SPLITS else label


def figure(row: Row, value: float | str | None) -> str:
    """A value as the row's metric is written: `0.553`, `0.0471`, `23,587,712`, `98.3`; a word stays, None is empty."""
    if value is None or isinstance(value, str):
        return plain(value or "")
    if row.metric.endswith("_bytes"):
        return f"{value / MEGABYTE:,.1f}"
    if row.task or row.split:
        return f"{value:.{_digits(row)}f}"
    if float(value).is_integer() or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def bounds(row: Row, low: float | None, high: float | None, *, signed: bool = False) -> str:
    """`[0.531, 0.575]`; empty without both."""
    if low is None or high is None:
        return ""
    write = _signed if signed else figure
    return f"[{write(row, low)}, {write(row, high)}]"


def difference(row: Row) -> str:
    """`+0.117`; empty where there is none."""
    return "" if row.difference is None else _signed(row, row.difference)


def pair(row: Row) -> str:
    """Whose difference it is: `resnet50 − efficientnetb0`."""
    return " − ".join(map(plain, row.between)) if row.between else ""


def verdict(comparison: Comparison) -> str:
    """One line: which primary rows have which winner, or that there is none."""
    primary = [row for row in comparison.rows if row.primary]
    if not primary:
        return "No primary row could be tested, so no winner is named."
    undecided = [title(row) for row in primary if row.winner in (None, NO_WINNER)]
    if len(undecided) == len(primary):
        rows = f"any of the {len(primary)} primary rows" if len(primary) > 1 else "the one primary row"
        return f"No clear winner in {rows} ({_listed(undecided)})."
    parts = []
    for name in comparison.names:
        if won := [title(row) for row in primary if row.winner == name]:
            parts.append(f"{plain(name)} is better in {len(won)} of {len(primary)} primary rows ({_listed(won)})")
    parts += [f"no clear winner in {len(undecided)} ({_listed(undecided)})"] if undecided else []
    return "; ".join(parts) + "."


def scope(comparison: Comparison) -> str:
    """What a winner's name stands for: the training procedure, or these versions only."""
    if comparison.kind == "procedures":
        return (
            "Each side has three or more seeds, so training procedures are compared: a winner's configuration, trained "
            "again with another seed, may be expected to be better on such faces."
        )
    return (
        "With fewer than three seeds a side, these versions are compared, not the backbones: another seed of the same "
        "configuration may come out differently."
    )


def method(comparison: Comparison) -> tuple[str, ...]:
    """How it was tested, a paragraph each; docs/METRICS.md says more."""
    primary = sum(row.primary for row in comparison.rows)
    if comparison.kind == "procedures":
        intervals = "Intervals of 95 % are Student's t, from the same variance and degrees of freedom as the test."
        test = (
            "The difference of the seeds' means is tested with a t-test whose variance adds the variance between "
            "seeds, divided by their number, to the variance that the choice of test faces brings, with "
            "Satterthwaite's degrees of freedom. The variance over faces comes from a paired bootstrap of "
            f"{comparison.resamples:,} resamples; where people are known, whole people are drawn."
        )
    else:
        intervals = (
            f"Intervals of 95 % come from a paired bootstrap of {comparison.resamples:,} resamples; where people are "
            "known, whole people are drawn."
        )
        test = (
            "The p-value comes from a paired permutation test: under the hypothesis that the two models are "
            "exchangeable, their answers for a person (for a face, where no identity is known) are swapped at random. "
            "One test serves every metric. The bootstrap has to agree: of its p-value (the difference over its "
            "bootstrap standard error) and the permutations' the larger one counts."
        )
    sides = "Both" if len(comparison.sides) == 2 else "All"
    return (
        f"{sides} sides answered the same {comparison.faces:,} test faces, and every figure is computed from those "
        f"stored answers, paired by face; no model was run again. {intervals} Those of the F1 of single expressions "
        f"come from a bootstrap of {min(comparison.resamples, CLASS_RESAMPLES):,} resamples. Figures on validation "
        "faces have no interval and no test: epochs were chosen by them.",
        test,
        f"The {primary} primary rows were declared in advance, and their p-values are corrected by Holm's method, so "
        "that the chance of naming any winner where there is no difference is at most 5 %. Only a primary row can name "
        "a winner; all other rows describe.",
        f"{_chosen(comparison)} The published figures were measured on other data: they are shown for orientation and "
        "take part in no test.",
        "Definitions, sources and the simulations that check these tests: docs/METRICS.md.",
    )


def _chosen(comparison: Comparison) -> str:
    """How versions and epochs were chosen."""
    if any(side.name != side.backbone for side in comparison.sides):
        by, never = "Versions were named by hand", ""
    else:
        by, never = "Configurations were chosen by their validation score", ", never by a figure on test faces"
    if any(side.selected_on_test for side in comparison.sides):
        return f"{by}. Validation faces were the test faces, as published, so that these scores are too good."
    return f"{by}{never}."


def subject(comparison: Comparison) -> str:
    """`resnet50 and efficientnetb0`."""
    return _listed([plain(name) for name in comparison.names], last=" and ")


def _digits(row: Row) -> int:
    return 4 if row.metric in FINE_METRICS else 3


def _signed(row: Row, value: float) -> str:
    text = figure(row, abs(value))
    zero = not re.search("[1-9]", text)
    return text if zero else ("−" if value < 0 else "+") + text


def _listed(words: Sequence[str], *, last: str = ", ") -> str:
    return last.join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)
