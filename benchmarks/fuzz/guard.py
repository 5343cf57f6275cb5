"""Watches one reading: its exception, time, memory, and whether it reached for anything outside its folder.

Its limits belong to the process, so it runs in one of its own (`campaign_fuzz`). The one allowed way out of a reader
is an EmotionError of one line; whatever else happens is a fault.
"""

import contextlib
import faulthandler
import os
import resource
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emotion_mlflow.errors import EmotionError

SECONDS = 5.0
"""Of this process's own computing; a busy machine makes no hang."""
WALL_SECONDS = 30
"""A reader that waits (for a pipe, a lock) computes nothing."""
PEAK = 1 << 30
"""Bytes that one reading may add to what is resident: a 50-megapixel picture takes half of it."""
ROOM = 3 << 30
"""Bytes of address space beyond what the warmed-up process has; a greater wish is refused by the kernel."""
LONGEST_MESSAGE = 2000  # characters

_STARTERS = ("os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "pickle.find_class")
_NETWORK = ("socket.connect", "socket.getaddrinfo")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one input."""

    kind: str
    """`read`, `refused`, or of a fault: traceback, hang, memory, escape, execution, warning, message."""
    what: str = ""
    """The refusal's or the fault's words."""

    @property
    def fault(self) -> bool:
        return self.kind not in ("read", "refused")


class HangError(BaseException):
    """Raised inside a reader that takes too long; no `except Exception` may swallow it."""


class Guard:
    """Watches readings whose inputs lie in `folder / "inside"`; `folder / "outside"` is out of bounds."""

    def __init__(self, folder: Path) -> None:
        self.inside, self.outside = folder / "inside", folder / "outside"
        self.canary = self.outside / "executed"
        for place in (self.inside, self.outside):
            place.mkdir(parents=True, exist_ok=True)
        self._touched: list[tuple[str, str]] = []
        self._watching = False
        self._outside = os.path.realpath(self.outside)
        sys.addaudithook(self._hook)

    def limit_memory(self) -> None:
        """Caps the address space a little above what this process has now; call it after a first reading."""
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + ROOM
        resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))

    def attempt(self, read: Callable[[], Any]) -> Outcome:
        """The outcome of one reading."""
        self._touched.clear()
        before = _resident(reset=True)
        with warnings.catch_warnings(record=True) as warned, _timed():
            warnings.simplefilter("always")
            warnings.simplefilter("ignore", ResourceWarning)  # of these Python shows none by itself
            warnings.simplefilter("ignore", DeprecationWarning)
            self._watching = True
            try:
                read()
                outcome = Outcome(kind="read")
            except EmotionError as error:
                outcome = _refused(error)
            except HangError:
                outcome = Outcome(kind="hang", what=f"over {SECONDS:g} s of computing")
            except MemoryError as error:
                outcome = Outcome(kind="memory", what=_told(error))
            except (Exception, SystemExit) as error:  # noqa: BLE001  finding these is what it is for
                outcome = Outcome(kind="traceback", what=_told(error))
            finally:
                self._watching = False
        return self._side_effects() or _excess(before) or _first_warning(warned, outcome)

    def _side_effects(self) -> Outcome | None:
        if self.canary.exists():
            self.canary.unlink()
            return Outcome(kind="execution", what="the input's own code ran")
        for kind, what in self._touched:
            return Outcome(kind=kind, what=what)
        return None

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._watching:
            return
        if event == "open" and isinstance(arguments[0], str | bytes | os.PathLike):
            with contextlib.suppress(ValueError):
                real = os.path.realpath(os.fsdecode(arguments[0]))
                if real.startswith(self._outside):
                    self._touched.append(("escape", f"opened {os.path.relpath(real, self._outside)} outside"))
        elif event in _STARTERS:
            self._touched.append(("execution", f"{event} {arguments!r}"[:300]))
        elif event in _NETWORK:
            self._touched.append(("escape", f"{event} {arguments!r}"[:300]))


@contextlib.contextmanager
def _timed() -> Iterator[None]:
    """HangError after SECONDS of computing or WALL_SECONDS; a reader stuck in C ends the process a little later."""

    def stop(number: int, frame: Any) -> None:
        raise HangError

    signal.signal(signal.SIGPROF, stop)
    signal.signal(signal.SIGALRM, stop)
    faulthandler.dump_traceback_later(2 * WALL_SECONDS, exit=True)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    signal.setitimer(signal.ITIMER_REAL, WALL_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.cancel_dump_traceback_later()


def _refused(error: EmotionError) -> Outcome:
    """A refusal is one short line; one that hides a failed allocation had asked for too much memory."""
    text = str(error)
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, MemoryError):
            return Outcome(kind="memory", what=text[:300])
        cause = cause.__cause__ or cause.__context__
    if "\n" in text or len(text) > LONGEST_MESSAGE or not text.isprintable():
        return Outcome(kind="message", what=repr(text[:300]))
    return Outcome(kind="refused", what=text)


def _told(error: BaseException) -> str:
    place = traceback.extract_tb(error.__traceback__)
    ours = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in place if "emotion_mlflow" in frame.filename]
    last = f"{Path(place[-1].filename).name}:{place[-1].lineno}" if place else ""
    return f"{type(error).__name__}: {str(error)[:200]} (at {' < '.join(reversed(ours[-3:]))}; raised in {last})"


def _excess(before: int) -> Outcome | None:
    grown = _resident() - before
    return Outcome(kind="memory", what=f"{grown >> 20} MiB more") if grown > PEAK else None


def _resident(*, reset: bool = False) -> int:
    """Bytes resident at most since the last `reset`; 0 where the system does not tell."""
    try:
        if reset:
            Path("/proc/self/clear_refs").write_text("5")
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) << 10
    except OSError:
        return 0
    return 0


def _first_warning(warned: list[warnings.WarningMessage], outcome: Outcome) -> Outcome:
    if outcome.fault or not warned:
        return outcome
    first = warned[0]
    return Outcome(kind="warning", what=f"{first.category.__name__}: {str(first.message)[:200]}")
