"""Candidate against champion on the same test faces, from their stored answers. Pure; used by the promotion job."""

from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from emotion_mlflow.metrics import expression
from emotion_mlflow.metrics.paired import compare_sides
from emotion_mlflow.metrics.suite import AFFECT_TASKS, Answers, lower_is_better, nme_name
from emotion_mlflow.promotion.gates import Contest, Missing, Recall

FIELDS = {"expression": "probabilities", "valence": "valence", "arousal": "arousal", "landmarks": "landmarks"}
"""Where `Answers` holds each task's predictions."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Answered:
    """One version's answers to the test faces, in order of id."""

    answers: Answers
    ids: np.ndarray
    """(N,) str; identities likewise, "" where unknown."""
    identities: np.ndarray

    def only(self, ids: np.ndarray) -> "Answered":
        """The answers to these faces."""
        kept = np.flatnonzero(np.isin(self.ids, ids))
        return Answered(answers=self.answers.rows(kept), ids=self.ids[kept], identities=self.identities[kept])


def deciding(answers: Answers) -> tuple[str, ...]:
    """The metrics of the selection score: macro F1; without expression the CCCs; without those the landmark error."""
    tasks = answers.tasks()
    if "expression" in tasks:
        return ("expression/macro_f1",)
    if affect := [task for task in AFFECT_TASKS if task in tasks]:
        return tuple(f"{task}/ccc" for task in affect)
    return (f"landmarks/{nme_name(answers.layout)}",)


def contest(candidate: Answered, champion: Answered, *, seed: int, resamples: int) -> Sequence[Contest] | Missing:
    """The deciding metrics of the candidate, tested; Missing where the champion did not answer the same."""
    if not np.array_equal(candidate.ids, champion.ids):
        return Missing("the champion's stored answers are for other faces than the candidate's")
    metrics = deciding(candidate.answers)
    tasks = {metric.split("/")[0] for metric in metrics}
    lacking = tasks - set(champion.answers.tasks())
    if lacking:
        return Missing(f"the champion did not learn {' and '.join(sorted(lacking))}, which decides here")
    sides = {"candidate": [_only(candidate.answers, tasks)], "champion": [_only(champion.answers, tasks)]}
    paired = compare_sides(sides, seed=seed, groups=candidate.identities, resamples=resamples)
    tests = paired.tests["candidate", "champion"]
    found = []
    for metric in metrics:
        test, better = tests[metric], -1 if lower_is_better(metric) else 1
        one = Contest(
            metric=metric,
            candidate=paired.values["candidate"][metric].value,
            champion=paired.values["champion"][metric].value,
            difference=better * test.difference,
            bound=test.lowest if better > 0 else -test.highest,
            p=test.p,
        )
        if not np.isfinite([one.difference, one.bound, one.p]).all():
            return Missing(f"{metric} is not defined on these test faces")
        found.append(one)
    return found


def _only(answers: Answers, tasks: Set[str]) -> Answers:
    """Answers for these tasks: both sides must have the same ones, and the test of a metric needs no other."""
    gone: dict[str, Any] = {field: None for task, field in FIELDS.items() if task not in tasks}
    return replace(answers, **gone)


def recalls(answers: Answers) -> list[Recall] | None:
    """Of each expression that has a test face, in label order; None where expression was not learnt."""
    if answers.probabilities is None:
        return None
    labels = expression.predicted_labels(answers.probabilities)
    known = answers.expression_true >= 0
    scores = expression.per_class(answers.expression_true[known], labels[known])
    return [Recall(expression=one.name, faces=one.support, recall=one.recall) for one in scores if one.support]


def calibration(answers: Answers) -> float | Missing | None:
    """The expected calibration error; None where expression was not learnt."""
    if answers.probabilities is None:
        return None
    error = expression.ece(*answers.pair("expression"))
    return error if np.isfinite(error) else Missing("no test face has an expression label")
