"""A comparison as plain values: what the report's forms are made from. Used by report and jobs."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

NO_WINNER = "no clear winner"
LEAST_P = 1e-4

Better = Literal["higher", "lower", ""]


def p_value(p: float | None) -> str:
    """`0.0312`, `< 0.0001`; empty for None."""
    if p is None:
        return ""
    return f"< {LEAST_P:.4f}" if p < LEAST_P else f"{p:.4f}" if p < 0.1 else f"{p:.2f}"


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One figure of one side."""

    value: float | str | None
    low: float | None = None
    high: float | None = None
    bounds: Literal["interval95", "range", "quartiles"] | None = None
    """What low and high are: a 95 % interval, least and largest of the versions, quartiles of one version's timings."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the comparison."""

    section: str
    split: str
    """train, val, test, or empty."""
    task: str
    """expression, valence, arousal, landmarks, or empty."""
    metric: str
    label: str
    """What a reader sees: `Time per epoch, training (s)`."""
    values: Mapping[str, Cell]
    """By the side's name, in the sides' order."""
    better: Better = ""
    primary: bool = False
    published: Mapping[str, float | str] = field(default_factory=dict)
    """The published report's figures by backbone, on other data."""
    between: tuple[str, str] | None = None
    """Whose difference (first minus second) follows."""
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    p_corrected: float | None = None
    winner: str | None = None
    """A side's name, NO_WINNER, or None where no test belongs."""

    @property
    def name(self) -> str:
        """`test/valence/ccc`."""
        return "/".join(part for part in (self.split, self.task, self.metric) if part)


@dataclass(frozen=True, kw_only=True)
class Side:
    """A backbone's configuration with its seeds, or one version."""

    name: str
    backbone: str
    recipe: str
    versions: tuple[str, ...]
    """`emotion/3`, in order of their seeds."""
    run_ids: tuple[str, ...]
    seeds: tuple[int, ...]
    used: int
    """How many of the versions the figures come from."""
    selection_score: float
    """Mean over the seeds."""
    selected_on_test: bool
    weights: str
    weights_digest: str
    weights_kind: str
    """`imagenet`, `none` (random), `file`; ` (n of m layers untrained)` follows where known to be incomplete."""
    config: Mapping[str, str]
    """Resolved settings, flat."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What a run's history and answers say in plain words."""

    side: str
    version: str
    kind: str
    """collapsed, at_chance, not_converged, overfitting, diverged, learning_rate, stopped_early, healthy, not_diagnosed.
    """
    text: str


@dataclass(frozen=True, kw_only=True)
class Advice:
    """`Choose X if ...` or `Avoid X because ...`, with the figure behind it."""

    side: str
    kind: Literal["choose", "avoid", "none"]
    text: str
    figure: str
    """The row that supports it, and its value: `test/expression/macro_f1 0.553 against 0.436`."""


@dataclass(frozen=True, kw_only=True)
class Disagreement:
    """A face that the sides answer most differently."""

    face: str
    true: str
    answers: Mapping[str, str]
    """By side: `happy .93`."""
    gap: float
    """Total variation distance between the two sides' probabilities, 0-1."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All that a report shows but its figures."""

    sides: tuple[Side, ...]
    data_name: str
    test_digest: str
    tasks: tuple[str, ...]
    faces: int
    kind: Literal["versions", "procedures"]
    """procedures: three or more seeds a side, so that the backbones' trainings are compared; else these versions."""
    resamples: int
    rows: tuple[Row, ...]
    differing: Mapping[str, Mapping[str, str]]
    """Setting -> side -> value, where they are not the same."""
    diagnosis: tuple[Finding, ...]
    recommendations: tuple[Advice, ...]
    disagreements: tuple[Disagreement, ...]
    warnings: tuple[str, ...]
    other_groups: tuple[str, ...]
    """Lines such as `test faces 1a2b... (faces, 4 versions): --test-digest 1a2b...`."""
    drawn: bool
    """The faces are drawings: no privacy to keep."""
    created: str
    """ISO 8601, UTC."""
    command: str

    @property
    def names(self) -> tuple[str, ...]:
        """Of the sides, in order."""
        return tuple(side.name for side in self.sides)

    def row(self, name: str) -> Row | None:
        """The row called `test/expression/macro_f1`, say."""
        return next((row for row in self.rows if row.name == name), None)

    def to_dict(self) -> dict[str, Any]:
        """What `comparison.json` holds; see `comparison.schema.json`."""
        return {
            "models": [_side(side) for side in self.sides],
            "test_digest": self.test_digest,
            "data_name": self.data_name,
            "tasks": list(self.tasks),
            "faces": self.faces,
            "kind": self.kind,
            "resamples": self.resamples,
            "rows": [_row(row) for row in self.rows],
            "differing": {name: dict(values) for name, values in self.differing.items()},
            "diagnosis": [asdict(finding) for finding in self.diagnosis],
            "recommendations": [asdict(advice) for advice in self.recommendations],
            "disagreements": [
                {"face": one.face, "true": one.true, "answers": dict(one.answers), "gap": one.gap}
                for one in self.disagreements
            ],
            "warnings": list(self.warnings),
            "other_groups": list(self.other_groups),
            "created": self.created,
            "command": self.command,
        }


def _side(side: Side) -> dict[str, Any]:
    plain = {name: value for name, value in vars(side).items() if name != "config"}
    plain |= {name: list(plain[name]) for name in ("versions", "run_ids", "seeds")}
    return plain | {"config": dict(side.config)}


def _row(row: Row) -> dict[str, Any]:
    return {
        "section": row.section,
        "split": row.split,
        "task": row.task,
        "metric": row.metric,
        "label": row.label,
        "better": row.better,
        "primary": row.primary,
        "values": {name: vars(cell) for name, cell in row.values.items()},
        "published": dict(row.published),
        "between": list(row.between) if row.between else None,
        "difference": row.difference,
        "low": row.low,
        "high": row.high,
        "p": row.p,
        "p_corrected": row.p_corrected,
        "winner": row.winner,
    }
