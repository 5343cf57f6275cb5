"""The short form of `make campaign-outage`, and a real training whose server is away when it ends."""

import json
import signal
import time

import mlflow
import pytest

from benchmarks import campaign_outage

pytestmark = pytest.mark.server


def test_a_server_that_stops_and_starts_in_mid_training_holds_the_same_as_one_that_never_did(tmp_path):
    lines = []
    assert campaign_outage.run(outages=3, each=3, seed=7, folder=tmp_path, show=lines.append), lines


def test_a_database_that_is_restarted_under_a_training_holds_the_same(tmp_path, database):
    lines = []
    assert campaign_outage.run(outages=2, each=2, seed=3, folder=tmp_path, show=lines.append, cluster=database), lines


def test_a_training_ends_well_without_its_server_and_sync_brings_all_later(tmp_path, command):
    server = campaign_outage.Server(folder=tmp_path / "server")
    server.start()
    try:
        process = campaign_outage.start(server, campaign_outage.SMALL, tmp_path, sync_wait=1)
        sent = tmp_path / "cache" / "journal"
        while process.poll() is None and not any(sent.glob("*/sent")):
            time.sleep(0.1)
        server.stop(signal.SIGKILL)
        out, err = process.communicate(timeout=600)
        assert process.returncode == 0, err
        told = json.loads(out)
        assert (told["model_name"], told["model_version"]) == (None, None)
        assert told["unsent"] > 10
        assert "Traceback" not in err
        assert f"emotion-mlflow sync {told['run_id']} --cache-dir {tmp_path / 'cache'}" in err.splitlines()[-1]
        away = command("sync", "--cache-dir", tmp_path / "cache", cwd=tmp_path)
        assert (away.returncode, away.stderr) == (1, "")
        assert "expected a tracking server that answers" in away.stdout
        server.start()
        done = command("sync", "--cache-dir", tmp_path / "cache", "--json", cwd=tmp_path)
        (synced,) = json.loads(done.stdout)["runs"]
        assert (done.returncode, synced["sent"], synced["unsent"]) == (0, told["unsent"], 0)
        assert (synced["status"], synced["model_name"], synced["model_version"]) == ("FINISHED", "emotion", "1")
        run = mlflow.MlflowClient(server.uri).get_run(told["run_id"])
        assert run.info.status == "FINISHED"
        scores = {name: value for name, value in told["scores"].items() if value is not None}
        assert {name: value for name, value in run.data.metrics.items() if name.startswith("final/")} == scores
    finally:
        server.stop()
