"""Which versions are compared: from the registry's tags alone, never by a test score. Used by the comparison job."""

import math
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from emotion_mlflow.errors import ModelError

PUBLISHED = "published"

NEEDED = ("backbone", "recipe", "rng_seed", "config_digest", "selected_on_test", "test_digest", "tasks")


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One version as the registry's tags tell it."""

    name: str
    """`emotion/3`."""
    number: int
    run_id: str
    backbone: str
    recipe: str
    rng_seed: int
    config_digest: str
    selected_on_test: bool
    test_digest: str
    tasks: str
    data_name: str
    selection_score: float
    """On validation; higher is better."""

    @property
    def group(self) -> tuple[str, str]:
        """Versions of one group were scored on the same faces for the same tasks."""
        return self.test_digest, self.tasks


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The configuration of each backbone, and what else there was."""

    sides: Mapping[str, tuple[Candidate, ...]]
    """Backbone -> its versions, one a seed, best validated first."""
    other_groups: tuple[str, ...]
    """One line each, with the flag that picks it."""


def candidate(*, name: str, number: int, run_id: str, tags: Mapping[str, str]) -> Candidate | None:
    """The version as a candidate; None where it does not carry our tags."""
    if any(key not in tags for key in NEEDED):
        return None
    try:
        seed, score = int(tags["rng_seed"]), float(tags.get("selection_score", "nan"))
    except ValueError:
        return None
    return Candidate(
        name=name,
        number=number,
        run_id=run_id,
        backbone=tags["backbone"],
        recipe=tags["recipe"],
        rng_seed=seed,
        config_digest=tags["config_digest"],
        selected_on_test=tags["selected_on_test"] == "true",
        test_digest=tags["test_digest"],
        tasks=tags["tasks"],
        data_name=tags.get("data_name", ""),
        selection_score=score if math.isfinite(score) else -math.inf,
    )


def choose(
    candidates: Sequence[Candidate], *, backbones: Sequence[str], recipe: str = "", test_digest: str = ""
) -> Choice:
    """The best validated configuration of each backbone in the newest group that has them all.

    `recipe`: empty takes every recipe but those that select on the test faces, which take part by their own name
    only. `test_digest`: its first digits pick another group. ModelError where a backbone has no version there.
    """
    usable = [one for one in candidates if _takes_part(one, recipe)]
    groups: dict[tuple[str, str], list[Candidate]] = defaultdict(list)
    for one in sorted(usable, key=lambda one: one.number, reverse=True):
        groups[one.group].append(one)
    asked = [key for key in groups if key[0].startswith(test_digest)]
    for key in asked:
        held = {one.backbone for one in groups[key]}
        if held.issuperset(backbones):
            others = tuple(_line(group, groups[group]) for group in groups if group != key)
            sides = {name: _configuration(groups[key], name) for name in backbones}
            return Choice(sides=sides, other_groups=others)
    raise _missing([groups[key] for key in asked], backbones, recipe, test_digest)


def _takes_part(one: Candidate, recipe: str) -> bool:
    if one.selected_on_test:
        return recipe == one.recipe
    return recipe in ("", one.recipe)


def _configuration(group: Sequence[Candidate], backbone: str) -> tuple[Candidate, ...]:
    """Versions of one `config_digest`, the newest of each seed: the digest with the best mean over its seeds."""
    configurations: dict[str, dict[int, Candidate]] = defaultdict(dict)
    for one in group:  # newest first
        if one.backbone == backbone:
            configurations[one.config_digest].setdefault(one.rng_seed, one)

    def mean(seeds: Mapping[int, Candidate]) -> float:
        return statistics.fmean(one.selection_score for one in seeds.values())

    best = max(configurations.values(), key=mean)
    return tuple(sorted(best.values(), key=lambda one: (-one.selection_score, one.number)))


def _line(group: tuple[str, str], members: Sequence[Candidate]) -> str:
    backbones = ", ".join(sorted({one.backbone for one in members}))
    return (
        f"test faces {group[0][:12]} of {members[0].data_name}, tasks {group[1]}: {len(members)} versions of "
        f"{backbones} (--test-digest {group[0][:12]})"
    )


def _missing(
    groups: Sequence[Sequence[Candidate]], backbones: Sequence[str], recipe: str, test_digest: str
) -> ModelError:
    """What is not there, and the training that would make it."""
    held = {one.backbone for group in groups for one in group}
    lacking = [name for name in backbones if name not in held] or list(backbones[1:])
    model = next((one for group in groups for one in group), None)
    command = f"emotion-mlflow train --backbone {lacking[0]} --recipe {recipe or (model.recipe if model else 'auto')}"
    if model and model.data_name != "demo":
        command += f" --data {model.data_name}"
    where = f"test faces {test_digest}" if test_digest else "the registry"
    return ModelError(
        f"versions of {' and '.join(backbones)} scored on the same test faces for the same tasks",
        got=f"none of {', '.join(lacking)} (try: {command})",
        where=where,
    )
