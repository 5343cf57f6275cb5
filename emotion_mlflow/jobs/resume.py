"""A training's request as its run carries it, and how an unfinished run is taken up again. Used by the training job.

The request is a tag of the run from its first moment, so that a run killed at any moment can go on.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from emotion_mlflow.config import AUTO, DataConfig, RunConfig, TrainingConfig
from emotion_mlflow.errors import ConfigError, DataError, ModelError, WeightsError
from emotion_mlflow.jobs.cell import weights_digest_of
from emotion_mlflow.jobs.request import TrainRequest
from emotion_mlflow.places import in_full
from emotion_mlflow.tracking.stored import StoredRun

TAG = "request"

_ALWAYS_SAID = {"training.rng_seed": TrainingConfig.rng_seed}
"""Settings whose flag has a value as its default, not `auto`: that value counts as not said."""


@dataclass(frozen=True, kw_only=True)
class TakenUp:
    """What an unfinished run was asked for."""

    request: TrainRequest
    config: RunConfig
    data_digest: str
    """`Manifest.cut_digest` of the whole set."""


def request_tag(request: TrainRequest, config: RunConfig, *, data_digest: str, weights_digest: str) -> str:
    """JSON of all that decides the rest of the run."""
    kept = {name: getattr(request, name) for name in ("model_name", "register", "show_faces")}
    inputs = {"data_digest": data_digest, "weights_digest": weights_digest}
    return json.dumps({"config": config.to_params(), **inputs, **kept})


def take_up(request: TrainRequest, stored: StoredRun, *, experiment: str) -> TakenUp:
    """The run's own request and configuration; `request` gives place and caches only.

    `experiment`: the name of the run's. ConfigError where the run is finished or something else was said beside it,
    ModelError where it is no training of ours, WeightsError where the starting weights have changed since.
    """
    if stored.status == "FINISHED":
        raise ConfigError("a run that is not finished", got="FINISHED", where=f"--resume {stored.run_id}")
    try:
        asked = json.loads(stored.tags[TAG])
        config = RunConfig.from_params(asked["config"])
        kept = {name: asked[name] for name in ("model_name", "register", "show_faces")}
        digest, weights = str(asked["data_digest"]), str(asked["weights_digest"])
    except (KeyError, ValueError, TypeError):
        raise ModelError("a training run of this version", got="another", where=f"run {stored.run_id}") from None
    for flag, said, known in _disagreements(request, config, {**kept, "experiment": experiment}):
        raise ConfigError(f"{known}, as in the run that goes on", got=said, where=flag)
    _require_same_weights(config, weights)
    whole = replace(
        request,
        backbone=config.model.backbone,
        recipe=config.recipe,
        data=config.data,
        experiment=experiment,
        **kept,
    )
    return TakenUp(request=whole, config=config, data_digest=digest)


def require_same_data(taken: TakenUp, digest: str) -> None:
    """DataError where faces, labels, or what decides their cut have changed since."""
    if digest != taken.data_digest:
        expected = f"the faces, parts and identities the run began with ({taken.data_digest[:12]})"
        raise DataError(expected, got=f"others ({digest[:12]})", where=taken.config.data.data)


def _require_same_weights(config: RunConfig, digest: str) -> None:
    """A checkpoint holds what was learnt; features of a still backbone would come from other weights."""
    found = weights_digest_of(config.model.backbone, config.model.weights)
    if found != digest:
        expected = f"the weights the run began with ({digest[:12]})"
        raise WeightsError(expected, got=f"others ({found[:12]})", where=config.model.weights)


def _disagreements(
    request: TrainRequest, config: RunConfig, kept: dict[str, Any]
) -> Iterator[tuple[str, object, object]]:
    """(flag, what was said, what the run has); a default counts as not said, since `mlflow run` says them all."""
    said: list[tuple[str, object, object, object]] = [
        ("--backbone", request.backbone, "resnet50", config.model.backbone),
        ("--recipe", request.recipe, AUTO, config.recipe),
        ("--weights", request.weights, AUTO, config.model.weights),
        ("--tasks", ",".join(request.tasks), "", ",".join(config.model.tasks)),
    ]
    for name in ("experiment", "model_name"):
        unsaid = getattr(TrainRequest, name)
        said.append((f"--{name.replace('_', '-')}", getattr(request, name), unsaid, kept[name]))
    said.append(("--no-register", not request.register, False, not kept["register"]))
    said.append(("--show-faces", request.show_faces, AUTO, kept["show_faces"]))
    for each in fields(DataConfig):
        flag = f"--{each.name.replace('_', '-')}"
        said.append((flag, getattr(request.data, each.name), each.default, getattr(config.data, each.name)))
    for flag, value, default, known in said:
        if value not in (default, known) and not _same_place(value, known, flag):
            yield flag, value, known
    flat = config.to_params()
    for name, value in request.overrides.items():
        if value != _ALWAYS_SAID.get(name) and not _is_set(config, name, value):
            yield name, value, flat[name]


def _same_place(said: object, known: object, flag: str) -> bool:
    """Folders and files stand in a run in full; beside it they may be typed as seen from here."""
    both = isinstance(said, str) and isinstance(known, str) and Path(known).is_absolute()
    return both and in_full(str(said), flag) == Path(str(known))


def _is_set(config: RunConfig, name: str, value: object) -> bool:
    """Whether a setting, as typed (`1e-3`), is the run's (`0.001`); ConfigError where there is no such setting."""
    try:
        return config.override({name: value}) == config
    except ConfigError:
        if name not in config.to_params():
            raise
        return False
