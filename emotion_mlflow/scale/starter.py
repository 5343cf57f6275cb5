"""How a cell is started: a small protocol, and the one that trains on this machine. Used by `grid` only.

Each training is a process of its own, so that what goes wrong in one - memory, a crash - leaves the others alone.
"""

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from emotion_mlflow.config import AUTO
from emotion_mlflow.errors import ConfigError
from emotion_mlflow.jobs.request import OWN_FLAGS, TrainRequest
from emotion_mlflow.scale.cells import SEED, Cell

STATUSES = ("finished", "skipped", "failed")

PATIENCE = 60
"""Seconds that a stopped training may take to end its run."""


@dataclass(frozen=True, kw_only=True)
class CellOutcome:
    """What became of a cell."""

    cell: Cell
    status: Literal["finished", "skipped", "failed"]
    run_id: str | None = None
    model_version: str | None = None
    seconds: float = 0.0
    """That this grid spent on it."""
    error: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Its part of what `--json` prints."""
        return {
            "backbone": self.cell.request.backbone,
            "recipe": self.cell.recipe,
            "rng_seed": self.cell.rng_seed,
            "settings": dict(self.cell.settings),
            "status": self.status,
            "run_id": self.run_id,
            "model_version": self.model_version,
            "seconds": self.seconds,
            "error": self.error,
        }


class Starter(Protocol):
    """Where cells are trained: here, or on other machines."""

    def start(self, cell: Cell, *, parent_run: str, resume: str, tell: Callable[[str], None]) -> CellOutcome:
        """Trains a cell as a run below `parent_run`, to its end; `resume`: the unfinished run it goes on in, or "".

        `tell` hears each line of the training's progress. What goes wrong in the cell is an outcome; only Stopped and
        KeyboardInterrupt leave, after the training has ended.
        """


@dataclass(frozen=True, kw_only=True)
class LocalStarter:
    """`emotion-mlflow train` in a process on this machine."""

    environment: Mapping[str, str]

    def start(self, cell: Cell, *, parent_run: str, resume: str, tell: Callable[[str], None]) -> CellOutcome:
        """See Starter."""
        begun = time.perf_counter()
        arguments = train_arguments(cell.request, parent_run=parent_run, resume=resume)
        try:
            with _alone(cell) as held:
                code, answer, last = self._run(arguments, held, tell)
        except BlockingIOError:
            return CellOutcome(cell=cell, status="failed", error="another process is training this cell")
        seconds = time.perf_counter() - begun
        if code == 0 and "run_id" in answer:
            return CellOutcome(
                cell=cell,
                status="finished",
                run_id=answer["run_id"],
                model_version=answer["model_version"],
                seconds=seconds,
            )
        error = answer.get("error") or f"ended with {_ending(code)}{': ' if last else ''}{last}"
        return CellOutcome(cell=cell, status="failed", run_id=resume or None, seconds=seconds, error=error)

    def _run(self, arguments: list[str], held: int, tell: Callable[[str], None]) -> tuple[int, dict[str, Any], str]:
        """Exit code, the JSON answer or {}, and the last line of stderr."""
        with tempfile.TemporaryFile("w+") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "emotion_mlflow", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                env=dict(self.environment),
                start_new_session=True,  # Ctrl-C reaches it through us, once
                pass_fds=(held,),
            )
            last = ""
            with _ended(process):
                for line in process.stderr or ():
                    if line.strip():
                        last = line.strip()
                        tell(line.rstrip())
                code = process.wait()
            out.seek(0)
            return code, _answer(out.read()), last


def train_arguments(request: TrainRequest, *, parent_run: str, resume: str = "") -> list[str]:
    """The words after `emotion-mlflow` that ask for this training; of a resumed one, seed and caches only."""
    flags: dict[str, object] = {
        "--rng-seed": request.overrides.get(SEED, 0),  # its default says 0, against which a resumed run's own is held
        "--cache-dir": request.cache_dir,
        "--cache-limit": request.cache_limit,
        "--parent-run": parent_run,
    }
    if resume:
        return ["train", *_words({**flags, "--resume": resume}), "--json"]
    flags |= {
        "--backbone": request.backbone,
        "--recipe": request.recipe,
        "--weights": request.weights,
        "--tasks": request.tasks or AUTO,
        "--data": request.data.data,
        "--data-format": request.data.data_format,
        "--split-seed": request.data.split_seed,
        "--limit": request.data.limit,
        "--max-rejected": request.data.max_rejected,
        "--drop-leaks": str(request.data.drop_leaks).lower(),
        "--experiment": request.experiment,
        "--model-name": request.model_name,
        "--no-register": str(not request.register).lower(),
        "--show-faces": request.show_faces,
    }
    for name, value in request.overrides.items():
        flags[OWN_FLAGS.get(name, f"--set={name}")] = value
    if "=" in (weights := str(flags["--weights"])):  # else the file's name would be read as BACKBONE=FILE
        flags["--weights"] = f"{request.backbone}={weights}"
    return ["train", *_words(flags), "--json"]


def _words(flags: Mapping[str, object]) -> list[str]:
    return [f"{flag}={','.join(map(str, v)) if isinstance(v, (tuple, list)) else v}" for flag, v in flags.items()]


@contextlib.contextmanager
def _alone(cell: Cell) -> Iterator[int]:
    """Holds the cell's lock, a file descriptor; BlockingIOError where another process does.

    The training inherits it, so that one which outlives a killed grid still holds its cell.
    """
    folder = cell.request.cache_dir / "checkpoints"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held = os.open(folder / f"{cell.digest}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ConfigError("a folder that can be written to", got=error, where="--cache-dir") from None
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield held
    finally:
        os.close(held)


@contextlib.contextmanager
def _ended(process: subprocess.Popen[str]) -> Iterator[None]:
    """Inside, whatever happens, the process does not outlive us: it is asked to stop, then made to."""
    try:
        yield
    finally:
        try:
            if process.poll() is None:
                process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.communicate(timeout=PATIENCE)
        finally:  # a second Ctrl-C waits no longer
            process.kill()
            process.wait()
            if process.stderr:
                process.stderr.close()


def _answer(text: str) -> dict[str, Any]:
    try:
        answer = json.loads(text)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _ending(code: int) -> str:
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name


def has_checkpoints(cache_dir: Path, run_id: str) -> bool:
    """Whether an unfinished run can go on from an epoch on this machine."""
    return any((cache_dir / "checkpoints" / run_id).glob("epoch-*.npz"))
