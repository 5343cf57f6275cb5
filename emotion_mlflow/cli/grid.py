"""`emotion-mlflow grid`."""

from pathlib import Path
from typing import Any

import click

from emotion_mlflow.cli.options import GRID, TRAIN, Option, with_options
from emotion_mlflow.cli.train import FIELDS, request_of, settings_of, weights_by_backbone, weights_for
from emotion_mlflow.errors import ConfigError, EmotionError
from emotion_mlflow.places import expanded


@click.command("grid")
@with_options(GRID)
def command(as_json: bool, **flags: Any) -> int:
    """Train backbones x recipes x seeds x any setting, one after the other, below one parent run.

    A second call skips what is finished and goes on with what is not; exit code 1 if a cell failed.
    """
    from emotion_mlflow.cli import terminal
    from emotion_mlflow.cli.grid_progress import watching

    flags = with_file(flags)
    cells = cells_of(flags)
    compare = compare_request(flags, cells) if flags["compare"] else None
    with terminal.working(tensorflow=False) as watcher:
        from emotion_mlflow.jobs.faces import read_faces
        from emotion_mlflow.scale.cells import identify
        from emotion_mlflow.scale.grid import run_grid
        from emotion_mlflow.scale.starter import LocalStarter
        from emotion_mlflow.tracking import runs
        from emotion_mlflow.tracking.cells import child_environment

        asked = cells[0].request
        uri = runs.connect(asked.tracking_uri)
        data = asked.data
        read = read_faces(
            data.data,
            data_format=data.data_format,
            max_rejected=data.max_rejected,
            cache_dir=asked.cache_dir,
            reporter=watcher,
        )
        cells = identify(cells, read)
        watcher.close()
        with watching() as table:
            starter = LocalStarter(environment=child_environment(uri))
            outcome = run_grid(cells, starter=starter, watcher=table, params=_params(flags))
        comparison, amiss = _compared(compare, outcome, watcher)
    _show(outcome, comparison, as_json=as_json)
    if amiss:
        click.echo(f"error: no comparison: {amiss}", err=True)
    return 1 if outcome.failed or amiss else 0


def with_file(flags: dict[str, Any]) -> dict[str, Any]:
    """The flags with what `--file` says for those that were not typed (a default counts as not typed)."""
    if not flags["file"]:
        return flags
    from emotion_mlflow.scale.file import read_grid_file

    options = {option.name: option for option in GRID if option.name != "file"}
    file = expanded(flags["file"], "--file")
    merged = dict(flags)
    for name, text in read_grid_file(file, names=options).items():
        option = options[name]
        if _untyped(option, flags[option.destination]):
            merged[option.destination] = (text,) if option.repeatable else _converted(option, text, file)
    return merged


def cells_of(flags: dict[str, Any]) -> Any:
    """The cells, each checked as far as it can be without the faces; ConfigError at the first mistake."""
    from emotion_mlflow.models.facts import backbone_facts
    from emotion_mlflow.scale.cells import Axes, plan

    axes = Axes(
        backbones=_listed(flags["backbones"]),
        recipes=_listed(flags["recipe"]),
        rng_seeds=tuple(_seed(text) for text in _listed(flags["rng_seeds"])),
        vary=vary_of(flags["vary"]),
    )
    for backbone in axes.backbones:
        backbone_facts(backbone)  # before its weights are looked for
    weights = {backbone: weights_for(backbone, flags["weights"]) for backbone in axes.backbones}
    _require_known_weights(axes.backbones, flags["weights"])
    first = axes.backbones[0] if axes.backbones else "resnet50"
    one = {option.destination: () if option.repeatable else option.default for option in TRAIN}
    if FIELDS["rng_seed"] in settings_of(flags["settings"]):
        raise ConfigError("--rng-seeds", got=FIELDS["rng_seed"], where="--set")
    base = request_of(one | flags | {"backbone": first, "recipe": one["recipe"], "rng_seed": one["rng_seed"]})
    overrides = {name: value for name, value in base.overrides.items() if name != FIELDS["rng_seed"]}
    from dataclasses import replace

    return plan(axes, replace(base, overrides=overrides), weights=weights)


def vary_of(texts: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """`model.dropout=0.1,0.3` -> name and values; with a `;` that alone parts them (`augment.contrast=1,1;0.8,1.2`)."""
    axes: dict[str, tuple[str, ...]] = {}
    for text in " ".join(texts).split():
        name, equals, values = text.partition("=")
        if not equals:
            raise ConfigError("section.field=value,value", got=text, where="--vary")
        if name in axes:
            raise ConfigError("each setting once", got=f"{name} twice", where="--vary")
        parts = values.split(";" if ";" in values else ",")
        axes[name] = tuple(part for part in parts if part)
    return axes


def compare_request(flags: dict[str, Any], cells: Any) -> Any:
    """The default comparison of the grid's backbones; by recipe only where `published` is all there is."""
    from emotion_mlflow.jobs.comparison import CompareRequest
    from emotion_mlflow.recipes import VALIDATED_ON_TEST

    if flags["no_register"]:
        raise ConfigError("registered versions to compare", got="--no-register", where="--compare")
    first = cells[0].request
    recipes = {cell.request.recipe for cell in cells}
    request = CompareRequest(
        backbones=tuple(dict.fromkeys(cell.request.backbone for cell in cells)),
        recipe=VALIDATED_ON_TEST if recipes == {VALIDATED_ON_TEST} else CompareRequest.recipe,
        out=expanded(flags["out"], "--out"),
        experiment=first.experiment,
        model_name=first.model_name,
        tracking_uri=first.tracking_uri,
        show_faces=first.show_faces,
        cache_dir=first.cache_dir,
        command=first.command,
    )
    request.check()
    return request


def _compared(request: Any, outcome: Any, watcher: Any) -> tuple[Any, str]:
    """The comparison, if one was asked for, and why there is none: the cells' own outcome is told all the same."""
    if request is None:
        return None, ""
    from dataclasses import replace

    from emotion_mlflow.jobs.comparison import compare

    try:
        return compare(replace(request, experiment=outcome.experiment), watcher), ""
    except EmotionError as error:
        return None, str(error)


def _show(outcome: Any, comparison: Any, *, as_json: bool) -> None:
    from emotion_mlflow.cli import terminal

    if as_json:
        terminal.show({**outcome.to_dict(), "comparison": comparison.to_dict() if comparison else None})
        return
    from rich.console import Console

    from emotion_mlflow.cli.compare import show_comparison
    from emotion_mlflow.cli.grid_progress import outcome_table
    from emotion_mlflow.cli.tables import say

    console = Console()
    console.print(outcome_table(outcome.cells))
    if comparison:
        show_comparison(comparison, as_json=False)
    say(console, f"grid: run {outcome.parent_run_id} in {outcome.tracking_uri}")


def _params(flags: dict[str, Any]) -> dict[str, object]:
    from emotion_mlflow.cli import terminal

    axes = {f"grid.{name}": flags[name] for name in ("backbones", "recipe", "rng_seeds")}
    return {**axes, "grid.vary": " ".join(flags["vary"]), "command": terminal.command_line()}


def _untyped(option: Option, value: Any) -> bool:
    return not " ".join(value).strip() if option.repeatable else bool(value == option.default)


def _converted(option: Option, text: str, file: Path) -> Any:
    kind = click.types.convert_type(option.kind)
    try:
        return kind.convert(text, None, None)
    except click.BadParameter as error:
        raise ConfigError(f"{option.name} as --help says", got=error.message, where=file) from None


def _require_known_weights(backbones: tuple[str, ...], text: str) -> None:
    """A file for a backbone that is not asked for is a slip of the pen."""
    stray = [name for name in weights_by_backbone(text) if name not in backbones]
    if stray:
        raise ConfigError(f"weights for {', '.join(backbones)}", got=stray[0], where="--weights")


def _listed(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.split(",") if item.strip())


def _seed(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ConfigError("whole numbers with commas", got=repr(text), where="--rng-seeds") from None
