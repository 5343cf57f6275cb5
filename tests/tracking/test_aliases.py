"""The lease and the chain on a real store; on a real server in the tier of that name."""

import itertools
import json
import multiprocessing
import os
import signal
import threading
import time

import mlflow
import pytest
from mlflow.entities import ViewType

from emotion_mlflow.errors import ModelError, TrackingError
from emotion_mlflow.tracking import aliases, runs

NAMES = (f"emo'tion_%{number}" for number in itertools.count())


@pytest.fixture(scope="module")
def store_of_all(tmp_path_factory):
    """One store: a new one takes seconds to set up."""
    before = mlflow.get_tracking_uri()
    folder = tmp_path_factory.mktemp("aliases")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    mlflow.set_tracking_uri(uri)
    runs.quiet_libraries()
    yield mlflow.MlflowClient(uri)
    mlflow.set_tracking_uri(before)


@pytest.fixture
def client(store_of_all):
    return store_of_all


@pytest.fixture
def model(client):
    """The name of a registered model of two versions, with signs that a filter would take for its own."""
    name = next(NAMES)
    registered(client, name)
    return name


def registered(client, name, versions=2):
    client.create_registered_model(name)
    run = client.create_run("0").info
    for _ in range(versions):
        client.create_model_version(name, f"{run.artifact_uri}/model", run.run_id)
    return client


def active_leases(client, name):
    return [one.name for one in client.search_experiments(view_type=ViewType.ACTIVE_ONLY) if f" {name} " in one.name]


def test_a_free_lease_is_taken_and_given_back(client, model):
    with aliases.holding(model, seconds=60):
        assert active_leases(client, model) == [f"promotion lease {model} 1"]
    assert active_leases(client, model) == []


def test_the_next_holder_has_the_next_generation(client, model):
    with aliases.holding(model, seconds=60) as first:
        pass
    with aliases.holding(model, seconds=60) as second:
        assert (first.number, second.number) == (1, 2)


def test_who_comes_second_is_told_who_holds_it_and_until_when(client, model):
    with aliases.holding(model, seconds=60), pytest.raises(aliases.LeaseTakenError) as told:
        aliases.take(model, seconds=60)
    assert f"process {os.getpid()}, at the latest until " in str(told.value)
    assert told.value.exit_code == 1


def test_a_lease_that_this_account_may_not_see_is_told_and_never_overtaken(client, model, monkeypatch):
    client.create_experiment(f"promotion lease {model} 1")  # another account's: the server hides it
    monkeypatch.setattr(aliases, "_newest", lambda name: None)
    with pytest.raises(TrackingError, match=f"may read the leases; got no sight of `promotion lease {model} 1`"):
        aliases.take(model, seconds=60)


def test_a_move_is_tried_once_and_not_for_longer_than_the_lease(client, model, monkeypatch):
    asked = []

    def refuse(self, *told):
        asked.append((os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"], os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"]))
        raise mlflow.exceptions.MlflowException("PERMISSION_DENIED")

    with aliases.holding(model, seconds=60) as lease:
        monkeypatch.setattr(mlflow.MlflowClient, "set_registered_model_alias", refuse)
        with pytest.raises(TrackingError, match="PERMISSION_DENIED"):
            aliases.move(lease, "champion", "1")
    assert asked == [("0", "10")]


def test_a_server_that_is_away_holds_up_no_holder_who_is_done(client, model, monkeypatch):
    away, asked = threading.Event(), []

    def prolong(self):
        away.wait(20)

    def delete(self, experiment_id):
        asked.append(os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"])
        raise mlflow.exceptions.MlflowException("away")

    monkeypatch.setattr(aliases.Lease, "prolong", prolong)
    monkeypatch.setattr(mlflow.MlflowClient, "delete_experiment", delete)
    monkeypatch.setattr(aliases, "LAST_WORD", 0.1)
    begun = time.monotonic()
    with aliases.holding(model, seconds=1):
        time.sleep(0.4)
    away.set()
    assert (asked, time.monotonic() - begun < 10) == (["1"], True)


def test_another_model_has_a_lease_of_its_own(client, model):
    registered(client, "another")
    with aliases.holding(model, seconds=60), aliases.holding("another", seconds=60) as other:
        assert other.number == 1


def test_a_lease_that_nobody_prolongs_runs_out(client, model):
    aliases.take(model, seconds=0.2)
    time.sleep(0.25)
    assert aliases.take(model, seconds=60).number == 2
    assert active_leases(client, model) == [f"promotion lease {model} 2"]


def test_a_lease_is_prolonged_while_its_holder_works(client, model):
    with aliases.holding(model, seconds=2):
        time.sleep(3)
        with pytest.raises(aliases.LeaseTakenError):
            aliases.take(model, seconds=60)


def test_a_holder_whose_lease_ran_out_moves_nothing(client, model):
    client.set_registered_model_alias(model, "champion", "1")
    lease = aliases.take(model, seconds=0.2)
    time.sleep(0.25)
    with pytest.raises(aliases.LeaseLostError):
        aliases.move(lease, "champion", "2")
    assert aliases.aliases(model) == {"champion": "1"}


def test_a_holder_whose_lease_another_took_over_moves_nothing(client, model):
    lease = aliases.take(model, seconds=0.2)
    time.sleep(0.25)
    aliases.take(model, seconds=60)
    lease.expires = time.time() + 60  # its own clock is slow
    with pytest.raises(aliases.LeaseLostError, match="another promotion's"):
        aliases.move(lease, "champion", "2")
    assert aliases.aliases(model) == {}


def test_entries_are_numbered_and_read_in_order(client, model):
    with aliases.holding(model, seconds=60) as lease:
        for version in range(12):
            aliases.write_entry(lease, {"version": version})
    assert [entry["version"] for entry in aliases.entries(model)] == list(range(12))
    assert "promotion/000012" in client.get_registered_model(model).tags


def test_an_entry_that_somebody_broke_is_left_out(client, model):
    client.set_registered_model_tag(model, "promotion/000001", "{")
    client.set_registered_model_tag(model, "promotion/000002", json.dumps({"version": "2"}))
    assert aliases.entries(model) == [{"version": "2"}]


def test_a_model_that_is_not_there_is_told(client):
    with pytest.raises(ModelError, match="a registered model"):
        aliases.aliases("nobody")


# On a server, with processes of their own.


def contend(uri, name, version, barrier, told):
    """Takes the lease when all are ready, moves both aliases, and tells whether it could."""
    mlflow.set_tracking_uri(uri)
    mlflow.MlflowClient().search_experiments(max_results=1)
    barrier.wait()
    try:
        with aliases.holding(name, seconds=20) as lease:
            before = aliases.aliases(name)["champion"]
            aliases.move(lease, "previous", before)
            aliases.move(lease, "champion", version)
            aliases.write_entry(lease, {"version": version, "previous": before})
            time.sleep(4)  # as long as the slowest of the others may be late on a busy machine
        told.put((version, "moved"))
    except aliases.LeaseTakenError as error:
        told.put((version, error.holder))


def hold_for_ever(uri, name, seconds, held):
    mlflow.set_tracking_uri(uri)
    with aliases.holding(name, seconds=seconds):
        held.set()
        time.sleep(600)


@pytest.fixture
def on_server(server):
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(server)
    yield mlflow.MlflowClient(server)
    mlflow.set_tracking_uri(before)


@pytest.mark.server
def test_of_eight_at_once_one_moves_the_others_are_told_and_no_alias_is_ever_missing(server, on_server):
    registered(on_server, "eight", versions=9)
    for alias in ("champion", "previous"):
        on_server.set_registered_model_alias("eight", alias, "9")
    seen, done = [], threading.Event()

    def look():
        while not done.is_set():
            seen.append(dict(on_server.get_registered_model("eight").aliases))

    watcher = threading.Thread(target=look)
    spawn = multiprocessing.get_context("spawn")
    barrier, told = spawn.Barrier(8), spawn.Queue()
    arguments = [(server, "eight", str(number), barrier, told) for number in range(1, 9)]
    workers = [spawn.Process(target=contend, args=each) for each in arguments]
    watcher.start()
    for worker in workers:
        worker.start()
    answers = [told.get(timeout=180) for _ in workers]
    for worker in workers:
        worker.join()
    done.set()
    watcher.join()
    winners = [version for version, what in answers if what == "moved"]
    assert len(winners) == 1
    assert len({what for _, what in answers if what != "moved"}) == 1
    assert {alias: str(version) for alias, version in on_server.get_registered_model("eight").aliases.items()} == {
        "champion": winners[0],
        "previous": "9",
    }
    assert [entry["version"] for entry in aliases.entries("eight")] == winners
    assert len(seen) > 10
    assert all(set(each) == {"champion", "previous"} for each in seen)


@pytest.mark.server
def test_a_lease_whose_holder_was_killed_runs_out(server, on_server):
    registered(on_server, "killed")
    spawn = multiprocessing.get_context("spawn")
    held = spawn.Event()
    holder = spawn.Process(target=hold_for_ever, args=(server, "killed", 4, held))
    holder.start()
    assert held.wait(120)
    os.kill(holder.pid, signal.SIGKILL)
    holder.join()
    with pytest.raises(aliases.LeaseTakenError, match=f"process {holder.pid}"):
        aliases.take("killed", seconds=60)
    time.sleep(4.5)
    assert aliases.take("killed", seconds=60).number == 2
