"""Grids on a real store, with runs made by hand; no training."""

import contextlib
import json
from dataclasses import dataclass, field

import mlflow
import pytest
from mlflow.exceptions import MlflowException

from emotion_mlflow.cli.grid_progress import PlainTable
from emotion_mlflow.errors import Stopped, TrackingError
from emotion_mlflow.jobs.resume import request_tag
from emotion_mlflow.scale.grid import run_grid
from emotion_mlflow.scale.starter import CellOutcome
from emotion_mlflow.tracking.journal import JournalBusyError


@dataclass
class Hand:
    """Makes the run a training would make, or does what it is told for a seed."""

    doing: dict = field(default_factory=dict)
    asked: list = field(default_factory=list)

    def start(self, cell, *, parent_run, resume, tell):
        self.asked.append((cell.rng_seed, resume, cell.request.experiment))
        tell(f"epoch 1/1  seed {cell.rng_seed}")
        does = self.doing.get(cell.rng_seed)
        if isinstance(does, Exception):
            raise does
        client = mlflow.MlflowClient()
        place = client.get_experiment_by_name(cell.request.experiment).experiment_id
        run = client.create_run(place, tags={"cell_digest": cell.digest, "mlflow.parentRunId": parent_run})
        client.set_terminated(run.info.run_id, "FAILED" if does else "FINISHED")
        if does:
            return CellOutcome(cell=cell, status="failed", error=does)
        number = registered(client, run.info.run_id)
        return CellOutcome(cell=cell, status="finished", run_id=run.info.run_id, model_version=number, seconds=2)


def registered(client, run_id, name="emotion"):
    """Makes the run a version, as a training does; its number."""
    with contextlib.suppress(MlflowException):
        client.create_registered_model(name)
    return str(client.create_model_version(name, source=f"runs:/{run_id}/model", run_id=run_id).version)


@pytest.fixture
def add(client, manifest):
    """A run of a cell as a training left it; gives its id."""

    def make(cell, status, *, checkpoints=False, version=True, **tags):
        experiment = client.get_experiment_by_name("emotion")
        place = experiment.experiment_id if experiment else client.create_experiment("emotion")
        config = cell.request.config(drawn=False, labelled=manifest.tasks(), name="faces")
        digests = {"data_digest": manifest.cut_digest(), "weights_digest": "mobilenetv3small none"}
        known = {"cell_digest": cell.digest, "request": request_tag(cell.request, config, **digests)}
        run_id = client.create_run(place, tags=known | tags).info.run_id
        if status != "RUNNING":
            client.set_terminated(run_id, status)
        if status == "FINISHED" and version:
            registered(client, run_id)
        if checkpoints:
            folder = cell.request.cache_dir / "checkpoints" / run_id
            folder.mkdir(parents=True)
            (folder / "epoch-0001.npz").touch()
        return run_id

    return make


def through(cells, starter):
    return run_grid(cells, starter=starter, watcher=PlainTable(), params={"grid.backbones": "mobilenetv3small"})


def test_every_cell_is_trained_once_below_one_finished_parent(cells, client):
    starter = Hand()
    outcome = through(cells(1, 2), starter)
    parent = client.get_run(outcome.parent_run_id)
    assert [(seed, resume) for seed, resume, _ in starter.asked] == [(1, ""), (2, "")]
    assert [one.status for one in outcome.cells] == ["finished", "finished"]
    assert (parent.info.status, parent.data.tags["kind"]) == ("FINISHED", "grid")
    assert parent.data.params["config/grid.backbones"] == "mobilenetv3small"
    assert {name: parent.data.metrics[f"cells/{name}"] for name in ("finished", "skipped", "failed")} == {
        "finished": 2,
        "skipped": 0,
        "failed": 0,
    }


def test_a_second_call_skips_what_is_finished_and_trains_what_is_new(cells, client):
    first = through(cells(1, 2), Hand())
    starter = Hand()
    second = through(cells(2, 3), starter)
    assert [seed for seed, *_ in starter.asked] == [3]
    assert [(one.status, one.seconds) for one in second.cells] == [("skipped", 0.0), ("finished", 2)]
    assert second.cells[0].run_id == first.cells[1].run_id
    assert second.parent_run_id != first.parent_run_id


def test_a_skipped_cell_names_the_version_that_it_has(cells, client, add):
    whole = cells(1)
    add(whole[0], "FINISHED", version=False, other="run")
    run_id = add(whole[0], "FINISHED")
    (cell,) = through(whole, Hand()).cells
    assert (cell.status, cell.run_id, cell.model_version) == ("skipped", run_id, "1")


def test_a_finished_cell_without_a_version_is_registered_with_its_tags(cells, client, add):
    whole = cells(1)
    run_id = add(whole[0], "FINISHED", version=False, backbone="mobilenetv3small", selection_score="0.5")
    place = client.get_run(run_id).info.experiment_id
    model = client.create_logged_model(place, name="model", source_run_id=run_id)
    starter = Hand()
    (cell,) = through(whole, starter).cells
    assert (cell.status, cell.model_version, starter.asked) == ("skipped", "1", [])
    version = client.get_model_version("emotion", "1")
    assert (version.run_id, version.source) == (run_id, f"models:/{model.model_id}")
    assert version.tags == {"backbone": "mobilenetv3small", "selection_score": "0.5"}
    told = client.get_logged_model(model.model_id).tags["mlflow.modelVersions"]
    assert json.loads(told) == [{"name": "emotion", "version": "1"}]


def test_a_finished_cell_that_is_not_to_be_registered_stays_so(cells, add):
    whole = cells(1, register=False)
    add(whole[0], "FINISHED", version=False)
    (cell,) = through(whole, Hand()).cells
    assert (cell.status, cell.model_version) == ("skipped", None)


def test_a_finished_cell_whose_model_is_gone_is_trained_again_and_said_so(cells, add, capsys):
    whole = cells(1)
    run_id = add(whole[0], "FINISHED", version=False)
    assert through(whole, Hand()).cells[0].status == "finished"
    assert f"run {run_id} is trained again, as it cannot be registered" in capsys.readouterr().err


def test_what_an_earlier_cell_could_not_send_is_sent_first_and_its_finished_run_skipped(
    cells, client, add, monkeypatch
):
    whole = cells(1)
    run_id = add(whole[0], "RUNNING")

    def send(asked, **fields):
        client.set_terminated(asked, "FINISHED")
        registered(client, asked)
        return True

    monkeypatch.setattr("emotion_mlflow.tracking.journaled.send_rest", send)
    starter = Hand()
    (cell,) = through(whole, starter).cells
    assert (cell.status, cell.run_id, starter.asked) == ("skipped", run_id, [])


def test_a_journal_that_is_at_work_is_left_alone(cells, add, monkeypatch):
    whole = cells(1)
    add(whole[0], "RUNNING")

    def busy(asked, **fields):
        raise JournalBusyError("a journal that no process writes", got="one", where=asked)

    monkeypatch.setattr("emotion_mlflow.tracking.journaled.send_rest", busy)
    assert through(whole, Hand()).cells[0].status == "finished"


def test_a_deleted_run_is_not_taken_for_a_finished_one(cells, client, add):
    whole = cells(1)
    client.delete_run(add(whole[0], "FINISHED"))
    assert through(whole, Hand()).cells[0].status == "finished"


def test_a_finished_run_of_another_experiment_is_not_taken(cells, client, add):
    add(cells(1)[0], "FINISHED")
    assert through(cells(1, experiment="elsewhere"), Hand()).cells[0].status == "finished"


@pytest.mark.parametrize("status", ["RUNNING", "KILLED", "FAILED"])
def test_an_unfinished_run_with_checkpoints_goes_on(cells, add, capsys, status):
    whole = cells(1)
    run_id = add(whole[0], status, checkpoints=True)
    add(whole[0], status)  # newer, and nothing kept of it
    starter = Hand()
    through(whole, starter)
    assert starter.asked == [(1, run_id, "emotion")]
    assert f"mobilenetv3small improved seed 1 | going on in run {run_id}" in capsys.readouterr().err


def test_an_unfinished_run_without_checkpoints_is_begun_again(cells, add):
    whole = cells(1)
    add(whole[0], "KILLED")
    starter = Hand()
    through(whole, starter)
    assert starter.asked == [(1, "", "emotion")]


def test_a_run_that_cannot_go_on_is_passed_over_and_said_so(cells, add, capsys):
    whole = cells(1)
    older = add(whole[0], "KILLED", checkpoints=True)
    newer = add(whole[0], "KILLED", checkpoints=True, request="of another version")
    starter = Hand()
    through(whole, starter)
    assert starter.asked == [(1, older, "emotion")]
    told = f"warning: run {newer} does not go on: expected a training run of this version"
    assert told in capsys.readouterr().err


def test_a_run_that_would_be_registered_under_another_name_does_not_go_on(cells, add, capsys):
    add(cells(1)[0], "KILLED", checkpoints=True)
    starter = Hand()
    through(cells(1, model_name="another"), starter)
    assert starter.asked == [(1, "", "emotion")]
    assert "it is to be registered otherwise" in capsys.readouterr().err


def test_a_finished_run_counts_more_than_an_unfinished_newer_one(cells, add):
    whole = cells(1)
    finished = add(whole[0], "FINISHED")
    add(whole[0], "KILLED", checkpoints=True)
    assert through(whole, Hand()).cells[0].run_id == finished


def test_a_failed_cell_stops_no_other_and_fails_the_parent(cells, client):
    outcome = through(cells(1, 2, 3), Hand({2: "expected a finite loss; got nan"}))
    assert [one.status for one in outcome.cells] == ["finished", "failed", "finished"]
    failed = outcome.cells[1]
    assert outcome.failed == (failed,)
    assert client.get_run(failed.run_id).data.tags["mlflow.parentRunId"] == outcome.parent_run_id
    parent = client.get_run(outcome.parent_run_id)
    assert parent.info.status == "FAILED"
    assert parent.data.tags["error"] == (
        "expected every cell to finish; got 1 of 3 failed: "
        "mobilenetv3small improved seed 2: expected a finite loss; got nan"
    )


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (TrackingError("a server that answers", got="none"), "expected a server that answers; got none"),
        (MlflowException("PERMISSION_DENIED\nand more"), "PERMISSION_DENIED"),
        (OSError(28, "No space left on device"), "[Errno 28] No space left on device"),
    ],
    ids=["ours", "MLflow's", "the disk's"],
)
def test_what_cannot_be_started_fails_the_cell_alone(cells, error, words):
    outcome = through(cells(1, 2), Hand({1: error}))
    assert [one.status for one in outcome.cells] == ["failed", "finished"]
    assert outcome.cells[0].error == words


@pytest.mark.parametrize("stop", [Stopped("SIGTERM"), KeyboardInterrupt()])
def test_a_stop_leaves_the_parent_killed_with_what_was_done(cells, client, here, stop):
    starter = Hand()
    starter.doing = {2: stop}
    with pytest.raises(type(stop)):
        run_grid(cells(1, 2, 3), starter=_Raising(starter), watcher=PlainTable(), params={})
    assert [seed for seed, *_ in starter.asked] == [1, 2]
    (parent,) = client.search_runs(
        [client.get_experiment_by_name("emotion").experiment_id], filter_string="tags.kind = 'grid'"
    )
    assert parent.info.status == "KILLED"
    known = json.loads(mlflow.artifacts.load_text(f"runs:/{parent.info.run_id}/grid.json"))
    assert [cell["status"] for cell in known["cells"]] == ["finished"]


@dataclass
class _Raising:
    """As Hand, but what it is told to raise may be no Exception."""

    hand: Hand

    def start(self, cell, **said):
        does = self.hand.doing.get(cell.rng_seed)
        outcome = self.hand.start(cell, **said) if not isinstance(does, BaseException) else None
        if outcome is None:
            self.hand.asked.append((cell.rng_seed, "", ""))
            raise does
        return outcome


def test_the_answer_has_all_of_every_cell(cells):
    outcome = through(cells(1), Hand()).to_dict()
    assert set(outcome) == {"parent_run_id", "cells"}
    (cell,) = outcome["cells"]
    assert len(cell.pop("run_id")) == 32
    assert cell == {
        "backbone": "mobilenetv3small",
        "recipe": "improved",
        "rng_seed": 1,
        "settings": {},
        "status": "finished",
        "model_version": "1",
        "seconds": 2,
        "error": None,
    }


def test_the_run_that_mlflow_opened_is_the_parent_and_its_experiment_holds_the_cells(cells, client, monkeypatch):
    place = client.create_experiment("theirs")
    run_id = client.create_run(place).info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", place)
    starter = Hand()
    outcome = through(cells(1), starter)
    assert (outcome.parent_run_id, outcome.experiment) == (run_id, "theirs")
    assert starter.asked == [(1, "", "theirs")]
    assert client.get_run(run_id).info.status == "FINISHED"
