"""Model versions: how one is written, found and read back. Used by the job and the command line."""

import json
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from mlflow.exceptions import MlflowException

from emotion_mlflow.errors import ModelError, first_line
from emotion_mlflow.serving import model as served
from emotion_mlflow.tracking.delivery import add_version, first_model
from emotion_mlflow.tracking.runs import told

REQUIREMENTS = ("mlflow", "tensorflow", "keras", "numpy", "pandas", "pillow")
"""What the served model needs: pinned to what it was trained with."""

PAGE = 500

TAGS = (
    "backbone",
    "recipe",
    "rng_seed",
    "split_seed",
    "config_digest",
    "selected_on_test",
    "data_name",
    "weights",
    "weights_digest",
    "test_digest",
    "tasks",
    "selection_score",
)
"""Of a version, and of the run that made it."""

ARTIFACT = "model"
NETWORK_FILE, CARD_FILE = "network.keras", "card.json"


@dataclass(frozen=True, kw_only=True)
class Version:
    """A registered version, or a run's model (then name and number are empty)."""

    uri: str
    name: str
    number: str
    run_id: str
    tags: dict[str, str]


def save_model(folder: Path, *, network: Path, card: Path, example: bytes) -> Path:
    """The model as MLflow stores it, written to `folder`: code, no pickle, no inferred requirements."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that MLflow doesn't check `Any`; the model checks its input
        mlflow.pyfunc.save_model(
            path=str(folder),
            python_model=served.__file__,
            artifacts={"network": str(network), "card": str(card)},
            input_example=[example],
            pip_requirements=[f"{package}=={metadata.version(package)}" for package in REQUIREMENTS],
        )
    return folder


def version_of(run_id: str, name: str) -> str | None:
    """The number of the version of `name` that a run registered; None where it did not."""
    with told(f"the versions of run {run_id}"):
        found = mlflow.MlflowClient().search_model_versions(f"run_id = '{run_id}'")
    return next((str(version.version) for version in found if version.name == name), None)


def register_finished(run_id: str, name: str) -> str:
    """Makes a finished training's logged model a version of `name`, as the training would have; its number.

    ModelError where the run has no model.
    """
    client = mlflow.MlflowClient()
    with told(f"a version of {name}"):
        run = client.get_run(run_id)
        model = first_model(client, run_id, run.info.experiment_id)
        if model is None:
            raise ModelError("the run's logged model", got="none", where=f"run {run_id}")
        tags = {key: run.data.tags[key] for key in TAGS if key in run.data.tags}
        return add_version(client, name, model=model, run_id=run_id, tags=tags)


def find(uri: str) -> Version:
    """What `models:/emotion@resnet50`, `models:/emotion/3` or `runs:/<id>` names; ModelError where there is none."""
    client = mlflow.MlflowClient()
    try:
        if uri.startswith("runs:/"):
            run_id, _, path = uri.removeprefix("runs:/").partition("/")
            client.get_run(run_id)
            return Version(uri=f"runs:/{run_id}/{path or ARTIFACT}", name="", number="", run_id=run_id, tags={})
        name, _, alias = uri.removeprefix("models:/").partition("@")
        if alias:
            version = client.get_model_version_by_alias(name, alias)
        else:
            name, _, number = name.partition("/")
            version = client.get_model_version(name, number)
    except MlflowException as error:
        expected = "a model as models:/NAME@ALIAS, models:/NAME/VERSION or runs:/RUN_ID"
        raise ModelError(expected, got=f"{uri} ({first_line(error)})") from None
    return _version(version)


def _version(version: Any) -> Version:
    return Version(
        uri=f"models:/{version.name}/{version.version}",
        name=version.name,
        number=str(version.version),
        run_id=version.run_id,
        tags=dict(version.tags),
    )


def versions(name: str) -> list[Version]:
    """Every version of a registered model, newest first, with its tags; ModelError where the model is not there."""
    client = mlflow.MlflowClient()
    found: list[Any] = []
    token, quoted = None, f'"{name}"' if "'" in name else f"'{name}'"
    try:
        client.get_registered_model(name)
        while token is None or token:
            page = client.search_model_versions(f"name = {quoted}", max_results=PAGE, page_token=token)
            found += page
            token = page.token or ""
    except MlflowException as error:
        raise ModelError(
            "a registered model (train one: emotion-mlflow train)", got=first_line(error), where=name
        ) from None
    return sorted(map(_version, found), key=lambda version: -int(version.number))


def point(name: str, alias: str, number: str) -> None:
    """Moves an alias to a version; TrackingError where the server does not let it."""
    with told(f"{name}@{alias}"):
        mlflow.MlflowClient().set_registered_model_alias(name, alias, number)


def tag_version(version: Version, tags: Mapping[str, object]) -> None:
    """Adds tags to a registered version; to its run where it is not registered. TrackingError where that fails."""
    client = mlflow.MlflowClient()
    with told(version.uri):
        for key, value in tags.items():
            if version.number:
                client.set_model_version_tag(version.name, version.number, key, str(value))
            else:
                client.set_tag(version.run_id, key, str(value))


def download(version: Version, folder: Path) -> tuple[Path, Path]:
    """(network, card) of a version, brought into `folder`."""
    try:
        local = Path(mlflow.artifacts.download_artifacts(artifact_uri=version.uri, dst_path=str(folder)))
    except (MlflowException, OSError) as error:
        raise ModelError("a version whose files are there", got=first_line(error), where=version.uri) from None
    network, card = local / "artifacts" / NETWORK_FILE, local / "artifacts" / CARD_FILE
    if not (network.is_file() and card.is_file()):
        raise ModelError(f"{NETWORK_FILE} and {CARD_FILE}", got="a model of another kind", where=version.uri)
    return network, card


def model_id(version: Version) -> str | None:
    """Id of the logged model behind a version; None where MLflow knows none."""
    return getattr(mlflow.models.get_model_info(version.uri), "model_id", None)


def split_ids(run_id: str, split: str) -> list[str]:
    """The ids that a run logged for one of its splits; ModelError where it logged no splits."""
    return _read_run_json(run_id, "splits.json").get(split, [])


def _read_run_json(run_id: str, name: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        try:
            file = mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path=name, dst_path=folder)
            loaded: dict[str, Any] = json.loads(Path(file).read_text())
        except (MlflowException, OSError):
            raise ModelError(f"a training run with {name}", got="none", where=f"run {run_id}") from None
        except ValueError as error:
            raise ModelError(f"JSON in {name}", got=first_line(error), where=f"run {run_id}") from None
    return loaded


def jsonable(value: Any) -> Any:
    """Plain JSON values: NaN and infinity as null."""
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value
