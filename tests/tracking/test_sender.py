"""Sending a journal: order, once each, doubt after a failure. The other end is a list that can fail."""

import threading
import time

import pytest
from mlflow.exceptions import MlflowException

from emotion_mlflow.tracking.journal import Journal
from emotion_mlflow.tracking.sender import Sender, is_refusal

pytestmark = pytest.mark.slow  # MLflow's import


class Far:
    """The far end: takes what arrives, and fails as often as told."""

    def __init__(self, *, failures=(), after_taking=False):
        self.taken, self.doubts, self.beats = [], [], []
        self.failures, self.after_taking = list(failures), after_taking

    def __call__(self, entry, *, doubtful):
        self.doubts.append((entry.number, doubtful))
        known = doubtful and entry.number in self.taken
        if not known and (self.after_taking or not self.failures):
            self.taken.append(entry.number)
        if self.failures:
            raise self.failures.pop(0)
        return f"answer {entry.number}"

    def beat(self, now):
        self.beats.append(now)


@pytest.fixture
def journal(tmp_path):
    journal = Journal(tmp_path / "run")
    yield journal
    journal.close()


def sent(journal, far, seconds=20.0, **settings):
    sender = Sender(journal, far, **settings)
    sender.start()
    left = journal.wait_until_sent(seconds)
    sender.stop()
    return left, sender


def test_everything_arrives_in_order_once_each(journal):
    for _ in range(50):
        journal.append("batch", {})
    far = Far()
    assert sent(journal, far)[0] == 0
    assert far.taken == list(range(1, 51))
    assert journal.results[50] == "answer 50"
    assert not any(doubtful for _, doubtful in far.doubts)


def test_after_an_outage_the_entry_is_in_doubt_and_the_next_one_is_not(journal):
    journal.append("batch", {})
    journal.append("batch", {})
    far = Far(failures=[ConnectionError("reset"), MlflowException("gone")], after_taking=True)
    assert sent(journal, far)[0] == 0
    assert far.doubts == [(1, False), (1, True), (1, True), (2, False)]
    assert far.taken == [1, 2]


def test_all_that_an_earlier_process_left_is_in_doubt(journal):
    journal.append("batch", {})
    journal.append("batch", {})
    journal.close()
    again, far = Journal(journal.folder), Far()
    again.append("end", {})
    assert sent(again, far)[0] == 0
    assert far.doubts == [(1, True), (2, True), (3, False)]
    again.close()


def test_a_refusal_is_passed_over_and_remembered(journal):
    journal.append("register", {})
    journal.append("end", {})
    far = Far(failures=[MlflowException("no such name", error_code=1000)])
    assert is_refusal(far.failures[0])
    assert sent(journal, far)[0] == 0
    assert journal.refused == {1: "no such name"}
    assert far.taken == [2]


@pytest.mark.parametrize(
    "error",
    [
        ConnectionError("reset"),
        MlflowException("no answer"),
        MlflowException("The run 1 must be in the 'active' state", error_code=1000),
        MlflowException("no right", error_code=6),
    ],
    ids=["connection", "server error", "run in the trash", "no right"],
)
def test_what_may_pass_is_no_refusal(error):
    assert not is_refusal(error)


def test_what_is_left_stays_in_the_journal_with_its_reason(journal):
    journal.append("batch", {})
    left, sender = sent(journal, Far(failures=[ConnectionError("reset by peer")] * 1000), seconds=0.5)
    assert (left, sender.last_error) == (1, "reset by peer")


def test_appending_never_waits_for_a_far_end_that_hangs(journal):
    free = threading.Event()

    class Hanging(Far):
        def __call__(self, entry, *, doubtful):
            free.wait(20)
            return super().__call__(entry, doubtful=doubtful)

    sender = Sender(journal, Hanging())
    sender.start()
    started = time.perf_counter()
    for _ in range(20):
        journal.append("batch", {})
    assert time.perf_counter() - started < 5
    free.set()
    assert journal.wait_until_sent(20) == 0
    sender.stop()


def test_a_sign_of_life_is_given_when_it_is_due_and_its_failure_harms_nothing(journal):
    class Deaf(Far):
        def beat(self, now):
            super().beat(now)
            raise ConnectionError("reset")

    far = Deaf()
    sender = Sender(journal, far, heartbeat=0.1)
    sender.start()
    until = time.monotonic() + 20
    while len(far.beats) < 2 and time.monotonic() < until:
        time.sleep(0.05)
    journal.append("batch", {})
    assert journal.wait_until_sent(20) == 0
    sender.stop()
    assert len(far.beats) >= 2
    assert all(beat.endswith("+00:00") for beat in far.beats)


class Slow(Far):
    """Takes its time."""

    def __call__(self, entry, *, doubtful):
        time.sleep(0.5)
        return super().__call__(entry, doubtful=doubtful)


def test_waiting_goes_on_while_something_is_under_way(journal):
    for _ in range(3):
        journal.append("batch", {})
    sender = Sender(journal, Slow())
    sender.start()
    assert sender.wait(0.1) == 0
    sender.stop()


def test_waiting_ends_where_nothing_but_failures_happens(journal):
    for _ in range(3):
        journal.append("batch", {})
    sender = Sender(journal, Far(failures=[ConnectionError("refused")] * 1000))
    sender.start()
    started = time.perf_counter()
    assert sender.wait(1.0) == 3
    assert time.perf_counter() - started < 5
    sender.stop()
