"""Comparisons made by hand: numbers that a test can show."""

from collections.abc import Callable
from typing import Any

import pytest

from emotion_mlflow.comparison.values import NO_WINNER, Advice, Cell, Comparison, Disagreement, Finding, Row, Side

TESTED = (
    ("expression", "accuracy", "accuracy", "higher"),
    ("expression", "macro_f1", "macro F1", "higher"),
    ("valence", "ccc", "CCC", "higher"),
    ("valence", "rmse", "RMSE", "lower"),
    ("arousal", "ccc", "CCC", "higher"),
    ("arousal", "rmse", "RMSE", "lower"),
    ("landmarks", "nme", "NME", "lower"),
    ("expression", "ece", "calibration error (ECE)", "lower"),
)
PUBLISHED = {
    "expression/accuracy": {"resnet50": 0.125, "efficientnetb0": 0.364},
    "valence/ccc": {"resnet50": "very low", "efficientnetb0": 0.412},
    "expression/macro_f1": {"efficientnetb0": 0.364},
}


def make_side(name: str, place: int, seeds: int) -> Side:
    numbers = [place + 1 + 3 * seed for seed in range(seeds)]
    return Side(
        name=name,
        backbone=name,
        recipe="probe",
        versions=tuple(f"emotion/{number}" for number in numbers),
        run_ids=tuple(f"{number:032x}" for number in numbers),
        seeds=tuple(range(1, seeds + 1)),
        used=seeds,
        selection_score=0.412 + 0.1 * (place == 0),
        selected_on_test=False,
        weights=f"{name}.npz",
        weights_digest=f"{place + 10:x}" * 32,
        weights_kind="file",
        config={"recipe": "probe", "model.backbone": name, "training.learning_rate": f"{10.0 ** -(place + 3):g}"},
    )


def tested_row(names: tuple[str, ...], task: str, metric: str, word: str, better: str, *, gap: float) -> Row:
    """The first name's value is .5, or .06 for landmarks, the next ones' less by `gap` each."""
    top = 0.06 if task == "landmarks" else 0.5
    cells = {
        name: Cell(value=top - place * gap, low=top - place * gap - abs(gap) / 3, high=top - place * gap + abs(gap) / 3)
        for place, name in enumerate(names)
    }
    ahead = names[0] if (gap > 0) == (better == "higher") else names[1]
    clear = abs(gap) > 0.01
    return Row(
        section="Test faces"
        if (task, metric) in (("expression", "accuracy"), ("expression", "macro_f1"))
        or task
        in (
            "valence",
            "arousal",
        )
        else "Not in the published report",
        split="test",
        task=task,
        metric=metric,
        label=f"{task.capitalize()} {word}",
        values=cells,
        better=better,
        primary=True,
        published=PUBLISHED.get(f"{task}/{metric}", {}),
        between=(names[0], names[1]),
        difference=gap,
        low=gap - (abs(gap) / 2 if clear else 0.02),
        high=gap + (abs(gap) / 2 if clear else 0.02),
        p=0.00003 if clear else 0.4,
        p_corrected=0.00024 if clear else 1.0,
        winner=ahead if clear else NO_WINNER,
    )


def plain_row(names: tuple[str, ...], section: str, metric: str, label: str, values: list[Any], **more: Any) -> Row:
    cells = [value if isinstance(value, Cell) else Cell(value=value) for value in values]
    told = {"split": "", "task": "", "better": "lower", **more}
    return Row(section=section, metric=metric, label=label, values=dict(zip(names, cells, strict=True)), **told)


def make(
    names: tuple[str, ...] = ("resnet50", "efficientnetb0"),
    *,
    gaps: tuple[float, ...] = (0.12, 0.1, 0.15, -0.08, 0.002, -0.001, -0.012, -0.03),
    seeds: int = 1,
    **changed: Any,
) -> Comparison:
    """By default the first side wins five primary rows, and two are open."""
    spread = range(len(names))
    tested = [tested_row(names, *one, gap=gap) for one, gap in zip(TESTED, gaps, strict=True)]
    val = [
        plain_row(
            names,
            section,
            metric,
            label,
            [Cell(value=0.51 - 0.1 * place) for place in spread],
            split="val",
            task="expression",
            better=better,
        )
        for section, metric, label, better in (
            ("Validation faces", "accuracy", "Expression accuracy", "higher"),
            ("Not in the published report", "ece", "Expression calibration error (ECE)", "lower"),
        )
    ]
    rates = [f"{10.0 ** -(place + 3):g} constant" for place in spread]
    rows = [
        plain_row(
            names,
            "Training efficiency",
            "epochs",
            "Epochs until the training ended",
            [12.0 + p for p in spread],
            published={"resnet50": 27, "efficientnetb0": 33},
        ),
        plain_row(
            names,
            "Training efficiency",
            "parameters",
            "Parameters",
            [24_123_456.0 / (p + 1) for p in spread],
            published={"resnet50": 25e6, "efficientnetb0": 5.3e6},
        ),
        val[0],
        *[row for row in tested if row.section == "Test faces"],
        plain_row(
            names,
            "Learning rate",
            "learning_rate",
            "Learning rate, step by step",
            rates,
            better="",
            published={"resnet50": "0.001 constant"},
        ),
        *[row for row in tested if row.section != "Test faces"],
        val[1],
        plain_row(
            names,
            "Cost",
            "latency_ms",
            "Latency of one picture (ms, median of 50 with quartiles)",
            [Cell(value=31.24 + p, low=30.1 + p, high=33.9 + p) for p in spread],
        ),
        plain_row(names, "Cost", "model_file_bytes", "Model file (bytes)", [98_312_345.0 / (p + 1) for p in spread]),
    ]
    told: dict[str, Any] = {
        "sides": tuple(make_side(name, place, seeds) for place, name in enumerate(names)),
        "data_name": "faces",
        "test_digest": "1a2b3c4d5e6f" + "0" * 20,
        "tasks": ("expression", "valence", "arousal", "landmarks"),
        "faces": 1291,
        "kind": "procedures" if seeds > 2 else "versions",
        "resamples": 10_000,
        "rows": tuple(rows),
        "differing": {
            "training.learning_rate": {name: f"{10.0 ** -(p + 3):g}" for p, name in enumerate(names)},
        },
        "diagnosis": (
            Finding(
                side=names[0], version="emotion/1", kind="healthy", text="learnt without a fault that its history shows"
            ),
            Finding(
                side=names[1],
                version="emotion/2",
                kind="collapsed",
                text="collapsed to one class: answers fear for 99.1% of the test faces (kappa 0.000)",
            ),
        ),
        "recommendations": (
            Advice(
                side=names[0],
                kind="choose",
                text=f"Choose {names[0]} if Expression macro F1 matters.",
                figure="test/expression/macro_f1 0.500 against 0.400",
            ),
            Advice(
                side=names[1],
                kind="avoid",
                text=f"Avoid {names[1]} as trained here because it collapsed.",
                figure="share of one answer on test faces 0.991",
            ),
        ),
        "disagreements": tuple(
            Disagreement(
                face=f"test/{number:06d}",
                true="happy",
                answers={name: f"{('happy', 'fear', 'sad')[p % 3]} .9{number}" for p, name in enumerate(names)},
                gap=0.9 - number / 100,
            )
            for number in range(6)
        ),
        "warnings": ("the starting weights are not of the same kind",),
        "other_groups": ("test faces 9f8e7d6c (demo, 4 versions): --test-digest 9f8e7d6c",),
        "drawn": True,
        "created": "2026-11-25T08:40:00+00:00",
        "command": "emotion-mlflow compare --backbones resnet50,efficientnetb0",
    }
    return Comparison(**(told | changed))


@pytest.fixture
def comparison() -> Comparison:
    return make()


@pytest.fixture
def make_comparison() -> Callable[..., Comparison]:
    return make
