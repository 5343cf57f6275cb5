"""The lines of a comparison, in the published report's order, then what it left out. Used by the comparison."""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from emotion_mlflow.comparison import published
from emotion_mlflow.comparison.classes import class_rows
from emotion_mlflow.comparison.diagnosis import rate_steps
from emotion_mlflow.comparison.material import Material
from emotion_mlflow.comparison.values import NO_WINNER, Better, Cell, Row
from emotion_mlflow.metrics.paired import Estimate, Paired
from emotion_mlflow.metrics.suite import lower_is_better

EFFICIENCY, LOSSES, RATES = "Training efficiency", "Losses and accuracy while training", "Learning rate"
SCORES = {"val": "Validation faces", "test": "Test faces"}
BEYOND, COSTS = "Not in the published report", "Cost"

Materials = Mapping[str, Sequence[Material]]
"""Side -> its versions, in order of their seeds."""

METRIC_WORDS = {
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "kappa": "Cohen's kappa",
    "alpha": "Krippendorff's alpha",
    "roc_auc": "ROC AUC",
    "pr_auc": "PR AUC",
    "ece": "calibration error (ECE)",
    "mae": "MAE",
    "rmse": "RMSE",
    "corr": "CORR",
    "sagr": "SAGR",
    "ccc": "CCC",
    "nme": "NME",
    "nme_box": "NME (box)",
    "failure_rate_08": "failure rate at 0.08",
    "auc_08": "error curve area to 0.08",
}

EFFICIENCY_ROWS = (
    ("epochs", "epochs", "Epochs until the training ended"),
    ("best_epoch", "best_epoch", "Best epoch"),
    (
        "seconds_per_epoch_training",
        "cost/seconds_per_epoch_training",
        "Time per epoch, training (s, {median} {epochs})",
    ),
    (
        "seconds_per_epoch_validation",
        "cost/seconds_per_epoch_validation",
        "Time per epoch, validation (s, {median} {epochs})",
    ),
    ("parameters", "cost/parameters", "Parameters"),
)
DIRECTIONS: Mapping[str, Better] = {"epochs": "", "best_epoch": "", "images_per_second_batch32": "higher"}
"""Of what is neither better nor worse, or better the more; of every other cost less is better."""
COST_ROWS = (
    ("latency_ms", "cost/latency_ms", "Latency of one picture (ms, {median} {latency}{quartiles})"),
    (
        "images_per_second_batch32",
        "cost/images_per_second_batch32",
        "Throughput in batches of 32 (pictures/s, {median} {throughput})",
    ),
    ("model_file_bytes", "cost/model_file_bytes", "Model file (bytes)"),
    ("peak_memory_bytes", "cost/peak_memory_bytes", "Peak memory of the training (bytes)"),
    ("seconds", "cost/seconds", "Training, all in all (s)"),
)


def make_rows(
    materials: Materials, paired: Paired, *, seed: int, resamples: int, repeats: Mapping[str, int]
) -> tuple[Row, ...]:
    """Every line; `seed` and `resamples` of the bootstrap behind the per-class intervals.

    `repeats`: how often `latency` and `throughput` were measured in each version.
    """
    used = {name: list(versions[: paired.used[name]]) for name, versions in materials.items()}
    rows = _metric_rows(EFFICIENCY, EFFICIENCY_ROWS, used, repeats)
    rows += _training_rows(used)
    rows += [row for split in SCORES for row in _score_rows(split, published.SCORE_ORDER, used, paired)]
    rows += [_rates(used)]
    left_out = [name for name in next(iter(paired.values.values())) if name not in published.SCORE_ORDER]
    for split in SCORES:
        rows += _score_rows(split, left_out, used, paired, section=BEYOND)
    rows += class_rows(BEYOND, used, seed=seed, resamples=resamples)
    rows += _metric_rows(COSTS, COST_ROWS, used, repeats)
    return tuple(row for row in rows if any(cell.value is not None for cell in row.values.values()))


def _score_rows(split: str, names: Sequence[str], used: Materials, paired: Paired, section: str = "") -> list[Row]:
    there = next(iter(paired.values.values()))
    make: Callable[[str, str, str], Row]
    if split == "test":
        make = lambda section, split, name: _tested(section, name, paired)  # noqa: E731
    else:
        make = lambda section, split, name: _described(section, split, name, used)  # noqa: E731
    return [make(section or SCORES[split], split, name) for name in names if name in there]


def _tested(section: str, name: str, paired: Paired) -> Row:
    """One line on the test faces, with its difference and test."""
    first, second = paired.best[name]
    test = paired.tests[first, second][name]
    primary = name in paired.winners
    figures = {side: each[name] for side, each in paired.values.items()}
    cells = {side: _estimate(one) for side, one in figures.items()}
    return _score_row(
        section,
        "test",
        name,
        cells,
        primary=primary,
        between=(first, second),
        difference=_plain(test.difference),
        low=_plain(test.low),
        high=_plain(test.high),
        p=_plain(test.p),
        p_corrected=_plain(test.p_corrected) if primary else None,
        winner=(paired.winners[name] or NO_WINNER) if primary else None,
    )


def _estimate(one: Estimate) -> Cell:
    low, high = _plain(one.low), _plain(one.high)
    return Cell(value=_plain(one.value), low=low, high=high, bounds=None if low is None else "interval95")


def _described(section: str, split: str, name: str, used: Materials) -> Row:
    return _score_row(section, split, name, _cells(used, f"final/{split}/{name}"))


def _score_row(section: str, split: str, name: str, values: Mapping[str, Cell], **tested: object) -> Row:
    task, metric = name.split("/")
    return Row(
        section=section,
        split=split,
        task=task,
        metric=metric,
        label=f"{task.capitalize()} {METRIC_WORDS.get(metric, metric)}",
        values=values,
        better="lower" if lower_is_better(name) else "higher",
        published=published.FIGURES.get(name, {}),
        **tested,  # type: ignore[arg-type]
    )


def _training_rows(used: Materials) -> list[Row]:
    """Losses and accuracy of the last epoch."""
    rows = []
    for name, label in (
        ("train/loss", "Training loss, last epoch"),
        ("val/loss", "Validation loss, last epoch"),
        ("train/expression/accuracy", "Training accuracy, last epoch"),
    ):
        split, *task, metric = name.split("/")
        better: Better = "higher" if metric == "accuracy" else "lower"
        values = {side: _spread([_last(one, name) for one in versions]) for side, versions in used.items()}
        rows.append(
            Row(
                section=LOSSES,
                split=split,
                task="/".join(task),
                metric=f"last_{metric}",
                label=label,
                values=values,
                better=better,
                published=published.FIGURES[name],
            )
        )
    accuracy = _cells(used, "final/train/expression/accuracy")
    rows.append(_score_row(LOSSES, "train", "expression/accuracy", accuracy))
    return [*rows[:-1], _without_published(rows[-1], "Training accuracy of the saved model")]


def _without_published(row: Row, label: str) -> Row:
    return Row(**{**vars(row), "published": {}, "label": label})


def _metric_rows(
    section: str, listed: Sequence[tuple[str, str, str]], used: Materials, repeats: Mapping[str, int]
) -> list[Row]:
    epochs = {len(one.history) for versions in used.values() for one in versions}
    told = {"epochs": " or ".join(map(str, sorted(epochs))) + " epochs", **repeats, **_summed_up(used)}
    return [
        Row(
            section=section,
            split="",
            task="",
            metric=metric,
            label=label.format_map(told),
            values=_cells(used, logged),
            better=DIRECTIONS.get(metric, "lower"),
            published=published.FIGURES.get(metric, {}),
        )
        for metric, logged, label in listed
    ]


def _summed_up(used: Materials) -> dict[str, str]:
    """How repeated timings became one figure: of one version, or of several."""
    counts = sorted({len(versions) for versions in used.values()})
    if counts == [1]:
        return {"median": "median of", "quartiles": " with quartiles"}
    return {"median": f"mean of {' or '.join(map(str, counts))} versions' medians of", "quartiles": ""}


def _rates(used: Materials) -> Row:
    values = {side: Cell(value=rates_in_words(versions[0])) for side, versions in used.items()}
    return Row(
        section=RATES,
        split="",
        task="",
        metric="learning_rate",
        label="Learning rate, step by step",
        values=values,
        published=published.FIGURES["learning_rate"],
    )


def rates_in_words(material: Material) -> str | None:
    """`0.001 constant`, `0.0001, 5e-05 (from epoch 12)` or `0.001 for 1 epoch, then 0.0003 to 3e-06, cosine`."""
    steps = rate_steps(material.history)
    warm = int(material.params.get("training.warmup_epochs", "0"))
    if not steps:
        return None
    if len(steps) == 1:
        return f"{steps[0][1]:.3g} constant"
    if material.params.get("training.schedule") == "cosine":
        rest = [rate for epoch, rate in steps if epoch > warm]
        before = f"{steps[0][1]:.3g} for {warm} epoch{'s' if warm > 1 else ''}, then " if warm and rest else ""
        return f"{before}{rest[0] if rest else steps[0][1]:.3g} to {steps[-1][1]:.3g}, cosine"
    return ", ".join(f"{rate:.3g}" + (f" (from epoch {epoch})" if epoch > 1 else "") for epoch, rate in steps)


def _cells(used: Materials, logged: str) -> dict[str, Cell]:
    """Mean over the versions, with the smallest and the largest where there are several; quartiles of one timing."""
    cells = {}
    for side, versions in used.items():
        cell = _spread([one.metrics.get(logged) for one in versions])
        if len(versions) == 1 and f"{logged}_low" in versions[0].metrics and "/test/" not in logged:
            bounds = (versions[0].metrics[f"{logged}_low"], versions[0].metrics[f"{logged}_high"])
            cell = Cell(value=cell.value, low=bounds[0], high=bounds[1], bounds="quartiles")
        cells[side] = cell
    return cells


def _spread(values: Sequence[float | None]) -> Cell:
    known = [value for value in values if value is not None and math.isfinite(value)]
    if not known or len(known) < len(values):
        return Cell(value=None)
    if len(known) == 1:
        return Cell(value=float(known[0]))
    return Cell(value=float(np.mean(known)), low=float(min(known)), high=float(max(known)), bounds="range")


def _last(material: Material, name: str) -> float | None:
    return float(material.history[name].iloc[-1]) if name in material.history and len(material.history) else None


def _plain(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
