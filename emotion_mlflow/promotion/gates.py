"""The judge: facts about a version and its champion, held against limits, a gate each. Pure; used by the promotion job.

A fact that could not be had is a `Missing` that says which and why; its gate fails with those words.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from emotion_mlflow.promotion.limits import Limits

MEGABYTE = 1e6


@dataclass(frozen=True, kw_only=True)
class Gate:
    """One condition, and how the version stands to it."""

    name: str
    value: float | str | None
    """None where there is no figure."""
    limit: float | str | None
    passed: bool
    why: str
    """One sentence for a person."""


@dataclass(frozen=True)
class Missing:
    """A fact that could not be had."""

    why: str
    """Which figure, and why there is none: `cost/latency_ms is not among the run's metrics`."""


@dataclass(frozen=True, kw_only=True)
class Contest:
    """Candidate against champion in one metric, on the same test faces; positive is better for the candidate."""

    metric: str
    """`expression/macro_f1`."""
    candidate: float
    champion: float
    difference: float
    bound: float
    """Lower one-sided 95 % bound of the difference."""
    p: float
    """Two-sided: the larger of the paired permutation test's and the bootstrap's."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one picture costs."""

    latency_ms: float | Missing
    file_bytes: float | Missing
    machine: str
    """Latencies of two machines say nothing about the models."""


@dataclass(frozen=True, kw_only=True)
class Recall:
    """How many faces of an expression were recognised."""

    expression: str
    faces: int
    recall: float


@dataclass(frozen=True, kw_only=True)
class Reload:
    """What a clean process answered for the logged pictures."""

    pictures: int
    largest: float
    """Largest difference from a logged answer; NaN answers count as infinite."""
    task: str
    """Where that is."""


@dataclass(frozen=True, kw_only=True)
class Champion:
    """Who is to be replaced."""

    version: str
    cost: Cost | Missing
    contests: Sequence[Contest] | Missing
    """One for macro F1; without expression one for the CCC of each affect task, without those one for landmarks."""
    left_out: int = 0
    """Test faces that the champion was trained on: the contest is without them."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """All that the gates look at."""

    status: str
    """The training run's: FINISHED, FAILED, ..."""
    selected_on_test: bool | Missing
    clean: bool | Missing
    """The code it was trained from is in a commit."""
    allow_dirty: bool = False
    champion: Champion | None
    """None: there is none, or the version is measured without one."""
    cost: Cost
    ece: float | Missing | None
    """None: expression was not learnt; recalls likewise."""
    recalls: Sequence[Recall] | Missing | None
    reload: Reload | Missing


def judge(facts: Facts, limits: Limits) -> tuple[Gate, ...]:
    """Every gate, in a fixed order; the version may pass if all of them did."""
    return (
        _finished(facts),
        _not_selected_on_test(facts),
        _clean(facts),
        _against_champion(facts, limits),
        _calibrated(facts, limits),
        _at_most("latency_ms", facts.cost.latency_ms, limits.latency_ms, "ms for one picture"),
        _size(facts, limits),
        _recalls(facts, limits),
        _reloads(facts, limits),
    )


def passed(gates: Sequence[Gate]) -> bool:
    """Whether a version with these gates may be promoted."""
    return bool(gates) and all(gate.passed for gate in gates)


def _finished(facts: Facts) -> Gate:
    fine = facts.status == "FINISHED"
    why = "the training run ended well" if fine else f"the training run is {facts.status}"
    return Gate(name="finished", value=facts.status, limit="FINISHED", passed=fine, why=why)


def _not_selected_on_test(facts: Facts) -> Gate:
    name, limit = "not_selected_on_test", "false"
    if isinstance(facts.selected_on_test, Missing):
        return _missing(name, limit, facts.selected_on_test)
    chosen = facts.selected_on_test
    told = "the test faces, so its scores are too good" if chosen else "validation faces"
    why = f"its epochs were chosen on {told}"
    return Gate(name=name, value=str(chosen).lower(), limit=limit, passed=not chosen, why=why)


def _clean(facts: Facts) -> Gate:
    limit = "allowed" if facts.allow_dirty else "clean"
    if isinstance(facts.clean, Missing):
        why = facts.clean.why
        return _dirty(limit, None, why, facts)
    if not facts.clean:
        return _dirty(limit, "dirty", "trained from code with changes that no commit holds", facts)
    return Gate(name="clean_git", value="clean", limit=limit, passed=True, why="trained from code that a commit holds")


def _dirty(limit: str, value: str | None, why: str, facts: Facts) -> Gate:
    told = f"{why}; let through by --allow-dirty" if facts.allow_dirty else f"{why} (see --allow-dirty)"
    return Gate(name="clean_git", value=value, limit=limit, passed=facts.allow_dirty, why=told)


def _against_champion(facts: Facts, limits: Limits) -> Gate:
    name, champion = "better_than_champion", facts.champion
    if champion is None:
        why = "there is no champion yet: the other gates decide"
        return Gate(name=name, value=None, limit=None, passed=True, why=why)
    if isinstance(champion.contests, Missing):
        return _missing(name, limits.alpha, champion.contests)
    contests = champion.contests
    told = "; ".join(_told(one) for one in contests)
    if champion.left_out:
        told += f"; without {champion.left_out} test faces that version {champion.version} was trained on"
    if all(one.difference > 0 and one.p <= limits.alpha for one in contests):
        # several metrics: all of them must be better (intersection-union test, Berger 1982), which needs no correction
        why = f"better than version {champion.version}: {told}"
        return Gate(name=name, value=min(one.difference for one in contests), limit=0.0, passed=True, why=why)
    fields: dict[str, Any] = {
        "name": name,
        "value": min(one.bound for one in contests),
    }  # the margin is held against it
    limit = -max(limits.margin(one.metric) for one in contests)
    if not all(one.bound > -limits.margin(one.metric) for one in contests):
        why = (
            f"neither better than version {champion.version} at {limits.alpha:g} nor surely within the margin: "
            f"{told}; margin {-limit:g}"
        )
        return Gate(**fields, limit=limit, passed=False, why=why)
    cheaper, how = _cheaper(facts.cost, champion.cost, limits)
    why = f"not worse than version {champion.version} by the margin of {-limit:g}: {told}; {how}"
    return Gate(**fields, limit=limit, passed=cheaper, why=why)


def _told(one: Contest) -> str:
    return (
        f"{one.metric} {one.candidate:.3f} against {one.champion:.3f}, difference {one.difference:+.3f}, "
        f"one-sided 95 % bound {one.bound:+.3f}, p {one.p:.4f}"
    )


def _cheaper(candidate: Cost, champion: Cost | Missing, limits: Limits) -> tuple[bool, str]:
    """Whether latency or size is better by the factor and the other not as much worse, and in which words."""
    if isinstance(champion, Missing):
        return False, f"whether it is cheaper is not known: {champion.why}"
    size = _ratio("the file's size", champion.file_bytes, candidate.file_bytes)
    if candidate.machine == champion.machine:
        speed = _ratio("latency", champion.latency_ms, candidate.latency_ms)
    else:
        speed = Missing("latencies were measured on different machines")
    factors = {"faster": speed, "smaller": size}
    known = {word: factor for word, factor in factors.items() if isinstance(factor, float)}
    told = [f"{factor:.2f} times {word}" for word, factor in known.items()]
    told += [factor.why for factor in factors.values() if isinstance(factor, Missing)]
    enough = any(factor >= limits.cheaper_factor for factor in known.values())
    enough = enough and all(factor * limits.cheaper_factor >= 1 for factor in known.values())
    words = (
        f"cheaper by {limits.cheaper_factor:g} or more" if enough else f"not {limits.cheaper_factor:g} times cheaper"
    )
    return enough, f"{words} ({', '.join(told)})"


def _ratio(what: str, champion: float | Missing, candidate: float | Missing) -> float | Missing:
    for side, figure in (("the champion", champion), ("the candidate", candidate)):
        if isinstance(figure, Missing):
            return Missing(f"{what} of {side} is not known: {figure.why}")
    return float(champion) / float(candidate)  # type: ignore[arg-type]  # neither is Missing here


def _calibrated(facts: Facts, limits: Limits) -> Gate:
    if facts.ece is None:
        return _not_learnt("ece", limits.ece)
    return _at_most("ece", facts.ece, limits.ece, "expected calibration error on the test faces")


def _size(facts: Facts, limits: Limits) -> Gate:
    size = facts.cost.file_bytes
    megabytes = size if isinstance(size, Missing) else size / MEGABYTE
    return _at_most("model_file_mb", megabytes, limits.model_file_mb, "MB, the saved network")


def _recalls(facts: Facts, limits: Limits) -> Gate:
    name, limit = "recall", "> 0"
    if facts.recalls is None:
        return _not_learnt(name, limit)
    if isinstance(facts.recalls, Missing):
        return _missing(name, limit, facts.recalls)
    judged = [one for one in facts.recalls if one.faces >= limits.recall_faces]
    if not judged:
        most = max((one.faces for one in facts.recalls), default=0)
        why = f"no expression has {limits.recall_faces} test faces (at most {most}), so none can be judged"
        return Gate(name=name, value=None, limit=limit, passed=True, why=why)
    unseen = [one for one in judged if not one.recall > 0]
    lowest = min(judged, key=lambda one: one.recall)
    if unseen:
        why = "never recognised: " + ", ".join(f"{one.expression} ({one.faces} faces)" for one in unseen)
    else:
        why = f"lowest recall {lowest.recall:.3f}, of {lowest.expression} ({lowest.faces} faces)"
    why += f", of expressions with {limits.recall_faces} test faces or more"
    if left := [one.expression for one in facts.recalls if one not in judged]:
        why += f"; too few faces to judge {', '.join(left)}"
    return Gate(name=name, value=lowest.recall, limit=limit, passed=not unseen, why=why)


def _reloads(facts: Facts, limits: Limits) -> Gate:
    name, found = "reload", facts.reload
    if isinstance(found, Missing):
        return _missing(name, limits.tolerance, found)
    fine = found.largest <= limits.tolerance
    why = f"loaded in a clean process, {found.pictures} logged answers {'reproduced' if fine else 'not reproduced'}"
    why += f": largest difference {found.largest:.2g}, in {found.task}"
    return Gate(name=name, value=found.largest, limit=limits.tolerance, passed=fine, why=why)


def _at_most(name: str, figure: float | Missing, limit: float, meaning: str) -> Gate:
    if isinstance(figure, Missing):
        return _missing(name, limit, figure)
    fine = figure <= limit
    why = f"{figure:.4g} is {'within' if fine else 'above'} {limit:g} ({meaning})"
    return Gate(name=name, value=figure, limit=limit, passed=fine, why=why)


def _missing(name: str, limit: float | str | None, missing: Missing) -> Gate:
    return Gate(name=name, value=None, limit=limit, passed=False, why=f"cannot be judged: {missing.why}")


def _not_learnt(name: str, limit: float | str) -> Gate:
    return Gate(name=name, value=None, limit=limit, passed=True, why="does not apply: expression was not learnt")
