"""Every flag in one table: name, type, default, help. The commands, MLproject and the README are held against it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import click

AUTO = "auto"


class AutoNumber(click.ParamType):
    """A number, or `auto` for the recipe's own."""

    def __init__(self, kind: type) -> None:
        self.kind = kind
        self.name = "whole number or auto" if kind is int else "number or auto"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Int or float; `auto` stays."""
        if value == AUTO or isinstance(value, self.kind):
            return value
        try:
            return self.kind(value)
        except ValueError:
            self.fail(f"expected a {self.name}; got {value!r}", param, ctx)


@dataclass(frozen=True, kw_only=True)
class Option:
    """One flag; `--image-size` here is `image_size` in MLproject."""

    name: str
    kind: Any
    """A click type."""
    default: Any
    help: str
    repeatable: bool = False
    """May stand several times; in MLproject once, with spaces between."""

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")

    @property
    def destination(self) -> str:
        """What the command's function calls it."""
        return "settings" if self.name == "set" else self.name

    def decorate(self, command: Callable) -> Callable:
        switch: dict[str, Any] = {"is_flag": False, "flag_value": True} if self.kind is bool else {}
        several: dict[str, Any] = {"multiple": True} if self.repeatable else {}
        return click.option(
            self.flag,
            self.destination,
            type=click.BOOL if self.kind is bool else self.kind,
            default=() if several else self.default,
            show_default=self.default if self.default != "" else False,
            help=self.help,
            **switch,
            **several,
        )(command)


_PLACE = (
    Option(name="experiment", kind=str, default="emotion", help="MLflow experiment that holds the run."),
    Option(
        name="tracking_uri",
        kind=str,
        default="",
        help="MLflow store or server; empty: MLFLOW_TRACKING_URI, else sqlite:///mlflow.db here.",
    ),
    Option(
        name="show_faces",
        kind=str,
        default=AUTO,
        help="Faces of people in figures: auto (thumbnails; none on a server), thumbnails, none.",
    ),
    Option(name="cache_dir", kind=str, default="", help="Folder of the caches; empty: the user's cache folder."),
)

_MAX_REJECTED = Option(
    name="max_rejected",
    kind=float,
    default=0.01,
    help="Share of faces that may be unreadable before nothing starts.",
)
_DATA_FORMAT = Option(name="data_format", kind=str, default=AUTO, help="auto, affectnet-npy, affectnet-csv or table.")

TRAIN = (
    Option(name="backbone", kind=str, default="resnet50", help="resnet50, efficientnetb0 or mobilenetv3small."),
    Option(name="recipe", kind=str, default=AUTO, help="auto, published, improved, probe or demo."),
    Option(name="data", kind=str, default="demo", help="demo, an AffectNet folder, or a CSV or Parquet table."),
    _DATA_FORMAT,
    Option(
        name="weights",
        kind=str,
        default=AUTO,
        help="imagenet, none, FILE, or BACKBONE=FILE,...; auto: none on the demo faces, else imagenet.",
    ),
    Option(
        name="tasks",
        kind=str,
        default=AUTO,
        help="Of expression,valence,arousal,landmarks; auto: those with labels.",
    ),
    Option(name="epochs", kind=AutoNumber(int), default=AUTO, help="All epochs of the run, warm-up included."),
    Option(name="batch_size", kind=AutoNumber(int), default=AUTO, help="Faces a step."),
    Option(name="image_size", kind=AutoNumber(int), default=AUTO, help="Pixels a side inside the network."),
    Option(name="learning_rate", kind=AutoNumber(float), default=AUTO, help="Highest learning rate."),
    Option(name="rng_seed", kind=int, default=0, help="Random numbers of the training."),
    Option(name="split_seed", kind=int, default=0, help="Random numbers of cuts and --limit."),
    Option(name="limit", kind=int, default=0, help="Faces of each split at most; 0: all."),
    _MAX_REJECTED,
    Option(
        name="drop_leaks",
        kind=bool,
        default=False,
        help="Leave out training and val faces that look like a held-out one.",
    ),
    *_PLACE[:1],
    Option(name="model_name", kind=str, default="emotion", help="Registered model that gets the version."),
    *_PLACE[1:],
    Option(name="cache_limit", kind=float, default=40.0, help="Gigabytes that the caches may take."),
    Option(name="no_register", kind=bool, default=False, help="Log the model without registering a version."),
    Option(
        name="resume",
        kind=str,
        default="",
        help="Id of an unfinished run to go on in; every setting comes from it.",
    ),
    Option(name="parent_run", kind=str, default="", help="Id of the run that holds this one."),
    Option(
        name="sync_wait",
        kind=float,
        default=120.0,
        help="Seconds to wait at the end for a tracking server that is away.",
    ),
    Option(
        name="set",
        kind=str,
        default="",
        help="Any other setting, as training.label_smoothing=0.1; repeatable.",
        repeatable=True,
    ),
)

EVALUATE = (
    Option(
        name="model",
        kind=str,
        default="models:/emotion@resnet50",
        help="models:/NAME@ALIAS, models:/NAME/3 or runs:/ID.",
    ),
    Option(name="data", kind=str, default=AUTO, help="As for train; auto: the set the version was trained on."),
    _DATA_FORMAT,
    Option(
        name="split",
        kind=str,
        default=AUTO,
        help="train, val, test or all; auto: test of its own set, all of another.",
    ),
    _MAX_REJECTED,
    *_PLACE,
)

_MODEL_NAME = next(option for option in TRAIN if option.name == "model_name")

COMPARE = (
    Option(
        name="backbones",
        kind=str,
        default="resnet50,efficientnetb0",
        help="Two or more, with commas; of each the best validated configuration is taken.",
    ),
    Option(
        name="models",
        kind=str,
        default="",
        help="Single versions instead, as emotion@a,emotion/7,runs:/ID.",
    ),
    Option(
        name="recipe",
        kind=str,
        default=AUTO,
        help="Only versions of this recipe; auto: all but those that select on the test faces.",
    ),
    Option(
        name="metric",
        kind=str,
        default=AUTO,
        help="Validation score that picks the configuration, as valence/ccc; auto: the selection score.",
    ),
    Option(
        name="test_digest",
        kind=str,
        default="",
        help="First digits of the test faces' digest, or DIGEST:TASKS; empty: the newest that all were scored on.",
    ),
    Option(name="out", kind=str, default="comparison", help="Folder that the report is written to."),
    _MODEL_NAME,
    *_PLACE,
)

_EXPERIMENT, _TRACKING_URI = _PLACE[:2]
_TO = Option(name="to", kind=str, default="champion", help="Alias that is moved.")

PROMOTE = (
    Option(
        name="backbone",
        kind=str,
        default="",
        help="The version that compare called @BACKBONE, as resnet50; or --version.",
    ),
    Option(name="version", kind=str, default="", help="Number of the version; or --backbone."),
    _TO,
    Option(
        name="gates",
        kind=str,
        default="",
        help="YAML file of the gates' limits; empty: those shipped (docs/PROMOTION.md).",
    ),
    Option(name="allow_dirty", kind=bool, default=False, help="Let a version pass whose code no commit holds."),
    Option(name="dry_run", kind=bool, default=False, help="Judge and show the gates; write and move nothing."),
    _MODEL_NAME,
    _EXPERIMENT,
    _TRACKING_URI,
    next(option for option in _PLACE if option.name == "cache_dir"),
)

ROLLBACK = (_TO, _MODEL_NAME, _EXPERIMENT, _TRACKING_URI)

HISTORY = (_TO, _MODEL_NAME, _TRACKING_URI)

_COMPARE_OUT = next(option for option in COMPARE if option.name == "out")
_OF_ONE_CELL = ("backbone", "recipe", "rng_seed", "resume", "parent_run", "sync_wait")

GRID = (
    Option(name="backbones", kind=str, default="resnet50,efficientnetb0", help="One or more, with commas."),
    Option(name="recipe", kind=str, default=AUTO, help="One or more recipes, with commas."),
    Option(name="rng_seeds", kind=str, default="0", help="Random numbers of the trainings, with commas."),
    Option(
        name="vary",
        kind=str,
        default="",
        help="Another axis, as model.dropout=0.1,0.3 (or with ; between); repeatable.",
        repeatable=True,
    ),
    Option(name="file", kind=str, default="", help="YAML file with the same keys; a flag beside it wins."),
    Option(name="compare", kind=bool, default=False, help="Compare the backbones at the end."),
    _COMPARE_OUT,
    *(option for option in TRAIN if option.name not in _OF_ONE_CELL),
)

SYNC = (next(option for option in _PLACE if option.name == "cache_dir"), _TRACKING_URI)

REAP = (
    Option(name="older_than", kind=float, default=600.0, help="Seconds without a heartbeat."),
    Option(name="dry_run", kind=bool, default=False, help="Show them and mark none."),
    _TRACKING_URI,
)

ENTRY_POINTS: Mapping[str, tuple[Option, ...]] = {
    "train": TRAIN,
    "evaluate": EVALUATE,
    "compare": COMPARE,
    "promote": PROMOTE,
    "grid": GRID,
}


def with_options(options: tuple[Option, ...]) -> Callable[[Callable], Callable]:
    """Adds the flags, and `--json`, to a command."""

    def decorate(command: Callable) -> Callable:
        command = json_option(command)
        for option in reversed(options):
            command = option.decorate(command)
        return command

    return decorate


json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout, all else on stderr.")
