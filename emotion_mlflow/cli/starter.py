"""Ends a job whose `mlflow run` was killed: MLflow leaves its child alive, unseen, in a run that says RUNNING."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

from emotion_mlflow.tracking.environment import started_by_mlflow_run

EVERY = 1.0
"""Seconds between two looks."""


@contextlib.contextmanager
def ending_with_starter() -> Iterator[None]:
    """Inside, this process stops as by SIGTERM where the `mlflow run` above it ends before it does."""
    process = _mlflow_run() if started_by_mlflow_run() else None
    if process is None:
        yield
        return
    done = threading.Event()

    def watch() -> None:
        while not done.wait(EVERY):
            if not _lives(process):
                os.kill(os.getpid(), signal.SIGTERM)
                return

    threading.Thread(target=watch, name="starter", daemon=True).start()
    try:
        yield
    finally:
        done.set()


def _lives(process: Any) -> bool:
    """A dead process that nobody has asked for is still listed."""
    import psutil

    with contextlib.suppress(psutil.Error):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False


def _mlflow_run() -> Any:
    """The nearest process above this one that is `mlflow run`; None where there is none."""
    import psutil

    with contextlib.suppress(psutil.Error):
        for process in psutil.Process().parents():
            with contextlib.suppress(psutil.Error):
                words = process.cmdline()
                if "run" in words and any(os.path.basename(word) == "mlflow" for word in words[: words.index("run")]):
                    return process
    return None
