"""The journal on disk: order, checksums, crashes, full disks. No server, no TensorFlow."""

import hashlib
import json
import multiprocessing
import os
import subprocess
import sys
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emotion_mlflow.errors import Stopped, TrackingError
from emotion_mlflow.tracking import journal as journal_room
from emotion_mlflow.tracking.journal import Journal, JournalBusyError


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "journal" / "run"


@pytest.fixture(autouse=True)
def opened():
    """Every journal of a test; closed after it."""
    journals = []
    yield journals
    for journal in journals:
        journal.close()


@pytest.fixture
def opening(opened):
    """Opens a journal."""

    def open_one(folder):
        opened.append(Journal(folder))
        return opened[-1]

    return open_one


@pytest.fixture
def reopened(opening):
    """The same journal as a later process sees it."""

    def reopen(journal):
        journal.close()
        return opening(journal.folder)

    return reopen


def kinds(journal):
    return [(entry.number, entry.kind, dict(entry.payload)) for entry in journal.entries]


def test_what_is_appended_is_there_for_the_next_process_in_order(folder, reopened, opening):
    journal = opening(folder)
    journal.append("batch", {"metrics": [["val/loss", 0.1 + 0.2, 5, 1]]})
    journal.append("end", {"status": "FINISHED"})
    again = reopened(journal)
    assert kinds(again) == [
        (1, "batch", {"metrics": [["val/loss", 0.30000000000000004, 5, 1]]}),
        (2, "end", {"status": "FINISHED"}),
    ]
    assert (again.unsent, again.damaged, again.torn) == (2, 0, False)


def test_a_line_is_a_checksum_and_json(folder, opening):
    opening(folder).append("batch", {"tags": {"colour": "red"}})
    checksum, _, text = (folder / "entries").read_text().rstrip("\n").partition(" ")
    assert checksum == hashlib.sha256(text.encode()).hexdigest()[:16]
    assert json.loads(text) == {"n": 1, "kind": "batch", "payload": {"tags": {"colour": "red"}}}


def test_what_was_confirmed_is_not_sent_again_and_its_answer_is_kept(folder, reopened, opening):
    journal = opening(folder)
    numbers = [journal.append("register", {"name": name}) for name in "ab"]
    journal.confirm(journal.first_unsent(0).number, "7")
    again = reopened(journal)
    assert numbers == [1, 2]
    assert again.results == {1: "7"}
    assert (again.unsent, again.first_unsent(0).number, again.inherited) == (1, 2, 2)


def test_numbers_go_on_after_a_crash(folder, reopened, opening):
    journal = opening(folder)
    journal.append("batch", {})
    again = reopened(journal)
    assert again.append("batch", {}) == 2


def test_what_the_server_refused_is_remembered(folder, reopened, opening):
    journal = opening(folder)
    journal.append("register", {"name": "a/b"})
    journal.confirm(1, refused="no such name")
    assert reopened(journal).refused == {1: "no such name"}
    assert journal.unsent == 0


@pytest.mark.parametrize("kept", [1, 20, -1])
def test_a_line_that_a_crash_left_half_written_is_cut_off_and_told(folder, kept, reopened, opening):
    journal = opening(folder)
    journal.append("batch", {"tags": {"colour": "red"}})
    whole = (folder / "entries").read_bytes()
    journal.append("batch", {"tags": {"colour": "blue"}})
    second = (folder / "entries").read_bytes()[len(whole) :]
    (folder / "entries").write_bytes(whole + second[:kept])
    again = reopened(journal)
    assert [entry.payload["tags"]["colour"] for entry in again.entries] == ["red"]
    assert (again.damaged, again.torn) == (0, True)
    assert (folder / "entries").read_bytes() == whole
    assert again.append("batch", {"tags": {"colour": "green"}}) == 2
    assert [entry.payload["tags"]["colour"] for entry in reopened(again).entries] == ["red", "green"]


def test_a_flipped_byte_costs_its_own_line_only(folder, reopened, opening):
    journal = opening(folder)
    for colour in ("red", "blue", "green"):
        journal.append("batch", {"tags": {"colour": colour}})
    content = (folder / "entries").read_bytes()
    (folder / "entries").write_bytes(content.replace(b"blue", b"blux"))
    again = reopened(journal)
    assert [entry.payload["tags"]["colour"] for entry in again.entries] == ["red", "green"]
    assert (again.damaged, again.torn) == (1, False)
    assert (folder / "entries").read_bytes().count(b"\n") == 3


def test_the_number_of_a_damaged_line_is_not_used_again(folder, reopened, opening):
    journal = opening(folder)
    journal.append("batch", {"tags": {"colour": "red"}})
    journal.append("batch", {"tags": {"colour": "blue"}})
    journal.confirm(1)
    journal.confirm(2)
    (folder / "entries").write_bytes((folder / "entries").read_bytes().replace(b"blue", b"blux"))
    again = reopened(journal)
    assert again.append("batch", {"tags": {"colour": "green"}}) == 3
    assert again.unsent == 1


@pytest.mark.parametrize(
    ("room", "name", "done"),
    [(os, "fsync", False), (os, "fsync", True), (journal_room, "_append", True)],
    ids=["before the flush", "after it", "just after the line is on the disk"],
)
def test_a_stop_inside_an_append_neither_loses_the_next_write_nor_uses_a_number_twice(
    folder, room, name, done, reopened, opening, monkeypatch
):
    journal = opening(folder)
    journal.append("batch", {"tags": {"colour": "red"}})
    plain = getattr(room, name)

    def stopped(*given):
        if done:
            plain(*given)
        raise Stopped("SIGTERM")

    with monkeypatch.context() as patched:
        patched.setattr(room, name, stopped)
        with pytest.raises(Stopped):
            journal.append("batch", {"tags": {"colour": "blue"}}, {"curve.png": b"x"})
    journal.append("end", {"status": "KILLED"})
    again = reopened(journal)
    assert kinds(again) == [(1, "batch", {"tags": {"colour": "red"}}), (2, "end", {"status": "KILLED"})]
    assert (again.unsent, again.damaged, again.torn) == (2, 0, False)
    assert list((folder / "files").glob("*")) == []


def test_only_what_belongs_to_a_journal_is_removed_with_it(folder, opening):
    journal = opening(folder)
    journal.append("files", {}, {"history.csv": b"epoch"})
    (folder / "epoch-0001.npz").write_bytes(b"another's")
    journal.remove()
    assert [file.name for file in folder.iterdir()] == ["epoch-0001.npz"]


def test_two_journals_of_one_run_are_set_aside_beside_each_other(folder, opening):
    for kind in ("first", "second"):
        journal = opening(folder)
        journal.append(kind, {})
        journal.set_aside()
    kept = {place.name: (place / "entries").read_text() for place in folder.parent.iterdir()}
    assert set(kept) == {f"{folder.name}.damaged", f"{folder.name}.2.damaged"}
    assert "first" in kept[f"{folder.name}.damaged"]


def test_all_that_an_earlier_process_left_is_in_doubt(folder, reopened, opening):
    journal = opening(folder)
    for _ in range(3):
        journal.append("batch", {})
    journal.confirm(1)
    assert reopened(journal).inherited == 3


def test_a_damaged_mark_leaves_its_entry_to_be_sent(folder, reopened, opening):
    journal = opening(folder)
    journal.append("batch", {})
    journal.confirm(1)
    (folder / "sent").write_bytes((folder / "sent").read_bytes()[:-4])
    again = reopened(journal)
    assert (again.unsent, again.inherited, again.damaged) == (1, 1, 0)


@settings(max_examples=300, deadline=None)
@given(content=st.binary(max_size=200), appended=st.booleans())
def test_any_bytes_are_read_without_a_traceback(tmp_path_factory, content, appended):
    folder = tmp_path_factory.mktemp("any")
    journal = Journal(folder)
    journal.append("batch", {"tags": {}})
    journal.close()
    before = (folder / "entries").read_bytes() if appended else b""
    (folder / "entries").write_bytes(before + content)
    (folder / "sent").write_bytes(content)
    again = Journal(folder)
    assert [entry.number for entry in again.entries] == ([1] if appended else [])
    again.remove()


def test_files_are_copied_with_their_size_and_digest(folder, tmp_path, reopened, opening):
    (tmp_path / "history.csv").write_bytes(b"epoch\n1\n")
    journal = opening(folder)
    files = {"history.csv": tmp_path / "history.csv", "figures/a.txt": b"text"}
    journal.append("files", {}, files)
    (tmp_path / "history.csv").unlink()
    kept = {file.path: file for file in reopened(journal).files_of(journal.entries[0])}
    assert kept["history.csv"].local.read_bytes() == b"epoch\n1\n"
    assert (kept["figures/a.txt"].size, kept["figures/a.txt"].sha256) == (4, hashlib.sha256(b"text").hexdigest())
    assert all(file.whole() for file in kept.values())
    kept["figures/a.txt"].local.write_bytes(b"tex!")
    assert not kept["figures/a.txt"].whole()


def test_one_process_at_a_time_has_a_journal(folder, reopened, opening):
    journal = opening(folder)
    code = "import sys; from pathlib import Path; from emotion_mlflow.tracking.journal import Journal; "
    code += "Journal(Path(sys.argv[1]))"
    done = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, check=False)
    assert "JournalBusyError: expected a run that no process is at work on" in done.stderr
    with pytest.raises(JournalBusyError):
        Journal(folder)
    reopened(journal).close()


def _append_until_killed(folder, told):
    journal = Journal(folder)
    while True:
        told.send(journal.append("batch", {"tags": {"text": "x" * 5000}}))


def test_every_append_that_returned_survives_sigkill(folder, opening):
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_append_until_killed, args=(folder, there))
    process.start()
    last = [here.recv() for _ in range(40)][-1]
    process.kill()
    process.join()
    while here.poll():
        last = here.recv()
    journal = opening(folder)
    numbers = [entry.number for entry in journal.entries]
    assert numbers == list(range(1, len(numbers) + 1))
    assert numbers[-1] >= last
    journal.remove()
    assert not folder.exists()


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 128 kB."""
    place = tmp_path / "disk"
    place.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small file system")
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", place], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def fill(journal):
    while True:
        journal.append("batch", {"tags": {"text": "x" * 5000}})


def test_a_full_disk_is_told_in_one_line_and_nothing_is_half_written(small_disk, reopened, opening):
    journal = opening(small_disk / "run")
    with pytest.raises(TrackingError, match="expected room for what the tracking server has not confirmed; got No s"):
        fill(journal)
    whole = len(journal.entries)
    with pytest.raises(TrackingError, match="No space"):
        journal.append("files", {}, {"network.keras": b"x" * 1_000_000})
    assert whole >= 5
    assert list((small_disk / "run" / "files").glob("*")) == []
    again = reopened(journal)
    assert (len(again.entries), again.damaged) == (whole, 0)
    while again.unsent:  # marks need room too: what cannot be marked is asked of the server later
        again.confirm(again.first_unsent(0).number)
    again.close()


def test_a_journal_that_cannot_be_read_is_told_and_let_go(folder, opening, monkeypatch):
    opening(folder).close()
    with monkeypatch.context() as patched:
        patched.setattr(journal_room, "_read", mock.Mock(side_effect=PermissionError(13, "no")))
        with pytest.raises(TrackingError, match="got Permission denied in "):
            Journal(folder)
    opening(folder)
