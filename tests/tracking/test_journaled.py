"""A journaled run against a real server that goes away, cuts connections, or is not there at the end."""

import contextlib
import http.client
import multiprocessing
import signal
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import mlflow
import numpy as np
import pytest

from benchmarks.campaign_outage import Server
from emotion_mlflow.errors import DataError, Stopped, TrackingError
from emotion_mlflow.tracking import journaled, syncing

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("here")]

MODEL = """
import mlflow
class Echo(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input
mlflow.models.set_model(Echo())
"""
EPOCHS = 5
FILES = {"history.csv": b"epoch\n1\n", "figures/curve.png": b"x" * 300_000, "figures/flat.png": b"y" * 10}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A small model as MLflow saves it."""
    folder = tmp_path_factory.mktemp("model")
    (folder / "echo.py").write_text(MODEL)
    mlflow.pyfunc.save_model(
        path=str(folder / "saved"), python_model=str(folder / "echo.py"), pip_requirements=["mlflow"]
    )
    return folder / "saved"


@pytest.fixture(params=["sqlite", "postgresql"])
def own_server(request, tmp_path):
    """A server that a test may stop and start, on each kind of database in turn."""
    cluster = request.getfixturevalue("database") if request.param == "postgresql" else None
    server = Server(folder=tmp_path / "server", cluster=cluster)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def opening(tmp_path):
    """Opens a run; `told` keeps what it said."""

    def open_one(uri, *, sync_wait=60.0, resume="", told=None):
        return journaled.open_run(
            experiment="journals",
            tracking_uri=uri,
            name="a run",
            tags={"colour": "red"},
            cache_dir=tmp_path / "cache",
            sync_wait=sync_wait,
            tell=[].append if told is None else told.append,
            resume=resume,
        )

    return open_one


def write_all(run, folder, model, name, *, between=lambda: None):
    """All that a training writes; `between` is called between any two writes."""
    steps = [
        lambda: run.log_params({"training.learning_rate": 1e-3, "data": "demo"}),
        lambda: run.log_text("config.yaml", "a: 1\n"),
        *[lambda epoch=epoch: run.log_epoch({"epoch": epoch, "train/loss": 1 / epoch, "val/loss": float("nan")})
          for epoch in range(1, EPOCHS + 1)],
        lambda: run.log_scores({"final/test/accuracy": 0.1 + 0.2, "final/test/auc": float("nan")}),
        lambda: run.log_folder(folder),
        lambda: run.log_model(model),
        lambda: run.set_tags({"tasks": "expression"}),
        lambda: run.register(name=name, tags={"backbone": "echo"}),
    ]  # fmt: skip
    for step in steps:
        step()
        between()


@pytest.fixture
def files(tmp_path):
    for name, content in FILES.items():
        (tmp_path / "made" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "made" / name).write_bytes(content)
    return tmp_path / "made"


def assert_whole(uri, run_id, name, scratch, *, status="FINISHED"):
    """The server holds everything, once."""
    client = mlflow.MlflowClient(uri)
    run = client.get_run(run_id)
    assert run.info.status == status
    assert run.data.params == {"config/training.learning_rate": "0.001", "config/data": "demo"}
    assert (run.data.tags["colour"], run.data.tags["tasks"]) == ("red", "expression")
    losses = [(each.step, each.value) for each in client.get_metric_history(run_id, "train/loss")]
    assert losses == [(epoch, 1 / epoch) for epoch in range(1, EPOCHS + 1)]
    assert [each.value for each in client.get_metric_history(run_id, "final/test/accuracy")] == [0.1 + 0.2]
    assert {key for key in run.data.metrics if not key.startswith("system/")} == {"train/loss", "final/test/accuracy"}
    scratch.mkdir(exist_ok=True)
    for path, content in {**FILES, "config.yaml": b"a: 1\n"}.items():
        with open(client.download_artifacts(run_id, path, str(scratch)), "rb") as fetched:
            assert fetched.read() == content, path
    (logged,) = client.search_logged_models([run.info.experiment_id], filter_string=f"source_run_id = '{run_id}'")
    assert str(logged.status) == "READY"
    assert {metric.key for metric in logged.metrics} == {"final/test/accuracy"}
    (version,) = client.search_model_versions(f"run_id = '{run_id}'")
    assert (version.name, version.tags) == (name, {"backbone": "echo"})
    mlflow.set_tracking_uri(uri)
    assert mlflow.pyfunc.load_model(f"models:/{name}/{version.version}").predict(np.array([3])) == np.array([3])
    return version.version


@contextlib.contextmanager
def cutting(server, cut):
    """The server behind a proxy that cuts the connections `cut` says: `before` it has all, or `after` it took it."""
    behind, counts = urlsplit(server), {"before": 0, "after": 0}

    class Proxy(BaseHTTPRequestHandler):
        def forward(self):
            size = int(self.headers.get("Content-Length", 0))
            how = cut(self.command, self.path)
            headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
            connection = http.client.HTTPConnection(behind.hostname, behind.port, timeout=60)
            if how == "before" and size:
                counts["before"] += 1
                connection.putrequest(self.command, self.path, skip_accept_encoding=True)
                for name, value in headers.items():
                    connection.putheader(name, value)
                connection.endheaders()
                connection.send(self.rfile.read(size // 2))
                connection.close()
                self.close_connection = True
                return
            connection.request(self.command, self.path, self.rfile.read(size), headers | {"Host": behind.netloc})
            answer = connection.getresponse()
            content = answer.read()
            connection.close()
            if how == "after":
                counts["after"] += 1
                self.close_connection = True
                return
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("transfer-encoding", "content-length", "connection", "date", "server"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = forward  # noqa: N815  http.server's names

        def log_message(self, *arguments):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{proxy.server_address[1]}", counts
        proxy.shutdown()


def writes_only(command, path):
    """Requests that change something; asking for something is not worth a cut."""
    return command in ("POST", "PUT", "PATCH") and not path.endswith(("/search", "/experiments/create", "/runs/create"))


def test_an_undisturbed_run_arrives_whole(server, opening, files, model, tmp_path):
    with opening(server) as run:
        write_all(run, files, model, "plain")
    assert run.unsent == 0
    assert assert_whole(server, run.run_id, "plain", tmp_path / "scratch") == run.version
    assert not (tmp_path / "cache" / "journal" / run.run_id).exists()


@pytest.mark.parametrize("how", ["before", "after"])
def test_every_write_whose_connection_is_cut_once_arrives_once(server, opening, files, model, tmp_path, how):
    seen = set()

    def cut(command, path):
        """The first attempt at each place, and of the batches every second one."""
        place = (command, path) if "log-batch" not in path else (command, path, cut.batches // 2)
        cut.batches += "log-batch" in path
        if not writes_only(command, path) or place in seen:
            return ""
        seen.add(place)
        return how

    cut.batches = 0
    name = f"cut-{how}"
    with cutting(server, cut) as (uri, counts), opening(uri, sync_wait=120) as run:
        write_all(run, files, model, name)
    assert counts[how] >= 15
    assert run.unsent == 0
    assert assert_whole(server, run.run_id, name, tmp_path / "scratch") == run.version


def test_a_server_that_is_killed_in_mid_run_loses_and_doubles_nothing(own_server, opening, files, model, tmp_path):
    with opening(own_server.uri, sync_wait=200) as run:
        run.log_params({"training.learning_rate": 1e-3})
        own_server.stop(signal.SIGKILL)
        started = time.perf_counter()
        write_all(run, files, model, "killed")
        assert time.perf_counter() - started < 10  # nothing waits for the server
        own_server.start()
    assert run.unsent == 0
    assert_whole(own_server.uri, run.run_id, "killed", tmp_path / "scratch")


def test_a_database_restarted_under_the_server_loses_and_doubles_nothing(database, opening, files, model, tmp_path):
    server = Server(folder=tmp_path / "server", cluster=database)
    server.start()
    try:
        with opening(server.uri, sync_wait=200) as run:
            run.log_params({"training.learning_rate": 1e-3})
            database.stop(mode="immediate")
            write_all(run, files, model, "restarted")
            time.sleep(2)  # some attempts fall into the outage
            database.start()
        assert run.unsent == 0
        assert_whole(server.uri, run.run_id, "restarted", tmp_path / "scratch")
    finally:
        server.stop()


def test_a_server_away_at_the_end_leaves_a_journal_that_sync_sends_later(own_server, opening, files, model, tmp_path):
    told = []
    with opening(own_server.uri, sync_wait=1, told=told) as run:
        own_server.stop()
        write_all(run, files, model, "later")
    assert run.version is None
    assert run.unsent > 10
    assert f"emotion-mlflow sync {run.run_id} --cache-dir {tmp_path / 'cache'}" in told[-1]
    with pytest.raises(TrackingError, match="a tracking server that answers"):
        syncing.sync(tmp_path / "cache", run_id=run.run_id, tracking_uri=None, tell=told.append)
    (kept,) = syncing.sync(tmp_path / "cache", run_id="", tracking_uri=None, tell=told.append)
    assert kept.unsent == run.unsent
    assert "a tracking server that answers" in kept.problem
    own_server.start()
    assert mlflow.MlflowClient(own_server.uri).get_run(run.run_id).info.status == "RUNNING"
    (done,) = syncing.sync(tmp_path / "cache", run_id="", tracking_uri=None, tell=told.append)
    assert (done.unsent, done.status, done.model_name, done.problem) == (0, "FINISHED", "later", "")
    assert done.sent == run.unsent
    assert assert_whole(own_server.uri, run.run_id, "later", tmp_path / "scratch") == done.model_version
    assert syncing.sync(tmp_path / "cache", run_id="", tracking_uri=None, tell=told.append) == []


@pytest.mark.parametrize(
    ("error", "status", "longest"),
    [(Stopped("SIGTERM"), "KILLED", 10), (DataError("68 points", got=67), "FAILED", 20)],
    ids=["stopped", "failed"],
)
def test_a_training_that_ended_so_while_the_server_was_away_ends_so_after_sync(
    own_server, opening, tmp_path, error, status, longest
):
    with pytest.raises(type(error)), opening(own_server.uri, sync_wait=120) as run:  # noqa: PT012
        own_server.stop(signal.SIGKILL)
        started = time.perf_counter()
        raise error
    assert time.perf_counter() - started < longest
    own_server.start()
    (done,) = syncing.sync(tmp_path / "cache", run_id=run.run_id, tracking_uri=None, tell=[].append)
    assert done.status == status
    assert mlflow.MlflowClient(own_server.uri).get_run(run.run_id).info.status == status


def test_what_the_server_will_never_take_fails_the_run_with_one_line(server, opening, files, model):
    with (
        pytest.raises(TrackingError, match="expected a server that takes what the training logs; got"),
        opening(server) as run,
    ):
        write_all(run, files, model, "no/such:name")
    ended = mlflow.MlflowClient(server).get_run(run.run_id)
    assert ended.info.status == "FAILED"
    assert not run.journal.folder.exists()


def test_a_resumed_run_first_sends_what_the_earlier_process_left(own_server, opening, tmp_path):
    with pytest.raises(KeyboardInterrupt), opening(own_server.uri, sync_wait=0) as run:  # noqa: PT012
        own_server.stop(signal.SIGKILL)
        run.log_epoch({"epoch": 1, "train/loss": 0.5})
        raise KeyboardInterrupt
    own_server.start()
    journaled.send_rest(
        run.run_id, cache_dir=tmp_path / "cache", tracking_uri=own_server.uri, seconds=60, tell=[].append
    )
    with opening(own_server.uri, resume=run.run_id) as again:
        assert again.logged.epochs == {1}
        again.log_epoch({"epoch": 1, "train/loss": 0.5})
        again.log_epoch({"epoch": 2, "train/loss": 0.25})
    client = mlflow.MlflowClient(own_server.uri)
    assert [(each.step, each.value) for each in client.get_metric_history(run.run_id, "train/loss")] == [
        (1, 0.5),
        (2, 0.25),
    ]
    assert client.get_run(run.run_id).info.status == "FINISHED"


def test_what_is_no_journal_is_neither_sent_nor_removed(own_server, tmp_path):
    (tmp_path / "cache" / "journal").mkdir(parents=True)
    mine = tmp_path / "faces"
    mine.mkdir()
    (mine / "one.png").write_bytes(b"x")
    assert not journaled.send_rest(
        str(mine), cache_dir=tmp_path / "cache", tracking_uri=own_server.uri, seconds=5, tell=[].append
    )
    assert (mine / "one.png").exists()


def test_a_server_that_is_away_does_not_hold_up_the_journals_of_others(own_server, opening, tmp_path):
    left = {}
    for name in ("a", "b"):
        other = Server(folder=tmp_path / name)
        other.start()
        with opening(other.uri, sync_wait=0) as run:
            other.stop(signal.SIGKILL)
            run.log_epoch({"epoch": 1, "train/loss": 0.5})
        left[run.run_id] = other
    back = max(left)  # the one that is tried last
    left[back].start()
    try:
        done = {
            one.run_id: one for one in syncing.sync(tmp_path / "cache", run_id="", tracking_uri=None, tell=[].append)
        }
    finally:
        left[back].stop()
    assert done[back].status == "FINISHED"
    assert "a tracking server that answers" in done[min(left)].problem


def test_a_journal_with_a_damaged_line_fails_the_run_and_is_kept(own_server, opening, files, model, tmp_path):
    told = []
    with opening(own_server.uri, sync_wait=0) as run:
        own_server.stop(signal.SIGKILL)
        run.log_epoch({"epoch": 1, "train/loss": 0.125})
        run.log_epoch({"epoch": 2, "train/loss": 0.25})
    entries = tmp_path / "cache" / "journal" / run.run_id / "entries"
    entries.write_bytes(entries.read_bytes().replace(b"0.125", b"0.126"))
    own_server.start()
    (done,) = syncing.sync(tmp_path / "cache", run_id="", tracking_uri=None, tell=told.append)
    assert (done.unsent, done.status, done.problem) == (0, "FAILED", "1 damaged lines were not sent")
    assert mlflow.MlflowClient(own_server.uri).get_run(run.run_id).info.status == "FAILED"
    aside = tmp_path / "cache" / "journal" / f"{run.run_id}.damaged"
    assert f"it is kept: {aside}" in told[-1]
    assert b"0.126" in (aside / "entries").read_bytes()
    assert syncing.sync(tmp_path / "cache", run_id="", tracking_uri=None, tell=told.append) == []


def test_a_run_whose_journal_cannot_be_opened_is_not_left_running(server, opening, tmp_path):
    (tmp_path / "cache").write_text("a file where a folder should be")
    with pytest.raises(TrackingError, match="expected room for what"), opening(server):
        pytest.fail("a run was opened")
    client = mlflow.MlflowClient(server)
    (experiment,) = [one.experiment_id for one in client.search_experiments() if one.name == "journals"]
    newest = client.search_runs([experiment], max_results=1)[0]
    assert newest.info.status == "FAILED"
    assert newest.data.tags["heartbeat"]


def test_a_second_stop_changes_nothing(server, opening):
    held = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), opening(server) as run:  # noqa: PT012
            run.log_epoch({"epoch": 1, "train/loss": 0.5})
            threading.Timer(0.05, signal.raise_signal, [signal.SIGTERM]).start()
            raise KeyboardInterrupt
        time.sleep(0.1)
    except KeyboardInterrupt:  # it came late
        pass
    finally:
        signal.signal(signal.SIGTERM, held)
    assert mlflow.MlflowClient(server).get_run(run.run_id).info.status == "KILLED"
    assert not run.journal.folder.exists()


def test_reap_marks_only_our_runs_whose_heartbeat_stopped(server):
    client = mlflow.MlflowClient(server)
    experiment = client.create_experiment("reap")
    old = client.create_run(experiment, tags={"heartbeat": "2020-01-01T00:00:00+00:00"}).info.run_id
    fresh = client.create_run(experiment, tags={"heartbeat": syncing.now()}).info.run_id
    other = client.create_run(experiment).info.run_id
    foreign = client.create_run(experiment, tags={"heartbeat": "thump"}).info.run_id
    dry = syncing.reap(tracking_uri=server, older_than=600, dry_run=True)
    assert [one.run_id for one in dry] == [old]
    assert client.get_run(old).info.status == "RUNNING"
    assert [one.run_id for one in syncing.reap(tracking_uri=server, older_than=600, dry_run=False)] == [old]
    assert [client.get_run(run_id).info.status for run_id in (old, fresh, other, foreign)] == [
        "KILLED",
        "RUNNING",
        "RUNNING",
        "RUNNING",
    ]
    assert client.get_run(old).info.end_time == 1577836800000  # the last sign of life
    assert syncing.reap(tracking_uri=server, older_than=600, dry_run=False) == []


def end_a_training(uri, folder, number, model, barrier):
    """In a process of its own: everything is written, and the end waits for the others."""
    mlflow.set_tracking_uri(uri)
    with journaled.open_run(
        experiment="at once",
        tracking_uri=uri,
        name=f"training {number}",
        tags={},
        cache_dir=folder,
        sync_wait=120.0,
        tell=print,
    ) as run:
        run.log_epoch({"epoch": 1, "train/loss": float(number)})
        barrier.wait(120)
        run.log_model(model)
        run.register(name="at-once", tags={"number": number})


def test_eight_trainings_that_end_at_once_register_a_version_each(server, model, tmp_path):
    spawn = multiprocessing.get_context("spawn")
    barrier = spawn.Barrier(8)
    trainings = [
        spawn.Process(target=end_a_training, args=(server, tmp_path / "cache", number, model, barrier))
        for number in range(8)
    ]
    for training in trainings:
        training.start()
    for training in trainings:
        training.join(300)
    assert [training.exitcode for training in trainings] == [0] * 8
    client = mlflow.MlflowClient(server)
    versions = client.search_model_versions("name = 'at-once'")
    assert sorted(int(version.version) for version in versions) == list(range(1, 9))
    assert sorted(version.tags["number"] for version in versions) == list("01234567")
    assert len({version.run_id for version in versions}) == 8
    for version in versions:
        run = client.get_run(version.run_id)
        assert (run.info.status, run.info.run_name) == ("FINISHED", f"training {version.tags['number']}")
