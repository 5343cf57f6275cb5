"""`emotion-mlflow demo`, whole, as `make demo` runs it; one epoch of the two quickest backbones."""

import json

import mlflow
import pytest

pytestmark = pytest.mark.slow


def test_the_demo_trains_evaluates_and_compares(command, cache, tmp_path):
    flags = ["--backbones", "mobilenetv3small,resnet50", "--epochs", "1", "--cache-dir", cache, "--json"]
    done = command("demo", *flags, cwd=tmp_path, timeout=900, PYTHONWARNINGS="")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert [run["backbone"] for run in told["runs"]] == ["mobilenetv3small", "resnet50"]
    assert {model["name"] for model in told["comparison"]["models"]} == {"mobilenetv3small", "resnet50"}
    assert (tmp_path / "comparison" / "report.html").is_file()
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    for number, backbone in enumerate(("mobilenetv3small", "resnet50"), start=1):
        version = client.get_model_version_by_alias("emotion", backbone)
        assert str(version.version) == str(number)
        params = client.get_run(version.run_id).data.params
        assert (params["config/recipe"], params["config/data.data"], params["config/weights"]) == (
            "demo",
            "demo",
            "none",
        )
    runs = client.search_runs([client.get_experiment_by_name("emotion").experiment_id])
    evaluated = {
        run.data.tags["evaluated_model"]: run.data.metrics for run in runs if "evaluated_model" in run.data.tags
    }
    for number in ("1", "2"):
        trained = client.get_run(client.get_model_version("emotion", number).run_id).data.metrics
        scores = {name: value for name, value in trained.items() if name.startswith("final/test/")}
        assert len(scores) > 30
        assert scores.items() <= evaluated[f"models:/emotion/{number}"].items()
