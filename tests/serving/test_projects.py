"""`mlflow run .` as its users type it, with each of MLflow's environment managers."""

import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import mlflow
import pytest

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


@pytest.fixture
def mlflow_run(project, faces, cache, tmp_path):
    """`mlflow run . -e train -P ...` in the copy; checks that its run is the only one and finished."""

    def run(bin_folder, *flags):
        settings = {"backbone": "mobilenetv3small", "weights": "none", "epochs": 1, "image_size": 32}
        settings |= {"data": faces, "cache_dir": cache}
        given = [word for name, value in settings.items() for word in ("-P", f"{name}={value}")]
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
        done = subprocess.run(
            [bin_folder / "mlflow", "run", ".", "-e", "train", *given, *flags],
            cwd=project,
            capture_output=True,
            text=True,
            env=inherited
            | {
                "PATH": os.pathsep.join([str(bin_folder), os.environ["PATH"]]),
                "VIRTUAL_ENV": str(bin_folder.parent),
                "MLFLOW_ENV_ROOT": str(tmp_path / "environments"),
            },
            check=False,
        )
        assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-3000:]
        client = mlflow.MlflowClient(f"sqlite:///{project}/mlflow.db")
        (only,) = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
        shutil.rmtree(tmp_path / "environments", ignore_errors=True)  # 2.6 GB
        return client, only

    return run


def assert_trained(client, run):
    assert run.info.status == "FINISHED"
    assert (run.data.params["backbone"], run.data.params["epochs"]) == ("mobilenetv3small", "1")  # as given with -P
    assert run.data.params["config/training.epochs"] == "1"
    assert run.data.params["config/recipe"] == "improved"  # what `auto` came to
    assert "final/test/expression/accuracy" in run.data.metrics
    assert client.get_model_version("emotion", "1").run_id == run.info.run_id


def test_mlflow_run_in_the_active_environment(mlflow_run):
    assert_trained(*mlflow_run(BIN, "--env-manager", "local"))


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
