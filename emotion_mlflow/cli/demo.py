"""`emotion-mlflow demo`: what `make demo` runs."""

from typing import Any

import click

from emotion_mlflow.cli.options import TRAIN, with_options
from emotion_mlflow.errors import TrackingError

SHARED = ("experiment", "tracking_uri", "model_name", "cache_dir")


@click.command("demo")
@click.option("--backbones", default="resnet50,efficientnetb0", show_default=True, help="Which to train, with commas.")
@click.option("--epochs", type=int, default=0, help="Epochs of each; 0: the recipe's.")
@with_options(tuple(option for option in TRAIN if option.name in SHARED))
def command(backbones: str, epochs: int, as_json: bool, **flags: Any) -> None:
    """Train and evaluate both backbones on drawn faces and compare them: minutes on two cores."""
    from emotion_mlflow.cli import terminal

    requests = [_request(backbone.strip(), epochs, flags) for backbone in backbones.split(",")]
    for request in requests:
        request.check()
    comparison = _comparison_of(requests) if len(requests) > 1 else None
    with terminal.working() as watcher:
        from emotion_mlflow.jobs.comparison import compare
        from emotion_mlflow.jobs.evaluation import evaluate
        from emotion_mlflow.jobs.training import train

        outcomes = []
        for request in requests:
            trained = train(request, watcher)
            outcomes.append(evaluate(_evaluation_of(request, trained), watcher))
        compared = compare(comparison, watcher) if comparison else None
    if as_json:
        told = compared.to_dict() if compared else None
        terminal.show({"runs": [outcome.to_dict() for outcome in outcomes], "comparison": told})
    else:
        _show(outcomes, compared)


def _evaluation_of(request: Any, trained: Any) -> Any:
    """Of the version just registered; TrackingError where the server has not heard of it."""
    from emotion_mlflow.jobs.request import EvaluateRequest

    if trained.model_version is None:
        left = f"none: {trained.unsent} writes are unsent (emotion-mlflow sync {trained.run_id})"
        raise TrackingError("a registered version to evaluate", got=left, where=trained.tracking_uri)
    return EvaluateRequest(
        model=f"models:/{trained.model_name}/{trained.model_version}",
        experiment=request.experiment,
        tracking_uri=request.tracking_uri,
        cache_dir=request.cache_dir,
        command=request.command,
    )


def _comparison_of(requests: list[Any]) -> Any:
    """What is compared at the end, checked at the start."""
    from emotion_mlflow.jobs.comparison import CompareRequest

    first = requests[0]
    asked = CompareRequest(
        backbones=tuple(request.backbone for request in requests),
        experiment=first.experiment,
        model_name=first.model_name,
        tracking_uri=first.tracking_uri,
        cache_dir=first.cache_dir,
        command=first.command,
    )
    asked.check()
    return asked


def _request(backbone: str, epochs: int, flags: dict[str, Any]) -> Any:
    from emotion_mlflow.cli.train import request_of

    defaults = {("settings" if option.name == "set" else option.name): option.default for option in TRAIN}
    asked = defaults | {"settings": (), "backbone": backbone, "data": "demo"} | flags
    return request_of(asked | ({"epochs": epochs} if epochs else {}))


def _show(outcomes: list[Any], compared: Any) -> None:
    from rich.console import Console

    from emotion_mlflow.cli import terminal
    from emotion_mlflow.cli.compare import show_comparison
    from emotion_mlflow.cli.tables import say, score_table

    console = Console()
    console.print(score_table(outcomes))
    if compared:
        show_comparison(compared, as_json=False)
    say(console, terminal.where_to_look(outcomes[0].tracking_uri))
