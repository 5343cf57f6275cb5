"""A grid of small cells, and a store for them."""

import shutil

import mlflow
import pytest

from emotion_mlflow.data.read import read
from emotion_mlflow.jobs.request import TrainRequest
from emotion_mlflow.scale.cells import Axes, identify, plan


@pytest.fixture(scope="session")
def empty(tmp_path_factory):
    """A store with its tables made, which takes seconds, and nothing in them."""
    file = tmp_path_factory.mktemp("empty") / "mlflow.db"
    mlflow.MlflowClient(f"sqlite:///{file}").search_experiments()
    return file


@pytest.fixture
def client(here, empty):
    """Of a new store, which is the working directory's own."""
    shutil.copy(empty, here)
    mlflow.set_tracking_uri(f"sqlite:///{here}/mlflow.db")
    return mlflow.MlflowClient()


@pytest.fixture(scope="session")
def manifest(faces, cache):
    """The forty drawn faces, read and not cut."""
    return read(faces, data_format="auto", cache_dir=cache)


@pytest.fixture
def cells(manifest, here, client):
    """The cells of a grid of seeds, known by their digests."""

    def make(*rng_seeds, **said):
        axes = Axes(backbones=("mobilenetv3small",), recipes=("improved",), rng_seeds=rng_seeds)
        base = TrainRequest(backbone="mobilenetv3small", cache_dir=here / "cache", **said)
        return identify(plan(axes, base, weights={"mobilenetv3small": "none"}), manifest)

    return make
