"""Materials of every side -> Comparison: the tests, the rows, what they mean. Pure; used by the comparison job."""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from emotion_mlflow.comparison.advice import advise
from emotion_mlflow.comparison.classes import RESAMPLES as CLASS_RESAMPLES
from emotion_mlflow.comparison.diagnosis import diagnose
from emotion_mlflow.comparison.material import Material
from emotion_mlflow.comparison.rows import make_rows
from emotion_mlflow.comparison.sides import describe, differing, warnings
from emotion_mlflow.comparison.values import Comparison, Disagreement
from emotion_mlflow.errors import DataError
from emotion_mlflow.labels import EXPRESSIONS, TASKS
from emotion_mlflow.metrics.paired import RESAMPLES, compare_sides
from emotion_mlflow.metrics.uncertainty import seed_of

DISAGREEMENTS = 12


def assemble(
    materials: Mapping[str, Sequence[Material]],
    *,
    repeats: Mapping[str, int],
    notes: Sequence[str] = (),
    other_groups: Sequence[str] = (),
    drawn: bool = False,
    command: str = "",
    now: datetime.datetime,
    resamples: int = RESAMPLES,
) -> Comparison:
    """The whole comparison; every side's versions were scored on the same faces, in order of their seeds.

    DataError where the stored predictions are not of the same faces.
    """
    first = next(iter(materials.values()))[0]
    for versions in materials.values():
        for one in versions:
            _require_same_faces(first, one)
    materials = _with_common_tasks(materials)
    seed = seed_of(first.candidate.test_digest)
    paired = compare_sides(
        {name: [one.answers for one in versions] for name, versions in materials.items()},
        seed=seed,
        groups=first.identities,
        resamples=resamples,
    )
    rows = make_rows(materials, paired, seed=seed, resamples=min(resamples, CLASS_RESAMPLES), repeats=repeats)
    return Comparison(
        sides=tuple(describe(name, versions, used=paired.used[name]) for name, versions in materials.items()),
        data_name=first.candidate.data_name,
        test_digest=first.candidate.test_digest,
        tasks=next(iter(materials.values()))[0].answers.tasks(),
        faces=len(first.ids),
        kind=paired.kind,
        resamples=resamples,
        rows=rows,
        differing=differing(materials),
        diagnosis=tuple(f for name, versions in materials.items() for one in versions for f in diagnose(name, one)),
        recommendations=advise(rows, materials),
        disagreements=tuple(disagreements(materials)),
        warnings=(*notes, *warnings(materials, used=paired.used)),
        other_groups=tuple(other_groups),
        drawn=drawn,
        created=now.isoformat(timespec="seconds"),
        command=command,
    )


def _require_same_faces(first: Material, other: Material) -> None:
    if first.candidate.test_digest != other.candidate.test_digest:
        raise DataError(
            f"versions scored on the same test faces as {first.candidate.name} ({_faces(first)})",
            got=f"{other.candidate.name} ({_faces(other)})",
        )
    if not np.array_equal(first.ids, other.ids):
        raise DataError(f"predictions for the faces of {first.candidate.name}", got=f"others in {other.candidate.name}")


def _with_common_tasks(materials: Mapping[str, Sequence[Material]]) -> dict[str, list[Material]]:
    """Answers for the tasks that every version learnt; DataError where there is none."""
    everyone = [one for versions in materials.values() for one in versions]
    common = set.intersection(*(set(one.answers.tasks()) for one in everyone))
    if not common:
        told = "; ".join(f"{one.candidate.name} {one.candidate.tasks}" for one in everyone)
        raise DataError("versions that learnt a task in common", got=told)
    names = {"expression": "probabilities", "valence": "valence", "arousal": "arousal", "landmarks": "landmarks"}
    gone: dict[str, Any] = {names[task]: None for task in TASKS if task not in common}
    return {
        name: [replace(one, answers=replace(one.answers, **gone)) for one in versions]
        for name, versions in materials.items()
    }


def _faces(one: Material) -> str:
    return f"{one.candidate.data_name}, test digest {one.candidate.test_digest[:12]}"


def disagreements(materials: Mapping[str, Sequence[Material]]) -> list[Disagreement]:
    """The faces on which the first two sides' first versions differ most, by total variation distance."""
    sides = [(name, versions[0]) for name, versions in materials.items()][:2]
    given = [one.answers.probabilities for _, one in sides]
    if any(each is None for each in given) or len(sides) < 2:
        return []
    first, second = np.asarray(given[0]), np.asarray(given[1])
    gaps = np.abs(first - second).sum(axis=1) / 2
    found = []
    for row in np.argsort(-gaps, kind="stable")[:DISAGREEMENTS]:
        true = int(sides[0][1].answers.expression_true[row])
        told = {name: _answer(values[row]) for (name, _), values in zip(sides, (first, second), strict=True)}
        found.append(
            Disagreement(
                face=str(sides[0][1].ids[row]),
                true=EXPRESSIONS[true] if true >= 0 else "no label",
                answers=told,
                gap=float(gaps[row]),
            )
        )
    return found


def _answer(probabilities: np.ndarray) -> str:
    label = int(probabilities.argmax())
    return f"{EXPRESSIONS[label]} {probabilities[label]:.2f}"
