"""`emotion-mlflow train`."""

from pathlib import Path
from typing import Any

import click

from emotion_mlflow.cli.options import AUTO, TRAIN, with_options
from emotion_mlflow.errors import ConfigError
from emotion_mlflow.recipes import VALIDATED_ON_TEST

FIELDS = {
    "epochs": "training.epochs",
    "batch_size": "training.batch_size",
    "image_size": "model.image_size",
    "learning_rate": "training.learning_rate",
    "rng_seed": "training.rng_seed",
}
"""Flags that are short names of a setting."""


@click.command("train")
@with_options(TRAIN)
def command(as_json: bool, **flags: Any) -> None:
    """Train one network, log everything to MLflow, register a version.

    With no flag at all: ResNet50 from scratch on drawn faces, in minutes.
    """
    from emotion_mlflow.cli import terminal

    request = request_of(flags)
    request.check()  # before TensorFlow is imported, which takes seconds
    with terminal.working() as watcher:
        from emotion_mlflow.jobs.training import train

        outcome = train(request, watcher)
    show_outcome(outcome, as_json=as_json)


def request_of(flags: dict[str, Any]) -> Any:
    """The TrainRequest of the flags; ConfigError where one cannot be."""
    from emotion_mlflow.cli import terminal
    from emotion_mlflow.config import DataConfig
    from emotion_mlflow.jobs.request import OWN_FLAGS, TrainRequest

    overrides = settings_of(flags["settings"])
    for name in () if flags["resume"] else OWN_FLAGS.keys() & overrides:
        raise ConfigError(OWN_FLAGS[name], got=name, where="--set")
    overrides |= {name: flags[flag] for flag, name in FIELDS.items() if flags[flag] != AUTO}
    return TrainRequest(
        backbone=flags["backbone"],
        recipe=flags["recipe"],
        weights=weights_for(flags["backbone"], flags["weights"]),
        tasks=() if flags["tasks"] == AUTO else tuple(task.strip() for task in flags["tasks"].split(",")),
        data=DataConfig(
            data=flags["data"],
            data_format=flags["data_format"],
            split_seed=flags["split_seed"],
            limit=flags["limit"],
            max_rejected=flags["max_rejected"],
            drop_leaks=flags["drop_leaks"],
        ),
        overrides=overrides,
        experiment=flags["experiment"],
        model_name=flags["model_name"],
        tracking_uri=flags["tracking_uri"] or None,
        register=not flags["no_register"],
        show_faces=flags["show_faces"],
        cache_dir=terminal.cache_folder(flags["cache_dir"]),
        cache_limit=flags["cache_limit"],
        command=terminal.command_line(),
        resume=flags["resume"],
        parent_run=flags["parent_run"],
        sync_wait=flags["sync_wait"],
    )


def settings_of(texts: tuple[str, ...]) -> dict[str, Any]:
    """`training.label_smoothing=0.1` -> name and text; several may stand in one, with spaces between."""
    settings = {}
    for text in " ".join(texts).split():
        name, equals, value = text.partition("=")
        if not equals:
            raise ConfigError("section.name=value", got=text, where="--set")
        if name == "data.selected_on_test":
            raise ConfigError(
                f"--recipe {VALIDATED_ON_TEST}, which alone chooses on the test faces", got=name, where="--set"
            )
        settings[name] = value
    return settings


def weights_for(backbone: str, text: str) -> str:
    """What `--weights` says for one backbone: `imagenet`, `none`, FILE, or its part of `resnet50=FILE,...`."""
    named = weights_by_backbone(text)
    if not named:
        return text
    if backbone not in named:
        raise ConfigError(f"weights for {backbone}", got=", ".join(named), where="--weights")
    return str(Path(named[backbone]))


def weights_by_backbone(text: str) -> dict[str, str]:
    """`resnet50=FILE,...` by backbone; empty where no part names one: then it is one file, which may have a = too."""
    from emotion_mlflow.models.facts import BACKBONES

    parts = [part.strip().partition("=") for part in text.split(",")]
    if not any(equals and name in BACKBONES for name, equals, _ in parts):
        return {}
    for name, equals, _ in parts:
        if not equals or name not in BACKBONES:
            raise ConfigError(f"BACKBONE=FILE with a backbone of {', '.join(BACKBONES)}", got=name, where="--weights")
    return {name: file for name, _, file in parts}


def show_outcome(outcome: Any, *, as_json: bool) -> None:
    """The one JSON object, or the primary scores as a table and where the rest is."""
    from emotion_mlflow.cli import terminal

    if as_json:
        terminal.show(outcome.to_dict())
        return
    from rich.console import Console

    from emotion_mlflow.cli.tables import say, score_table

    console = Console()
    console.print(score_table([outcome]))
    version = (
        f"registered as {outcome.model_name} version {outcome.model_version}"
        if outcome.model_version
        else "not registered"
    )
    say(console, f"run {outcome.run_id}, {version}, {outcome.seconds:.0f} s")
    say(console, terminal.where_to_look(outcome.tracking_uri))
