"""What is asked of a job and what comes back: plain values between the command line and the jobs.

Imports no TensorFlow: `check` tells a mistake in the flags before the long imports.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from emotion_mlflow import cache
from emotion_mlflow.config import AUTO, SHOW_FACES, DataConfig, RunConfig
from emotion_mlflow.errors import ConfigError, DataError, WeightsError
from emotion_mlflow.labels import SPLITS, TASKS
from emotion_mlflow.places import expanded, in_full
from emotion_mlflow.recipes import resolve, with_tasks

FLAGS = {
    "model.backbone": "--backbone",
    "data.data": "--data",
    "data.data_format": "--data-format",
    "data.max_rejected": "--max-rejected",
}
"""Settings that decide what is read and which recipe it calls for, so that an override would come too late."""
OWN_FLAGS = {
    "training.epochs": "--epochs",
    "training.batch_size": "--batch-size",
    "training.learning_rate": "--learning-rate",
    "training.rng_seed": "--rng-seed",
    "model.image_size": "--image-size",
    "model.tasks": "--tasks",
    "model.weights": "--weights",
    "data.limit": "--limit",
    "data.split_seed": "--split-seed",
    "data.drop_leaks": "--drop-leaks",
}
"""Settings that are typed as flags only: of two ways one would silently win."""


@dataclass(frozen=True, kw_only=True)
class TrainRequest:
    """What a user asked for; `auto` is decided by the faces."""

    backbone: str
    recipe: str = AUTO
    weights: str = AUTO
    tasks: tuple[str, ...] = ()
    """Empty: those the data has labels for."""
    data: DataConfig = field(default_factory=DataConfig)
    overrides: Mapping[str, Any] = field(default_factory=dict)
    """Fields by `section.name`."""
    experiment: str = "emotion"
    model_name: str = "emotion"
    tracking_uri: str | None = None
    register: bool = True
    show_faces: str = AUTO
    cache_dir: Path = field(default_factory=cache.default_cache_dir)
    cache_limit: float = cache.DEFAULT_LIMIT
    command: str = ""
    resume: str = ""
    """Id of an unfinished run to go on in: every setting comes from it."""
    parent_run: str = ""
    """Id of the run that holds this one, a grid's."""
    sync_wait: float = 120.0
    """Seconds to wait at the end for a tracking server that is away."""

    def config(self, *, drawn: bool, labelled: tuple[str, ...], name: str) -> RunConfig:
        """The whole configuration for a set `name` that has these labels; ConfigError where it cannot be."""
        config = resolve(self.recipe, self.backbone, drawn=drawn, labelled=labelled)
        changes = dict(self.overrides)
        if self.tasks:
            missing = [task for task in self.tasks if task in TASKS and task not in labelled]
            if missing:
                raise DataError(f"labels to learn {', '.join(missing)} from", got="none", where=name)
            config = with_tasks(config, self.tasks)
        if self.weights != AUTO:
            changes["model.weights"] = _from_anywhere(self.weights)
        data = replace(self.data, selected_on_test=config.data.selected_on_test)
        return replace(config, data=data).override(changes)

    def check(self) -> None:
        """Raises what can be known of a mistake without opening the faces."""
        for flag, value in (("--sync-wait", self.sync_wait), ("--cache-limit", self.cache_limit)):
            if not 0 <= value < math.inf:
                raise ConfigError("a finite number from 0 on", got=value, where=flag)
        if self.resume:
            if not re.fullmatch(r"[\w-]+", self.resume):  # a path would lead to another folder than a journal's
                raise ConfigError("the id of a run", got=self.resume, where="--resume")
            return  # what else was said is held against the run
        for name, flag in FLAGS.items():
            if name in self.overrides:
                raise ConfigError(flag, got=name, where="--set")
        require_experiment(self.experiment)
        if self.register and (not self.model_name.strip() or set("/:@") & set(self.model_name)):
            raise ConfigError("a name without /, : and @", got=repr(self.model_name), where="--model-name")
        config = self.config(drawn=self.data.data == "demo", labelled=TASKS, name=self.data.data)
        _check_faces(self.data.data, self.data.data_format, self.show_faces)
        weights = config.model.weights
        if weights not in ("imagenet", "none") and not Path(weights).is_file():
            said = weights if self.weights == AUTO else self.weights
            raise WeightsError("imagenet, none, or a .weights.h5 file that exists", got=said, where="--weights")


@dataclass(frozen=True, kw_only=True)
class EvaluateRequest:
    """What a user asked for; `auto` is decided by the model and the faces."""

    model: str
    data: str = AUTO
    """`auto`: the set the version was trained on."""
    data_format: str = AUTO
    split: str = AUTO
    """`auto`: `test` of the set it was trained on, `all` of any other."""
    max_rejected: float = 0.01
    experiment: str = "emotion"
    tracking_uri: str | None = None
    show_faces: str = AUTO
    cache_dir: Path = field(default_factory=cache.default_cache_dir)
    command: str = ""

    def check(self) -> None:
        """Raises what can be known of a mistake without opening model and faces."""
        if not self.model.startswith(("models:/", "runs:/")):
            raise ConfigError("models:/NAME@ALIAS, models:/NAME/3 or runs:/ID", got=self.model, where="--model")
        splits = (AUTO, *SPLITS, "all")
        if self.split not in splits:
            raise ConfigError(f"a split of {', '.join(splits)}", got=self.split, where="--split")
        require_experiment(self.experiment)
        DataConfig(max_rejected=self.max_rejected)
        _check_faces("demo" if self.data == AUTO else self.data, self.data_format, self.show_faces)


def require_experiment(name: str) -> None:
    """ConfigError for a name that MLflow does not take."""
    if not name.strip():
        raise ConfigError("a name", got=repr(name), where="--experiment")


def _from_anywhere(weights: str) -> str:
    """A file in full, so that a run goes on from another folder too."""
    return weights if weights in ("imagenet", "none") else str(in_full(weights, "--weights"))


def _check_faces(data: str, data_format: str, show_faces: str) -> None:
    if show_faces not in SHOW_FACES:
        raise ConfigError(f"one of {', '.join(SHOW_FACES)}", got=show_faces, where="--show-faces")
    from emotion_mlflow.data.read import FORMATS, recognise  # here, since `demo` is quick without it

    if data_format not in (AUTO, *FORMATS):
        raise ConfigError(f"one of {', '.join((AUTO, *FORMATS))}", got=data_format, where="--data-format")
    if data != "demo" and data_format == AUTO:
        recognise(expanded(data, "--data"))


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A finished job."""

    run_id: str
    model_name: str | None
    model_version: str | None
    backbone: str
    recipe: str
    seconds: float
    scores: dict[str, float]
    tracking_uri: str
    unsent: int = 0
    """Writes that have not reached the tracking server; `emotion-mlflow sync` sends them."""

    def to_dict(self) -> dict[str, Any]:
        """What `--json` prints."""
        return {name: value for name, value in vars(self).items() if name != "tracking_uri"}
