"""How often a comparison errs: equal models and equal trainings must name no winner, a true difference must be found.

`python -m benchmarks.campaign_compare` (1,000 comparisons a case) or `--short` (200); exit code 1 where a limit is
missed. The models are simulated: faces have a difficulty that both models share, seeds have a skill of their own.
"""

import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import click
import numpy as np

from emotion_mlflow.metrics.paired import compare_sides
from emotion_mlflow.metrics.suite import Answers

RESAMPLES, SHORT_RESAMPLES = 999, 399
"""Of each simulated comparison; a real one takes 10,000. Enough for the smallest p that Holm asks for, .05 / 8."""
SEED_SPREAD = 0.15
"""Standard deviation of a seed's skill, in units of a face's noise: about 1.5 points of accuracy."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One situation, and how often a winner may or must be named."""

    name: str
    seeds: int
    faces: int
    resamples: int
    gain: float = 0.0
    """Accuracy, as a share, that the first side is truly better by."""
    miscalibration: float = 0.0
    """Share by which the first side is right less often than it says, and the second more often: their ECE is equal."""
    at_most: float = 1.0
    at_least: float = 0.0


def cases(*, short: bool) -> list[Case]:
    """What the proof consists of."""
    faces, limit, resamples = (500, 0.09, SHORT_RESAMPLES) if short else (1000, 0.066, RESAMPLES)
    equal = [("two equal models", 1), ("two equal trainings, 3 seeds", 3), ("two equal trainings, 5 seeds", 5)]
    return [
        *(Case(name=name, seeds=seeds, faces=faces, resamples=resamples, at_most=limit) for name, seeds in equal),
        Case(
            name="equal ECE, wrong in opposite ways",
            seeds=1,
            faces=faces,
            resamples=resamples,
            miscalibration=0.12,
            at_most=limit,
        ),
        Case(
            name="5 points of accuracy, 15 % discordant",
            seeds=1,
            faces=1000,
            resamples=resamples,
            gain=0.05,
            at_least=0.8,
        ),
    ]


def share_of_winners(case: Case, *, comparisons: int, workers: int = 2) -> float:
    """Share of the comparisons that name a winner: in any primary row, or in the one that the case is about."""
    jobs = [(case, number) for number in range(comparisons)]
    with ProcessPoolExecutor(workers) as pool:
        return float(np.mean(list(pool.map(_names_winner, jobs, chunksize=10))))


def _names_winner(job: tuple[Case, int]) -> bool:
    case, number = job
    random = np.random.default_rng([number, case.seeds, case.faces, int(100 * (case.gain + case.miscalibration))])
    world = World(case.faces, random)
    if case.gain:
        first, second = _discordant(world, random)
    elif case.miscalibration:
        first, second = ([_wrongly_sure(world, random, by)] for by in (-case.miscalibration, case.miscalibration))
    else:
        first, second = world.side(case.seeds), world.side(case.seeds)
    paired = compare_sides({"a": first, "b": second}, seed=number, groups=None, resamples=case.resamples, workers=1)
    if case.gain:
        return paired.winners["expression/accuracy"] == "a"
    if case.miscalibration:
        return paired.winners["expression/ece"] is not None
    return any(paired.winners.values())


class World:
    """Faces with truths and difficulties; sides of equal ability answer them."""

    def __init__(self, faces: int, random: np.random.Generator) -> None:
        self.random, self.faces = random, faces
        self.expression = random.integers(0, 8, faces)
        self.affect = np.clip(random.normal(0, 0.45, (2, faces)), -1, 1)
        self.hard = random.normal(0, 1, faces)
        self.shape = random.uniform(20, 76, (faces, 136)).astype(np.float32)
        self.shape[:, [72, 73, 90, 91]] = [20, 30, 70, 30]  # the outer eye corners, 50 pixels apart

    def side(self, seeds: int = 1, *, skill: float = 0.0) -> list[Answers]:
        """One model a seed, of this mean skill; with several, each has a skill of its own."""
        spread = SEED_SPREAD if seeds > 1 else 0.0
        return [self._model(float(self.random.normal(skill, spread))) for _ in range(seeds)]

    def _model(self, skill: float) -> Answers:
        logits = self.random.normal(0, 1, (self.faces, 8))
        logits[np.arange(self.faces), self.expression] += 2.2 + skill - 0.8 * self.hard
        powers = np.exp(logits)
        off = 0.25 * (1 - 0.3 * skill) * self.random.normal(0, 1, (2, self.faces)) + 0.1 * self.hard
        valence, arousal = np.clip(self.affect + off, -1, 1)
        error = 3 * (1 - 0.3 * skill) * np.exp(0.3 * self.hard)[:, None]
        return Answers(
            expression_true=self.expression,
            probabilities=powers / powers.sum(axis=1, keepdims=True),
            valence_true=self.affect[0],
            arousal_true=self.affect[1],
            valence=valence,
            arousal=arousal,
            landmarks_true=self.shape,
            landmarks=self.shape + error * self.random.normal(0, 1, self.shape.shape),
        )


def _discordant(world: World, random: np.random.Generator) -> tuple[list[Answers], list[Answers]]:
    """Two models of accuracy .60 and .55 that are right on different faces for 15 % of them; all else equal."""
    kind = random.choice(4, world.faces, p=[0.5, 0.1, 0.05, 0.35])  # both right, the first only, the second only, none
    sides = []
    for right in (kind <= 1, (kind == 0) | (kind == 2)):
        sides.append([_sure(world, random, random.uniform(0.45, 0.75, world.faces), right)])
    return sides[0], sides[1]


def _wrongly_sure(world: World, random: np.random.Generator, by: float) -> Answers:
    """A model that is right more often (`by` above 0) or less often than its confidence says."""
    confidence = random.uniform(0.35, 0.85, world.faces)
    return _sure(world, random, confidence, random.random(world.faces) < confidence + by)


def _sure(world: World, random: np.random.Generator, confidence: np.ndarray, right: np.ndarray) -> Answers:
    """A model that answers with this confidence (N,), rightly where `right` (N,) says so."""
    (model,) = world.side()
    label = np.where(right, world.expression, (world.expression + random.integers(1, 8, world.faces)) % 8)
    probabilities = np.repeat((1 - confidence)[:, None] / 7, 8, axis=1)
    probabilities[np.arange(world.faces), label] = confidence
    return Answers(**{**vars(model), "probabilities": probabilities})


def run(*, short: bool, show: Callable[[str], None]) -> bool:
    """Every case, a line each; True where all limits are kept."""
    comparisons = 200 if short else 1000
    kept = []
    for case in cases(short=short):
        share = share_of_winners(case, comparisons=comparisons)
        kept.append(case.at_least <= share <= case.at_most)
        limit = f"at least {case.at_least:.0%}" if case.at_least else f"at most {case.at_most:.1%}"
        error = np.sqrt(share * (1 - share) / comparisons)
        show(
            f"{case.name:40} {case.faces:,} faces, {comparisons:,} comparisons: a winner in {share:.1%} "
            f"(standard error {error:.1%}), {limit}: {'kept' if kept[-1] else 'MISSED'}"
        )
    return all(kept)


@click.command()
@click.option("--short", is_flag=True, help="200 comparisons of 500 faces, as the tests do.")
def main(short: bool) -> None:
    """Simulates comparisons whose answer is known."""
    sys.exit(0 if run(short=short, show=click.echo) else 1)


if __name__ == "__main__":
    main()
