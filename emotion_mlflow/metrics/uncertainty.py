"""How sure the figures are: bootstrap percentile intervals of the whole suite. NumPy only, no TensorFlow."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from emotion_mlflow.errors import ConfigError
from emotion_mlflow.labels import LandmarkLayout
from emotion_mlflow.metrics.resampling import ResampledSuite, count_chunks
from emotion_mlflow.metrics.suite import Answers, suite

RESAMPLES = 2000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """Ends of a confidence interval; NaN where the figure is undefined on the sample or on most resamples."""

    low: float
    high: float
    undefined: int = 0
    """Resamples that could not say (a rare class was not drawn) and were left out."""


def bootstrap(
    answers: Answers,
    *,
    layout: LandmarkLayout | None = None,
    resamples: int = RESAMPLES,
    seed: int,
    confidence: float = CONFIDENCE,
    groups: Sequence[str] | np.ndarray | None = None,
) -> dict[str, Interval]:
    """Percentile interval (Efron & Tibshirani 1993, section 13.3) of every figure of `suite`, in its order.

    `groups`: (N,) identities, "" where unknown: whole groups are resampled, because faces of one person are
    not independent. The same seed and faces give the same intervals. ConfigError for impossible settings.
    """
    if resamples < 1 or not 0 < confidence < 1:
        got = f"{resamples} and {confidence}"
        raise ConfigError("1 or more resamples and a confidence between 0 and 1", got=got)
    draws = bootstrap_draws(answers, layout=layout, resamples=resamples, seed=seed, groups=groups)
    sample = suite(answers, layout=layout)
    return {name: interval(values, sample[name], confidence=confidence) for name, values in draws.items()}


def bootstrap_draws(
    answers: Answers,
    *,
    layout: LandmarkLayout | None = None,
    resamples: int = RESAMPLES,
    seed: int,
    groups: Sequence[str] | np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Every figure on every resample: name -> (resamples,), NaN where undefined there."""
    ready = ResampledSuite(answers, layout=layout)
    chunks = count_chunks(len(answers), resamples=resamples, seed=seed, groups=groups)
    parts = [ready.scores(counts) for counts in chunks]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def interval(draws: np.ndarray, sample: float, *, confidence: float = CONFIDENCE) -> Interval:
    """The middle `confidence` of (R,) `draws` of a figure whose value on the sample itself is `sample`."""
    defined = draws[np.isfinite(draws)]
    undefined = len(draws) - len(defined)
    if not np.isfinite(sample) or undefined > len(defined):
        return Interval(np.nan, np.nan, undefined)
    tail = (1 - confidence) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return Interval(float(low), float(high), undefined)


def seed_of(digest: str) -> int:
    """The bootstrap's seed for the test faces with this digest: the same for every model scored on them."""
    return int.from_bytes(hashlib.sha256(f"bootstrap {digest}".encode()).digest()[:8], "big")
