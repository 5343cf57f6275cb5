"""Whole promotions at once, as typed, against a real server."""

import json
import os
import subprocess
import sys

import mlflow
import pytest

from emotion_mlflow.promotion.limits import SHIPPED

pytestmark = pytest.mark.server

AT_ONCE = 8


@pytest.fixture
def contested(trained_on_server, server):
    """A registered model of its own with the trained version in it."""
    client = mlflow.MlflowClient(server)
    known = client.get_model_version("emotion", "1")
    client.create_registered_model("contested")
    model_id = known.source.removeprefix("models:/")
    client.create_model_version("contested", known.source, known.run_id, tags=known.tags, model_id=model_id)
    return client


def test_of_eight_promotions_at_once_one_moves_and_every_other_is_told(contested, server, tmp_path):
    limits = SHIPPED.read_text().replace("ece: 0.15", "ece: 1").replace("latency_ms: 500", "latency_ms: 60000")
    (tmp_path / "gates.yaml").write_text(limits)
    flags = ["--version", "1", "--model-name", "contested", "--tracking-uri", server, "--allow-dirty", "--json"]
    flags += ["--gates", str(tmp_path / "gates.yaml"), "--experiment", "contested"]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "emotion_mlflow", "promote", *flags],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=inherited,
        )
        for _ in range(AT_ONCE)
    ]
    told = [(process.communicate(timeout=600), process.returncode) for process in started]
    answers = [(json.loads(out), code) for (out, _), code in told]
    moved = [answer for answer, _ in answers if answer["promoted"] and not answer["already"]]
    assert len(moved) == 1, told
    for answer, code in answers:
        assert code == (0 if answer["promoted"] else 1)
        if not answer["promoted"]:
            assert [gate["name"] for gate in answer["gates"]] == ["lease"]
    model = contested.get_registered_model("contested")
    assert {alias: str(version) for alias, version in model.aliases.items()} == {"champion": "1"}
    assert [json.loads(text)["run_id"] for key, text in model.tags.items() if key.startswith("promotion/")] == [
        moved[0]["run_id"]
    ]
    for answer, code in answers:
        status = contested.get_run(answer["run_id"]).info.status
        assert status == ("FINISHED" if code == 0 else "FAILED")
    assert "Article 5(1)(f)" in contested.get_model_version("contested", "1").description
