"""Settings of one training: frozen, self-checking dataclasses, and their flat form for MLflow and `--set`.

Written by `recipes` and the command line, read by everybody else; nobody reads a flag further in.
"""

import dataclasses
import hashlib
import json
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from emotion_mlflow.errors import ConfigError
from emotion_mlflow.labels import TASKS

AUTO = "auto"

SHOW_FACES = (AUTO, "thumbnails", "none")
"""How much of people's faces figures may show."""

WATCHED = {
    "expression": ("accuracy", "macro_f1"),
    "valence": ("mae", "ccc"),
    "arousal": ("mae", "ccc"),
    "landmarks": ("nme", "nme_box"),
}
"""Validation metrics of each epoch; the whole suite follows at the end."""

Pixels = Literal["backbone", "unit"]
BatchNorm = Literal["live", "frozen"]
Optimizer = Literal["adam", "adamw", "sgd"]
Schedule = Literal["none", "plateau", "cosine"]
ClassWeights = Literal["none", "inverse", "sqrt_inverse"]
AffectLoss = Literal["mse", "ccc", "huber"]
LandmarkLoss = Literal["wing", "l1"]
TaskWeighting = Literal["fixed", "learned"]


def _need(condition: bool, expected: str, got: object, where: str) -> None:
    if not condition:
        raise ConfigError(expected, got=got, where=where)


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Which faces, and how they are cut."""

    data: str = "demo"  # `demo`, a folder or a table
    data_format: str = AUTO  # affectnet-npy, affectnet-csv, table
    split_seed: int = 0  # of cuts and `limit`, never of the training
    limit: int = 0  # faces of each split at most; 0: all
    max_rejected: float = 0.01  # share of faces that may be refused before the training does not start
    drop_leaks: bool = False  # leave training and val twins of held-out faces out
    selected_on_test: bool = False  # validation = test, as the published report did

    def __post_init__(self) -> None:
        _need(self.limit >= 0, "a number of faces of at least 0", self.limit, "data.limit")
        _need(self.split_seed >= 0, "a number of at least 0", self.split_seed, "split_seed")
        _need(0 <= self.max_rejected <= 1, "a share from 0 to 1", self.max_rejected, "data.max_rejected")


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The network."""

    backbone: str = "resnet50"  # a name in BACKBONES
    weights: str = "none"  # imagenet, none, or a .weights.h5 file
    tasks: tuple[str, ...] = TASKS
    image_size: int = 96  # pixels, height and width inside the network
    pixels: Pixels = "backbone"  # the backbone's own preprocessing, or /255 as the published report did
    train_backbone: bool = True  # False: heads only, on cached features
    batch_norm: BatchNorm = "live"  # frozen: layers with loaded statistics stay in inference mode
    batch_norm_momentum: float = 0.99  # of the moving averages
    still_residuals: bool = False  # from scratch: residual branches start at zero
    head_norm: bool = True  # LayerNormalization between pooled features and heads
    components: int = 0  # of a frozen backbone's features, the principal ones that the heads see; 0: the features
    dropout: float = 0.2  # before the heads, share of features

    def __post_init__(self) -> None:
        unknown = [task for task in self.tasks if task not in TASKS]
        ordered = tuple(task for task in TASKS if task in self.tasks)
        _need(bool(self.tasks) and not unknown, f"tasks of {', '.join(TASKS)}", ",".join(self.tasks), "tasks")
        _need(32 <= self.image_size <= 1024, "an image size of 32 to 1024 pixels", self.image_size, "image_size")
        object.__setattr__(self, "tasks", ordered)  # named in another order, it is the same configuration
        _need(self.components >= 0, "a number of at least 0", self.components, "model.components")
        seen = self.components and self.train_backbone
        _need(not seen, "0 where the backbone is trained", self.components, "model.components")
        _need(0 <= self.dropout < 1, "a share from 0 to below 1", self.dropout, "model.dropout")
        momentum = self.batch_norm_momentum
        _need(0 < momentum < 1, "a momentum between 0 and 1", momentum, "model.batch_norm_momentum")


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """Changes to training pictures; zero or (1, 1) switches a change off."""

    flip: float = 0.0  # share of faces mirrored
    rotation: float = 0.0  # degrees to either side
    zoom: float = 0.0  # share larger or smaller
    shift: float = 0.0  # share of the picture to either side
    contrast: tuple[float, float] = (1.0, 1.0)  # factor around the picture's mean
    brightness: float = 0.0  # grey levels of 255 to either side
    noise: float = 0.0  # standard deviation, grey levels of 255
    erase: float = 0.0  # share of faces with a rectangle painted over

    def __post_init__(self) -> None:
        for name in ("flip", "erase", "shift"):
            _need(0 <= getattr(self, name) <= 1, "a share from 0 to 1", getattr(self, name), f"augment.{name}")
        _need(0 <= self.zoom < 1, "a share from 0 to below 1", self.zoom, "augment.zoom")
        _need(0 < self.contrast[0] <= self.contrast[1], "low,high above 0", self.contrast, "augment.contrast")
        for name in ("rotation", "brightness", "noise"):
            _need(getattr(self, name) >= 0, "a number of at least 0", getattr(self, name), f"augment.{name}")


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How the network learns."""

    epochs: int = 10  # all of the run, warm-up included
    warmup_epochs: int = 0  # of those, the first ones with the backbone still
    batch_size: int = 32  # faces
    optimizer: Optimizer = "adamw"
    learning_rate: float = 3e-4
    warmup_learning_rate: float = 1e-3
    weight_decay: float = 1e-4  # AdamW only
    clip_norm: float = 0.0  # global gradient norm; 0: no clipping
    schedule: Schedule = "cosine"  # over the epochs after the warm-up
    ramp: float = 0.0  # share of the steps after the warm-up over which the cosine's rate rises from near 0
    plateau_factor: float = 0.5
    plateau_patience: int = 5  # epochs
    early_stopping: str = "val/selection_score"  # the column of the history that picks the best epoch
    patience: int = 0  # epochs without a better one before stopping; 0: never stop, still keep the best
    label_smoothing: float = 0.0
    class_weights: ClassWeights = "none"
    affect_loss: AffectLoss = "mse"
    landmark_loss: LandmarkLoss = "wing"
    task_weighting: TaskWeighting = "fixed"
    expression_weight: float = 1.0
    valence_weight: float = 1.0
    arousal_weight: float = 1.0
    landmarks_weight: float = 1.0
    rng_seed: int = 0
    mixed_precision: bool = False  # float16 compute on GPUs

    def __post_init__(self) -> None:
        _need(self.epochs >= 1, "at least 1 epoch", self.epochs, "epochs")
        _need(
            0 <= self.warmup_epochs <= self.epochs,
            "0 to all epochs",
            self.warmup_epochs,
            "training.warmup_epochs",
        )
        _need(self.batch_size >= 1, "a batch of at least 1 face", self.batch_size, "batch_size")
        for name in ("learning_rate", "warmup_learning_rate"):
            rate = getattr(self, name)
            _need(0 < rate < 10, "a learning rate between 0 and 10", rate, name)
        _need(
            0 <= self.label_smoothing < 1,
            "a share from 0 to below 1",
            self.label_smoothing,
            "training.label_smoothing",
        )
        _need(self.patience >= 0, "a number of epochs of at least 0", self.patience, "training.patience")
        _need(0 <= self.ramp < 1, "a share from 0 to below 1", self.ramp, "training.ramp")
        for name in ("weight_decay", "clip_norm"):
            _need(getattr(self, name) >= 0, "a number of at least 0", getattr(self, name), f"training.{name}")
        factor, wait = self.plateau_factor, self.plateau_patience
        _need(0 < factor < 1, "a factor between 0 and 1", factor, "training.plateau_factor")
        _need(wait >= 1, "a number of epochs of at least 1", wait, "training.plateau_patience")
        _need(0 <= self.rng_seed < 2**32, "a number of 0 to 4294967295", self.rng_seed, "rng_seed")
        for task in TASKS:
            weight = getattr(self, f"{task}_weight")
            _need(weight >= 0, "a weight of at least 0", weight, f"training.{task}_weight")


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Everything that decides a training's result."""

    recipe: str
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def __post_init__(self) -> None:
        column, tasks = self.training.early_stopping, self.model.tasks
        known = ["val/loss", "val/selection_score"]
        known += [f"val/{task}/{metric}" for task in tasks for metric in ("loss", *WATCHED[task])]
        _need(column in known, f"one of {', '.join(known)}", column, "training.early_stopping")
        if not self.model.train_backbone:
            mirrored = AugmentConfig(flip=self.augment.flip)
            _need(self.augment == mirrored, "flip alone, as features are cached", self.augment, "augment")

    def to_params(self) -> dict[str, str]:
        """Flat `model.image_size` -> `96`: what MLflow logs and `--set` takes."""
        flat = {"recipe": self.recipe}
        for section in SECTIONS:
            values = getattr(self, section)
            flat |= {f"{section}.{f.name}": _write(getattr(values, f.name)) for f in fields(values)}
        return flat

    def override(self, changes: Mapping[str, Any]) -> "RunConfig":
        """The config with fields such as `training.label_smoothing` set; values may be text, as typed by a user."""
        sections: dict[str, dict[str, Any]] = {}
        for name, value in changes.items():
            section, _, key = name.partition(".")
            sections.setdefault(section, {})[key] = _read(name, value)
        return replace(self, **{name: replace(getattr(self, name), **values) for name, values in sections.items()})

    def digest(self, *, training_data: str, weights: str) -> str:
        """32 hex digits, equal for the same configuration: settings and digests, without seed, names and paths."""
        unlike = {"recipe", "data.data", "data.data_format", "data.max_rejected", "model.weights", "training.rng_seed"}
        settings = {name: value for name, value in self.to_params().items() if name not in unlike}
        text = json.dumps([settings, training_data, weights], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    @classmethod
    def from_params(cls, params: Mapping[str, str]) -> "RunConfig":
        """The config that `to_params` wrote."""
        settings = {name: value for name, value in params.items() if name != "recipe"}
        return cls(recipe=params["recipe"]).override(settings)


SECTIONS = {"data": DataConfig, "model": ModelConfig, "augment": AugmentConfig, "training": TrainingConfig}


def field_names() -> list[str]:
    """Every settable name, `section.field`, in order."""
    return [f"{section}.{f.name}" for section, kind in SECTIONS.items() for f in fields(kind)]


def _write(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(_write(item) for item in value)
    return repr(value) if isinstance(value, float) else str(value)


def _field_type(name: str) -> Any:
    section, _, key = name.partition(".")
    if section not in SECTIONS or key not in {f.name for f in fields(SECTIONS[section])}:
        raise ConfigError(f"a setting of {', '.join(field_names())}", got=name, where="--set")
    return typing.get_type_hints(SECTIONS[section])[key]


def _read(name: str, value: Any) -> Any:
    kind = _field_type(name)
    try:
        return _parse(kind, value.strip()) if isinstance(value, str) else _typed(kind, value)
    except (ValueError, OverflowError):
        raise ConfigError(_describe(kind), got=repr(value)[:200], where=name) from None


def _typed(kind: Any, value: Any) -> Any:
    """A value that is no text, as its field has it; ValueError where it is of another kind."""
    if kind is float and type(value) in (int, float):
        number = float(value)
        return number if abs(number) < float("inf") else _fail()
    if kind in (int, bool) and type(value) is kind:
        return value
    kinds = typing.get_args(kind)
    if typing.get_origin(kind) is not tuple or not isinstance(value, list | tuple):
        return _fail()
    if kinds[-1] is Ellipsis:
        kinds = (kinds[0],) * len(value)
    return tuple(
        each if one is str and isinstance(each, str) else _typed(one, each)
        for one, each in zip(kinds, value, strict=True)
    )


def _parse(kind: Any, text: str) -> Any:
    if kind is bool:
        return {"true": True, "false": False}[text.lower()] if text.lower() in ("true", "false") else _fail()
    if kind in (int, str):
        return kind(text)
    if kind is float:
        number = float(text)
        return number if abs(number) < float("inf") else _fail()
    if typing.get_origin(kind) is Literal:
        return text if text in typing.get_args(kind) else _fail()
    return _parse_tuple(typing.get_args(kind), text)


def _parse_tuple(kinds: tuple[Any, ...], text: str) -> tuple[Any, ...]:
    items = [item.strip() for item in text.strip("()[] ").split(",") if item.strip()]
    if kinds[-1] is Ellipsis:
        return tuple(_parse(kinds[0], item) for item in items)
    return tuple(_parse(kind, item) for kind, item in zip(kinds, items, strict=True))


def _fail() -> Any:
    raise ValueError


def _describe(kind: Any) -> str:
    if typing.get_origin(kind) is Literal:
        return f"one of {', '.join(typing.get_args(kind))}"
    if isinstance(kind, types.GenericAlias):
        return "values with a comma between them"
    return {bool: "true or false", int: "a whole number", float: "a finite number"}.get(kind, "text")


def as_dict(config: RunConfig) -> dict[str, Any]:
    """Nested plain values, for `config.yaml`."""
    return typing.cast("dict[str, Any]", json.loads(json.dumps(dataclasses.asdict(config))))
