"""`mlflow run .` as its users type it, with each of MLflow's environment managers."""

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import mlflow
import psutil
import pytest

from emotion_mlflow.tracking.environment import without_mlflow

pytestmark = pytest.mark.server

HOUSE = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


@pytest.fixture
def project(tmp_path):
    """A copy of the project as a clone would have it, so that no store lands in this one."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=HOUSE, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git work tree, so there is no list of the project's files")
    for name in listed.stdout.splitlines():
        if (HOUSE / name).is_file():
            (tmp_path / "project" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(HOUSE / name, tmp_path / "project" / name)
    return tmp_path / "project"


TINY = {"weights": "none", "epochs": 1, "image_size": 32}


@dataclass(frozen=True, kw_only=True)
class Project:
    """`mlflow run . -e ...` in the copy."""

    folder: Path
    environments: Path

    def start(self, bin_folder, entry, *flags, **settings):
        given = [word for name, value in settings.items() for word in ("-P", f"{name}={value}")]
        inherited = without_mlflow()
        own = {
            "PATH": os.pathsep.join([str(bin_folder), os.environ["PATH"]]),
            "VIRTUAL_ENV": str(bin_folder.parent),
            "MLFLOW_ENV_ROOT": str(self.environments),
        }
        return subprocess.Popen(
            [bin_folder / "mlflow", "run", ".", "-e", entry, *given, *flags],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=inherited | own,
        )

    def run(self, bin_folder, entry, *flags, **settings):
        """Checks that it ended well."""
        process = self.start(bin_folder, entry, *flags, **settings)
        out, err = process.communicate()
        assert process.returncode == 0, out[-1000:] + err[-3000:]
        shutil.rmtree(self.environments, ignore_errors=True)  # 2.6 GB

    @property
    def client(self):
        return mlflow.MlflowClient(f"sqlite:///{self.folder}/mlflow.db")

    def runs(self, kind=None):
        """All runs, or those of a kind."""
        found = self.client.search_runs([each.experiment_id for each in self.client.search_experiments()])
        return [run for run in found if kind is None or run.data.tags.get("kind") == kind]


@pytest.fixture
def mlflow_project(project, tmp_path):
    return Project(folder=project, environments=tmp_path / "environments")


@pytest.fixture
def mlflow_run(mlflow_project, faces, cache):
    """Trains so; checks that its run is the only one."""

    def run(bin_folder, *flags):
        settings = {"backbone": "mobilenetv3small", "data": faces, "cache_dir": cache}
        mlflow_project.run(bin_folder, "train", *flags, **TINY, **settings)
        (only,) = mlflow_project.runs()
        return mlflow_project.client, only

    return run


def assert_trained(client, run):
    assert run.info.status == "FINISHED"
    assert (run.data.params["backbone"], run.data.params["epochs"]) == ("mobilenetv3small", "1")  # as given with -P
    assert run.data.params["config/training.epochs"] == "1"
    assert run.data.params["config/recipe"] == "improved"  # what `auto` came to
    assert "final/test/expression/accuracy" in run.data.metrics
    assert client.get_model_version("emotion", "1").run_id == run.info.run_id


def test_with_a_backbone_alone_the_demo_faces_are_learnt_as_auto_says(mlflow_project, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    quick = {"epochs": 1, "image_size": 32}  # all else is MLproject's default
    mlflow_project.run(BIN, "train", "--env-manager", "local", backbone="mobilenetv3small", **quick)
    (run,) = mlflow_project.runs()
    params, tags = run.data.params, run.data.tags
    assert run.info.status == "FINISHED"
    resolved = [params[f"config/{name}"] for name in ("data.data", "recipe", "model.weights", "model.tasks")]
    assert resolved == ["demo", "demo", "none", "expression,valence,arousal,landmarks"]
    assert (tags["data_name"], params["recipe"], params["weights"]) == ("demo", "auto", "auto")
    assert mlflow_project.client.get_model_version("emotion", "1").run_id == run.info.run_id


def test_every_other_entry_point_through_mlflow_run(mlflow_project, faces, cache):
    local = ("--env-manager", "local")
    places = {"data": faces, "cache_dir": cache}
    mlflow_project.run(
        BIN, "grid", *local, backbones="mobilenetv3small", rng_seeds="1,2", recipe="improved", **TINY, **places
    )
    (parent,) = mlflow_project.runs("grid")
    assert parent.info.status == "FINISHED"
    cells = [run for run in mlflow_project.runs() if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert [run.info.status for run in cells] == ["FINISHED", "FINISHED"]
    mlflow_project.run(BIN, "evaluate", *local, model="models:/emotion/1", **places)
    (evaluation,) = [run for run in mlflow_project.runs() if "evaluated_model" in run.data.tags]
    assert evaluation.info.status == "FINISHED"
    version = mlflow_project.client.get_model_version("emotion", "1")
    trained = mlflow_project.client.get_run(version.run_id).data.metrics
    same = {name: value for name, value in evaluation.data.metrics.items() if name.startswith("final/test/")}
    assert same == {name: value for name, value in trained.items() if name.startswith("final/test/")}
    assert len(same) > 30
    mlflow_project.run(BIN, "compare", *local, models="emotion/1,emotion/2")
    (comparison,) = mlflow_project.runs("comparison")
    assert comparison.info.status == "FINISHED"
    promoted = mlflow_project.start(BIN, "promote", *local, version=1)
    promoted.communicate()
    assert promoted.returncode != 0  # a network of one epoch never answers some of the classes
    (decision,) = mlflow_project.runs("promotion")
    assert decision.info.status == "FAILED"
    assert len(mlflow_project.runs()) == 6  # one each, and the grid's two cells


def test_a_training_ends_killed_when_its_mlflow_run_is_killed(mlflow_project, faces, cache):
    settings = TINY | {"epochs": 500}
    process = mlflow_project.start(
        BIN, "train", "--env-manager", "local", backbone="mobilenetv3small", data=faces, cache_dir=cache, **settings
    )
    for line in process.stderr:
        if line.startswith("epoch 1/"):
            break
    children = psutil.Process(process.pid).children(recursive=True)
    assert children
    os.kill(process.pid, signal.SIGKILL)
    killed = time.time()
    _, alive = psutil.wait_procs(children, timeout=20)  # 1 s until it is noticed, and 10 to end
    for child in alive:
        child.kill()
    _, told = process.communicate()
    assert alive == []
    (run,) = mlflow_project.runs()
    assert run.info.status == "KILLED", told
    assert run.info.end_time / 1000 - killed < 11


def test_mlflow_run_with_uv(mlflow_run):
    assert_trained(*mlflow_run(BIN, "--env-manager", "uv"))


def test_mlflow_run_literally_from_an_environment_with_mlflow_and_virtualenv_alone(mlflow_run, tmp_path):
    if not shutil.which("pyenv"):
        pytest.skip("no pyenv on the PATH, which MLflow's default environment manager needs")
    lean = tmp_path / "lean"
    subprocess.run([BIN / "uv", "venv", "--quiet", "--python", sys.executable, lean], check=True)
    wanted = [f"{name}=={metadata.version(name)}" for name in ("mlflow", "virtualenv")]
    lock = HOUSE / "requirements.lock"
    install = [BIN / "uv", "pip", "install", "--quiet", "--python", lean / "bin" / "python", "-c", lock]
    subprocess.run([*install, *wanted], check=True)
    assert_trained(*mlflow_run(lean / "bin"))
    shutil.rmtree(lean)
