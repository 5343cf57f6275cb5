"""Whether two models, or two ways to train, differ: paired on the same faces. NumPy and SciPy's t only.

Fewer than three models on some side: these versions are compared, by a permutation test. Three or more on every
side: the trainings are, by a t test whose variance holds the seeds' spread and the faces' (docs/METRICS.md).
"""

import itertools
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np

from emotion_mlflow.errors import ConfigError, DataError
from emotion_mlflow.labels import LandmarkLayout
from emotion_mlflow.metrics.resampling import CHUNK_COUNTS, ResampledSuite, count_chunks, group_index
from emotion_mlflow.metrics.suite import PRIMARY, Answers, lower_is_better, pick
from emotion_mlflow.metrics.uncertainty import interval

RESAMPLES = 10_000
"""Of the bootstrap, and of the permutation test."""
LEVEL = 0.05
FEWEST_SEEDS = 3
ROUNDING = 1e-12
"""Differences closer than this are the same: permutations add in another order."""

Key = TypeVar("Key")
Draws = dict[str, np.ndarray]
Sides = Mapping[str, Sequence[Answers]]


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval; NaN where it is undefined."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class PairedTest:
    """First side minus second side on one metric."""

    difference: float
    low: float
    high: float
    """Ends of the 95 % interval."""
    lowest: float
    highest: float
    """One-sided 95 % bounds: the difference is above `lowest`, or below `highest`."""
    p: float
    """Two-sided; NaN where it could not be tested."""
    p_corrected: float
    """Holm over all primary metrics and pairs; NaN for a metric that is not primary."""


@dataclass(frozen=True, kw_only=True)
class Paired:
    """All differences between sides."""

    kind: Literal["versions", "procedures"]
    used: dict[str, int]
    """Models of each side that the figures come from: the first ones."""
    values: dict[str, dict[str, Estimate]]
    """Side -> metric -> mean over its models."""
    tests: dict[tuple[str, str], dict[str, PairedTest]]
    """(first, second) -> metric."""
    winners: dict[str, str | None]
    """Primary metric -> the side that beats every other one, or None."""
    best: dict[str, tuple[str, str]]
    """Metric -> the pair to show: two sides as given; of more, the best and the runner-up."""


def compare_sides(
    sides: Sides,
    *,
    seed: int,
    groups: np.ndarray | None,
    layout: LandmarkLayout | None = None,
    resamples: int = RESAMPLES,
    workers: int | None = None,
) -> Paired:
    """Every metric of every side with its interval, and every pair of sides tested.

    `sides`: name -> the models' answers for the same faces in the same order; where a side has more models than the
    others its first ones are used, so no score may order them. `groups`: (N,) identities, "" where unknown: whole
    groups are drawn and swapped. The numbers depend on `seed`, not on `workers` (threads). DataError where the sides'
    truths differ, ConfigError for fewer than two sides.
    """
    _require_same_truth(sides)
    procedures = min(map(len, sides.values())) >= FEWEST_SEEDS
    least = min(map(len, sides.values()))
    used = {name: list(models if procedures else models[:least]) for name, models in sides.items()}
    ready = {name: [ResampledSuite(one, layout=layout) for one in models] for name, models in used.items()}
    faces = len(next(iter(used.values()))[0])
    threads = workers or os.cpu_count() or 1
    draws = _bootstrap(ready, count_chunks(faces, resamples=resamples, seed=seed, groups=groups), threads)
    seeds = {name: _seeds(models) for name, models in ready.items()}
    pairs = list(itertools.combinations(sides, 2))
    blocks = int(group_index(faces, groups).max(initial=0)) + 1
    tests = {}
    for first, second in pairs:
        if procedures:
            found = _procedures(seeds[first], seeds[second], draws[first], draws[second], blocks)
        else:
            swaps = _swap_chunks(faces, resamples=resamples, seed=seed, groups=groups)
            stacked = [
                ResampledSuite(_stack(one, other), layout=layout)
                for one, other in zip(used[first], used[second], strict=True)
            ]
            shuffled = _permuted(stacked, swaps, threads)
            found = _versions(seeds[first], seeds[second], draws[first], draws[second], shuffled)
        tests[first, second] = found
    values = {name: _values(seeds[name], draws[name], procedures, blocks) for name in used}
    tests = _corrected(tests)
    return Paired(
        kind="procedures" if procedures else "versions",
        used={name: len(models) for name, models in used.items()},
        values=values,
        tests=tests,
        winners=_winners(values, tests),
        best=_best(values),
    )


def holm(p: Mapping[Key, float]) -> dict[Key, float]:
    """Step-down corrected p values (Holm 1979); NaN stay NaN and are not counted."""
    known = sorted((value, position, key) for position, (key, value) in enumerate(p.items()) if not math.isnan(value))
    corrected = dict.fromkeys(p, math.nan)
    highest = 0.0
    for rank, (value, _, key) in enumerate(known):
        highest = max(highest, min(1.0, value * (len(known) - rank)))
        corrected[key] = highest
    return corrected


def _require_same_truth(sides: Sides) -> None:
    if len(sides) < 2 or not all(sides.values()):
        raise ConfigError("two or more sides with a model each", got=len([each for each in sides.values() if each]))
    first = next(iter(sides.values()))[0]
    for name, models in sides.items():
        for one in models:
            if one.tasks() != first.tasks():
                raise DataError(f"answers for {', '.join(first.tasks())}", got=", ".join(one.tasks()), where=name)
            for truth in ("expression_true", "valence_true", "arousal_true", "landmarks_true"):
                if not np.array_equal(getattr(one, truth), getattr(first, truth), equal_nan=truth != "expression_true"):
                    raise DataError("answers for the same faces in the same order", got=f"another {truth}", where=name)


def _bootstrap(
    ready: Mapping[str, Sequence[ResampledSuite]], chunks: Iterable[np.ndarray], threads: int
) -> dict[str, Draws]:
    """Side -> metric -> (R,) mean over the side's models, all sides on the same resamples."""

    def work(counts: np.ndarray) -> dict[str, Draws]:
        return {name: _mean([one.scores(counts) for one in models]) for name, models in ready.items()}

    parts = _in_threads(work, chunks, threads)
    return {name: _joined([part[name] for part in parts]) for name in ready}


def _permuted(stacked: Sequence[ResampledSuite], swaps: Iterable[np.ndarray], threads: int) -> Draws:
    """Metric -> (R,) differences of means with some faces' answers swapped between the sides."""

    def work(swapped: np.ndarray) -> Draws:
        kept = 1 - swapped
        ours, theirs = np.concatenate([kept, swapped]), np.concatenate([swapped, kept])
        first, second = _mean([one.scores(ours) for one in stacked]), _mean([one.scores(theirs) for one in stacked])
        return {name: first[name] - second[name] for name in first}

    return _joined(_in_threads(work, swaps, threads))


def _in_threads(work: Callable[[np.ndarray], Key], chunks: Iterable[np.ndarray], threads: int) -> list[Key]:
    """`work` on each chunk, in order; few wait at a time, as one is megabytes. NumPy lets threads run at once."""
    waiting, done = iter(chunks), []
    with ThreadPoolExecutor(threads) as pool:
        while taken := list(itertools.islice(waiting, 4 * threads)):
            done += list(pool.map(work, taken))
    return done


def _swap_chunks(faces: int, *, resamples: int, seed: int, groups: np.ndarray | None) -> Iterator[np.ndarray]:
    """(faces, r) int32, 1 where a face's answers change sides; whole groups do, each with probability one half."""
    member = group_index(faces, groups)
    blocks = int(member.max(initial=-1)) + 1
    random = np.random.default_rng([seed, 1])
    width = max(1, CHUNK_COUNTS // max(2 * faces, 1))
    for start in range(0, resamples, width):
        drawn = random.integers(0, 2, size=(blocks, min(width, resamples - start)), dtype=np.int32)
        yield np.ascontiguousarray(drawn[member])


def _stack(first: Answers, second: Answers) -> Answers:
    """Both models' answers one below the other, each with its truths."""
    names = [name for name, values in vars(first).items() if values is not None]
    return Answers(**{name: np.concatenate([getattr(first, name), getattr(second, name)]) for name in names})


def _seeds(models: Sequence[ResampledSuite]) -> Draws:
    """Metric -> (n,) the figure of each model on the faces as they are."""
    whole = [one.scores(np.ones((one.faces, 1), np.int32)) for one in models]
    return {name: np.array([each[name][0] for each in whole]) for name in whole[0]}


def _versions(first: Draws, second: Draws, drawn: Draws, other: Draws, shuffled: Draws) -> dict[str, PairedTest]:
    """Percentile intervals of the paired bootstrap (Efron & Tibshirani 1993); p by permutation (Good 2005).

    A permutation test answers whether the sides' answers can change places, not whether one figure is equal: two models
    that are wrongly calibrated in opposite ways have the same ECE, and mixing them cures both (Chung & Romano 2013 on
    tests of that kind). So the bootstrap has to agree: the larger of the two p values is taken.
    """
    tests = {}
    for name in first:
        difference = float(first[name].mean() - second[name].mean())
        draws = drawn[name] - other[name]
        two_sided, one_sided = interval(draws, difference), interval(draws, difference, confidence=1 - 2 * LEVEL)
        p = float(np.maximum(_permutation_p(difference, shuffled[name]), _bootstrap_p(difference, draws)))
        tests[name] = PairedTest(
            difference=difference,
            low=two_sided.low,
            high=two_sided.high,
            lowest=one_sided.low,
            highest=one_sided.high,
            p=p,
            p_corrected=math.nan,
        )
    return tests


def _permutation_p(difference: float, shuffled: np.ndarray) -> float:
    """(1 + permutations at least as far from 0) / (1 + permutations): never 0 (Phipson & Smyth 2010).

    NaN where the figure is undefined, or is on most permutations.
    """
    defined = shuffled[np.isfinite(shuffled)]
    if not math.isfinite(difference) or 2 * len(defined) < len(shuffled):
        return math.nan
    return (1 + int((np.abs(defined) >= abs(difference) - ROUNDING).sum())) / (1 + len(defined))


def _bootstrap_p(difference: float, draws: np.ndarray) -> float:
    """Two-sided, of difference / bootstrap standard error as a normal deviate (Efron & Tibshirani 1993, section 12.4).

    0 where the error is: then the permutations alone decide. NaN where the figure is undefined on most draws.
    """
    error = math.sqrt(_variance(draws))
    if math.isnan(error):
        return math.nan
    return math.erfc(abs(difference) / error / math.sqrt(2)) if error > ROUNDING else 0.0


def _procedures(first: Draws, second: Draws, drawn: Draws, other: Draws, blocks: int) -> dict[str, PairedTest]:
    """A t test of two ways to train: seeds and faces are both drawn (Bouthillier et al. 2021).

    Variance of the difference of seed means = s1^2 / n1 + s2^2 / n2 + paired-bootstrap variance over the faces, with
    Satterthwaite's (1946) degrees of freedom. The bootstrap holds a share of the seeds' spread too: the test leans
    to the safe side.
    """
    tests = {}
    for name in first:
        parts = [(one.var(ddof=1) / len(one), len(one) - 1) for one in (first[name], second[name])]
        parts.append((_variance(drawn[name] - other[name]), max(blocks - 1, 1)))
        tests[name] = _t_test(float(first[name].mean() - second[name].mean()), parts)
    return tests


def _t_test(difference: float, parts: Sequence[tuple[float, int]]) -> PairedTest:
    """Difference whose variance is the sum of the parts' (variance, degrees of freedom)."""
    from scipy.stats import t

    variance = sum(each for each, _ in parts)
    if not math.isfinite(difference) or not math.isfinite(variance):
        nothing = dict.fromkeys(("low", "high", "lowest", "highest", "p", "p_corrected"), math.nan)
        return PairedTest(difference=difference, **nothing)
    if variance <= ROUNDING**2:
        same = dict.fromkeys(("low", "high", "lowest", "highest"), difference)
        return PairedTest(
            difference=difference, **same, p=1.0 if abs(difference) < ROUNDING else 0.0, p_corrected=math.nan
        )
    freedom = variance**2 / sum(each**2 / degrees for each, degrees in parts)
    error = math.sqrt(variance)
    half, one_sided = (float(t.ppf(1 - share, freedom)) * error for share in (LEVEL / 2, LEVEL))
    return PairedTest(
        difference=difference,
        low=difference - half,
        high=difference + half,
        lowest=difference - one_sided,
        highest=difference + one_sided,
        p=float(2 * t.sf(abs(difference) / error, freedom)),
        p_corrected=math.nan,
    )


def _values(seeds: Draws, drawn: Draws, procedures: bool, blocks: int) -> dict[str, Estimate]:
    found = {}
    for name, each in seeds.items():
        value = float(each.mean())
        if procedures:
            parts = [(each.var(ddof=1) / len(each), len(each) - 1), (_variance(drawn[name]), max(blocks - 1, 1))]
            bounds = _t_test(value, parts)
            found[name] = Estimate(value, bounds.low, bounds.high)
        else:
            percentiles = interval(drawn[name], value)
            found[name] = Estimate(value, percentiles.low, percentiles.high)
    return found


def _variance(draws: np.ndarray) -> float:
    """Of the resamples on which the figure is defined; NaN where most are not."""
    defined = draws[np.isfinite(draws)]
    return float(defined.var(ddof=1)) if 2 * len(defined) >= len(draws) and len(defined) > 1 else math.nan


def _corrected(tests: dict[tuple[str, str], dict[str, PairedTest]]) -> dict[tuple[str, str], dict[str, PairedTest]]:
    family = {(pair, name): each[name].p for pair, each in tests.items() for name in pick(each, PRIMARY)}  # type: ignore[arg-type]
    corrected = holm(family)
    return {
        pair: {
            name: PairedTest(**{**vars(test), "p_corrected": corrected.get((pair, name), math.nan)})
            for name, test in each.items()
        }
        for pair, each in tests.items()
    }


def _winners(
    values: Mapping[str, Mapping[str, Estimate]], tests: Mapping[tuple[str, str], Mapping[str, PairedTest]]
) -> dict[str, str | None]:
    names = pick({name: each.value for name, each in next(iter(values.values())).items()}, PRIMARY)
    return {name: next((side for side in values if _beats_all(side, name, tests)), None) for name in names}


def _beats_all(side: str, name: str, tests: Mapping[tuple[str, str], Mapping[str, PairedTest]]) -> bool:
    for (first, second), each in tests.items():
        if side not in (first, second):
            continue
        gain = each[name].difference * (1 if side == first else -1) * (-1 if lower_is_better(name) else 1)
        if not (gain > 0 and each[name].p_corrected <= LEVEL):
            return False
    return True


def _best(values: Mapping[str, Mapping[str, Estimate]]) -> dict[str, tuple[str, str]]:
    sides = list(values)
    shown = {}
    for name in values[sides[0]]:
        sign = 1 if lower_is_better(name) else -1
        ranked = sides if len(sides) == 2 else sorted(sides, key=lambda side: _rank(sign * values[side][name].value))
        shown[name] = (min(ranked[:2], key=sides.index), max(ranked[:2], key=sides.index))
    return shown


def _rank(value: float) -> float:
    return math.inf if math.isnan(value) else value


def _mean(each: Sequence[Draws]) -> Draws:
    return {name: np.mean([one[name] for one in each], axis=0) for name in each[0]}


def _joined(parts: Sequence[Draws]) -> Draws:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
