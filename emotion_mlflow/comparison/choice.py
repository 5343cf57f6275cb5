"""Which versions are compared: from the registry's tags alone, never by a test score. Used by the comparison job."""

import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from emotion_mlflow.errors import ConfigError, ModelError
from emotion_mlflow.recipes import VALIDATED_ON_TEST

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
    """Backbone -> its versions, one a seed, in order of `rng_seed`: an order that no score decides."""
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
    candidates: Sequence[Candidate],
    *,
    backbones: Sequence[str],
    recipe: str = "",
    test_digest: str = "",
    score: Callable[[Candidate], float] | None = None,
    flags: Callable[[Candidate], str] | None = None,
) -> Choice:
    """The best validated configuration of each backbone in the newest group that has them all.

    `recipe`: empty takes every recipe; versions that were selected on the test faces take part by `published` only.
    `test_digest`: its first digits, with `:` and the tasks where several were learnt on these faces, pick another
    group. `score`: what takes the selection score's place, asked of the chosen group alone; -inf where a version has
    none. `flags`: those that bring a training's version into another one's group, for the error's words. ModelError
    where a backbone has no version there, ConfigError where it has none with that score.
    """
    usable = [one for one in candidates if _takes_part(one, recipe)]
    groups: dict[tuple[str, str], list[Candidate]] = defaultdict(list)
    for one in sorted(usable, key=lambda one: one.number, reverse=True):
        groups[one.group].append(one)
    digest, colon, tasks = test_digest.partition(":")
    asked = [key for key in groups if key[0].startswith(digest) and (not colon or key[1] == tasks)]
    for key in asked:
        held = {one.backbone for one in groups[key]}
        if held.issuperset(backbones):
            others = tuple(_line(group, groups[group], backbones) for group in groups if group != key)
            sides = {name: _configuration(groups[key], name, score) for name in backbones}
            return Choice(sides=sides, other_groups=others)
    if test_digest and groups and not asked:
        there = ", ".join(_flag(key) for key in groups)
        raise ModelError(f"the digest of test faces that were scored ({there})", got=test_digest, where="--test-digest")
    raise _missing([groups[key] for key in asked], candidates, backbones, recipe, flags)


def best_validated(versions: Sequence[Candidate]) -> Candidate:
    """The one that an alias stands for; of equals the oldest."""
    return max(versions, key=lambda one: (one.selection_score, -one.number))


def _takes_part(one: Candidate, recipe: str) -> bool:
    if one.selected_on_test:
        return recipe == one.recipe == VALIDATED_ON_TEST
    return recipe in ("", one.recipe)


def _configuration(
    group: Sequence[Candidate], backbone: str, score: Callable[[Candidate], float] | None
) -> tuple[Candidate, ...]:
    """Versions of one `config_digest`, the newest of each seed: the digest with the best mean over its seeds."""
    configurations: dict[str, dict[int, Candidate]] = defaultdict(dict)
    for one in group:  # newest first
        if one.backbone == backbone:
            configurations[one.config_digest].setdefault(one.rng_seed, one)
    asked = score or (lambda one: one.selection_score)
    means = {digest: statistics.fmean(map(asked, seeds.values())) for digest, seeds in configurations.items()}
    best = max(means, key=lambda digest: means[digest])
    if score is not None and not math.isfinite(means[best]):
        raise ConfigError("a validation score as expression/accuracy", got=f"none of {backbone}", where="--metric")
    return tuple(sorted(configurations[best].values(), key=lambda one: one.rng_seed))


def _line(group: tuple[str, str], members: Sequence[Candidate], asked: Sequence[str]) -> str:
    held = sorted({one.backbone for one in members})
    lacking = [name for name in asked if name not in held]
    way = f"none of {', '.join(lacking)}" if lacking else f"--test-digest {_flag(group)}"
    return f"test faces {group[0][:12]} of {members[0].data_name}, tasks {group[1]}: {len(members)} versions of " + (
        f"{', '.join(held)} ({way})"
    )


def _flag(group: tuple[str, str]) -> str:
    """What `--test-digest` takes for this group and no other."""
    return f"{group[0][:12]}:{group[1]}"


def _missing(
    groups: Sequence[Sequence[Candidate]],
    everyone: Sequence[Candidate],
    backbones: Sequence[str],
    recipe: str,
    flags: Callable[[Candidate], str] | None,
) -> ModelError:
    """What is not there, and the training that would make it."""
    expected = f"versions of {' and '.join(backbones)} scored on the same test faces for the same tasks"
    held = {one.backbone for group in groups for one in group}
    hidden = {one.backbone for one in everyone if one.selected_on_test and one.recipe == VALIDATED_ON_TEST}
    lacking = [name for name in backbones if name not in held]
    if lacking and recipe != VALIDATED_ON_TEST and hidden.issuperset(backbones):
        got = f"none of {', '.join(lacking)} but those chosen on the test faces (--recipe {VALIDATED_ON_TEST})"
        return ModelError(expected, got=got, where="the registry")
    model = next((one for group in groups for one in group), None)
    if not lacking and model is not None:
        lacking = [name for name in backbones if name not in {one.backbone for one in groups[0]}]
        got = "; ".join(f"{_names(group)} on {_flag(group[0].group)}" for group in groups)
    else:
        got = f"none of {', '.join(lacking)}"
    command = f"emotion-mlflow train --backbone {lacking[0]} --recipe {recipe or (model.recipe if model else 'auto')}"
    if model is not None and flags is not None:
        command += flags(model)
    return ModelError(expected, got=f"{got} (try: {command})", where="the registry")


def _names(group: Sequence[Candidate]) -> str:
    return ", ".join(sorted({one.backbone for one in group}))
