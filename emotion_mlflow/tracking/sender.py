"""The thread that sends a journal, in order, once each, for as long as it takes. Used by journaled runs."""

import contextlib
import datetime
import threading
import time
from typing import Any, Protocol

import tenacity
from mlflow.exceptions import MlflowException

from emotion_mlflow.errors import first_line
from emotion_mlflow.tracking.journal import Entry, Journal, UnsendableError

LONGEST_PAUSE = 5.0
"""Seconds between two attempts at most."""
HEARTBEAT = 30.0
"""Seconds between two signs of life at least."""


class Deliver(Protocol):
    """How an entry reaches the server."""

    def __call__(self, entry: Entry, *, doubtful: bool) -> Any:
        """Sends it; what came back."""

    def beat(self, now: str) -> None:
        """Shows that the run is alive."""


class Sender:
    """Sends what stands in a journal from `start` to `stop`; nothing but a refusal makes it pass an entry over."""

    def __init__(self, journal: Journal, deliver: Deliver, *, heartbeat: float = HEARTBEAT) -> None:
        self.journal, self.deliver, self.heartbeat = journal, deliver, heartbeat
        self.last_error = ""
        """Why the last attempt failed; empty where it did not."""
        self.failures = 0
        """How many attempts failed."""
        self._stopped = threading.Event()
        self._doubtful = journal.inherited
        self._beaten = time.monotonic()
        self._thread = threading.Thread(target=self._work, name="journal", daemon=True)
        self._retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(lambda error: not is_refusal(error)),
            wait=tenacity.wait_random_exponential(multiplier=0.5, max=LONGEST_PAUSE),
            stop=tenacity.stop_when_event_set(self._stopped),
            sleep=tenacity.sleep_using_event(self._stopped),
            before_sleep=self._remember,
            reraise=True,
        )

    def start(self) -> None:
        """Begins to send."""
        self._thread.start()

    def stop(self) -> None:
        """Ends it; a request under way is waited for a moment, and else is in doubt for whoever goes on."""
        self._stopped.set()
        self._thread.join(2)

    def wait(self, seconds: float) -> int:
        """How many entries are unsent: none, or what is left once so many seconds brought nothing but failures."""
        while True:
            unsent, failures = self.journal.unsent, self.failures
            left = self.journal.wait_until_sent(seconds)
            if not left or (left == unsent and self.failures > failures):
                return left

    def _work(self) -> None:
        while not self._stopped.is_set():
            entry = self.journal.first_unsent(0.5)
            if entry is not None:
                self._send(entry)
            self._beat()

    def _send(self, entry: Entry) -> None:
        try:
            result = self._retrying(self._attempt, entry)
        except Exception as error:  # noqa: BLE001  an outage of any kind: the entry stays in the journal
            self.last_error = first_line(error)
            if is_refusal(error):
                self.journal.confirm(entry.number, refused=self.last_error)
            return
        self.last_error = ""
        self.journal.confirm(entry.number, result)

    def _attempt(self, entry: Entry) -> Any:
        doubtful, self._doubtful = entry.number <= self._doubtful, max(entry.number, self._doubtful)
        try:
            return self.deliver(entry, doubtful=doubtful)
        except Exception:
            self.failures += 1
            raise

    def _remember(self, state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        self.last_error = first_line(error) if error else ""

    def _beat(self) -> None:
        if self._stopped.is_set() or time.monotonic() - self._beaten < self.heartbeat:
            return
        self._beaten = time.monotonic()
        with contextlib.suppress(Exception):  # the next one tells as much
            self.deliver.beat(now())


def is_refusal(error: BaseException) -> bool:
    """Will the server never take it? All else - no answer, no right, a run hidden in the trash - may pass."""
    if isinstance(error, UnsendableError):
        return True
    if not isinstance(error, MlflowException) or "must be in the 'active' state" in str(error):
        return False
    return error.error_code == "INVALID_PARAMETER_VALUE"


def now() -> str:
    """ISO time, UTC, whole seconds."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
