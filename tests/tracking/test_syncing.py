"""What `sync` and `reap` do with what they find, without a server; with one: test_journaled.py."""

import shlex
from types import SimpleNamespace

import pytest

from emotion_mlflow.errors import TrackingError
from emotion_mlflow.tracking import journaled, syncing
from emotion_mlflow.tracking.journal import Journal


@pytest.fixture
def cache(tmp_path):
    """A cache folder with the journals of two runs that ended."""
    for run_id in ("a", "b"):
        journal = Journal(tmp_path / "journal" / run_id)
        journal.append("end", {"run_id": run_id, "status": "FINISHED", "time": 1})
        journal.close()
    return tmp_path


@pytest.fixture
def sent(monkeypatch):
    """A server that takes everything; gives what it was sent, by run."""
    taken = {}

    def drain(journal, uri, *, seconds, tell):
        taken[journal.folder.name] = [entry.payload["status"] for entry in journal.entries]
        for entry in journal.entries:
            journal.confirm(entry.number, entry.payload["status"])
        journal.remove()
        return ""

    monkeypatch.setattr(syncing, "connect", lambda uri: "http://host")
    monkeypatch.setattr(syncing, "drain", drain)
    return taken


def test_a_journal_that_another_process_sent_meanwhile_ends_no_run_again(cache, sent, monkeypatch):
    plain = syncing.drain

    def drain(journal, uri, **named):
        Journal(cache / "journal" / "b").remove()  # its own training has sent the rest
        return plain(journal, uri, **named)

    monkeypatch.setattr(syncing, "drain", drain)
    done = syncing.sync(cache, run_id="", tracking_uri=None, tell=[].append)
    assert ([one.run_id for one in done], sent) == (["a"], {"a": ["FINISHED"]})
    assert not any((cache / "journal").iterdir())


def test_a_journal_that_cannot_be_opened_does_not_hold_up_the_others(cache, sent, monkeypatch):
    class Closed(Journal):
        def __init__(self, folder):
            if folder.name == "a":
                raise TrackingError("room", got="Permission denied", where=folder)
            super().__init__(folder)

    monkeypatch.setattr(syncing, "Journal", Closed)
    done = syncing.sync(cache, run_id="", tracking_uri=None, tell=[].append)
    assert [(one.run_id, one.status, "Permission denied" in one.problem) for one in done] == [
        ("a", "", True),
        ("b", "FINISHED", False),
    ]


def test_the_command_that_sends_the_rest_can_be_typed_whatever_the_folder_is_called(tmp_path):
    journal = Journal(tmp_path / "the cache" / "journal" / "r1")
    left = journaled._left(SimpleNamespace(run_id="r1", unsent=2, journal=journal), "away")
    journal.close()
    words = shlex.split(left.partition("later: ")[2])
    assert words == ["emotion-mlflow", "sync", "r1", "--cache-dir", str(tmp_path / "the cache")]


@pytest.mark.parametrize(
    ("here", "kept", "used"),
    [
        ("http://me:secret@host", "http://me@host", "http://me:secret@host"),
        ("postgresql://me:sec/ret@host/db", "postgresql://me@host/db", "postgresql://me:sec/ret@host/db"),
        ("http://me:secret@other", "http://me@host", "http://me@host"),
        ("http://host", "", "http://host"),
    ],
)
def test_the_password_comes_from_the_environment_where_the_place_is_the_same(here, kept, used):
    assert syncing._address(here, kept) == used


class Far:
    """A server whose runs have beaten long ago; what it lists is as old as it says."""

    def __init__(self, listed, now):
        self.listed, self.now, self.marked = listed, now, []

    def run(self, run_id, status, beaten="2020-01-01T00:00:00+00:00"):
        info = SimpleNamespace(run_id=run_id, run_name="", status=status)
        return SimpleNamespace(info=info, data=SimpleNamespace(tags={"heartbeat": beaten}))

    def get_run(self, run_id):
        return self.run(run_id, *self.now[run_id])

    def set_tag(self, run_id, name, value):
        pass

    def set_terminated(self, run_id, status, end_time):
        self.marked.append(run_id)


@pytest.fixture
def far(monkeypatch):
    server = Far(
        ["dead", "ended", "alive"],
        {"dead": ["RUNNING"], "ended": ["FINISHED"], "alive": ["RUNNING", syncing.now()]},
    )
    monkeypatch.setattr(syncing, "connect", lambda uri: "http://host")
    monkeypatch.setattr(syncing.mlflow, "MlflowClient", lambda: server)
    monkeypatch.setattr(syncing, "_running", lambda client: [server.run(name, "RUNNING") for name in server.listed])
    return server


def test_a_run_that_ended_or_came_back_since_it_was_listed_is_not_marked(far):
    assert [one.run_id for one in syncing.reap(tracking_uri=None, older_than=600, dry_run=False)] == ["dead"]
    assert far.marked == ["dead"]


@pytest.mark.parametrize("seconds", [float("inf"), 1e20, 1e12])
def test_an_age_that_no_run_has_marks_none(far, seconds):
    assert syncing.reap(tracking_uri=None, older_than=seconds, dry_run=False) == []
