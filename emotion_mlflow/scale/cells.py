"""The cells of a grid: which trainings it is made of, each known by its digest. Plain values; used by `grid` only."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from emotion_mlflow.config import AUTO, field_names
from emotion_mlflow.data.manifest import Manifest
from emotion_mlflow.errors import ConfigError
from emotion_mlflow.jobs.cell import cell_digest, weights_digest_of
from emotion_mlflow.jobs.request import TrainRequest

SEED = "training.rng_seed"

NOT_VARIED = {
    "model.backbone": "--backbones",
    SEED: "--rng-seeds",
    "data.data": "a grid for each set",
    "data.data_format": "--data-format",
    "data.max_rejected": "--max-rejected",
    "data.selected_on_test": "--recipe",
}
"""Settings that are no axis, and what to take for them."""


@dataclass(frozen=True, kw_only=True)
class Axes:
    """What a grid is spanned by."""

    backbones: tuple[str, ...]
    recipes: tuple[str, ...] = (AUTO,)
    rng_seeds: tuple[int, ...] = (0,)
    vary: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Values, as typed, by `section.field`."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One training of a grid."""

    request: TrainRequest
    rng_seed: int
    varied: Mapping[str, str] = field(default_factory=dict)
    recipe: str = ""
    """As the faces decided it; empty until `identify`."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The values of what is varied; empty until `identify`."""
    digest: str = ""
    """`jobs.cell.cell_digest`; empty until `identify`."""

    @property
    def name(self) -> str:
        """`resnet50 probe seed 1 training.dropout=0.2`."""
        varied = [f"{name}={value}" for name, value in self.varied.items()]
        return " ".join([self.request.backbone, self.recipe or self.request.recipe, f"seed {self.rng_seed}", *varied])


def plan(axes: Axes, base: TrainRequest, *, weights: Mapping[str, str]) -> tuple[Cell, ...]:
    """Every cell: seeds next to each other, so that a first result of each backbone comes late but whole.

    `base` says all that the axes do not; `weights` are each backbone's. ConfigError where an axis is empty, says
    something twice, or cannot be one.
    """
    _require_axes(axes, base)
    cells = []
    for backbone, recipe, values, seed in itertools.product(
        axes.backbones, axes.recipes, itertools.product(*axes.vary.values()), axes.rng_seeds
    ):
        varied = dict(zip(axes.vary, values, strict=True))
        request = replace(
            base,
            backbone=backbone,
            recipe=recipe,
            weights=weights[backbone],
            overrides={**base.overrides, **varied, SEED: seed},
        )
        cells.append(Cell(request=request, rng_seed=seed, varied=varied))
    for cell in cells:
        cell.request.check()
    return tuple(cells)


def identify(cells: tuple[Cell, ...], faces: Manifest) -> tuple[Cell, ...]:
    """The cells with their recipe, settings and digest for these faces (not cut yet).

    ConfigError where a setting cannot be or two cells are the same training, DataError where labels are missing.
    """
    data_digest, tasks = faces.cut_digest(), faces.tasks()
    files: dict[tuple[str, str], str] = {}
    known: dict[str, Cell] = {}
    for cell in cells:
        config = cell.request.config(drawn=faces.drawn, labelled=tasks, name=faces.name)
        start = (config.model.backbone, config.model.weights)
        if start not in files:
            files[start] = weights_digest_of(*start)
        digest = cell_digest(config, data_digest=data_digest, weights_digest=files[start])
        settings = {name: _value(config, name) for name in cell.varied}
        whole = replace(cell, recipe=config.recipe, settings=settings, digest=digest)
        if digest in known:
            raise ConfigError(f"cells that differ from {known[digest].name}", got=whole.name, where="the grid")
        known[digest] = whole
    return tuple(known.values())


def _value(config: Any, name: str) -> Any:
    section, _, key = name.partition(".")
    return getattr(getattr(config, section), key)


def _require_axes(axes: Axes, base: TrainRequest) -> None:
    for flag, values in _axes(axes):
        if not values:
            raise ConfigError("at least one value", got="none", where=flag)
        twice = next((value for place, value in enumerate(values) if value in values[:place]), None)
        if twice is not None:
            raise ConfigError("each value once", got=f"{twice} twice", where=flag)
    for name in axes.vary:
        if name in NOT_VARIED:
            raise ConfigError(NOT_VARIED[name], got=name, where="--vary")
        if name not in field_names():
            raise ConfigError(f"a setting of {', '.join(field_names())}", got=name, where="--vary")
        if name in base.overrides:
            raise ConfigError("a setting that nothing else sets", got=name, where="--vary")


def _axes(axes: Axes) -> Iterator[tuple[str, tuple[Any, ...]]]:
    yield "--backbones", axes.backbones
    yield "--recipe", axes.recipes
    yield "--rng-seeds", axes.rng_seeds
    for name, values in axes.vary.items():
        yield f"--vary {name}", values
