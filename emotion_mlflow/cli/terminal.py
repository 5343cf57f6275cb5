"""What commands share at the terminal: quiet libraries, stop signals, `--json`, progress."""

import contextlib
import json
import os
import shlex
import shutil
import signal
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import click

from emotion_mlflow.cache import default_cache_dir
from emotion_mlflow.cli.progress import PlainReporter, reporter
from emotion_mlflow.cli.starter import ending_with_starter
from emotion_mlflow.errors import ConfigError, Stopped, without_password
from emotion_mlflow.places import expanded


def command_line() -> str:
    """What was typed, for the run's params; passwords of addresses are left out."""
    return without_password(shlex.join(["emotion-mlflow", *sys.argv[1:]]))


def where_to_look(tracking_uri: str) -> str:
    """What opens MLflow's UI on a store."""
    uri = without_password(tracking_uri)
    if uri.startswith("http"):
        return f"open the UI: {uri}"
    mlflow = "mlflow" if shutil.which("mlflow") else shlex.quote(str(Path(sys.executable).with_name("mlflow")))
    return f"open the UI: {mlflow} ui --backend-store-uri {uri}"


def cache_folder(cache_dir: str) -> Path:
    """The folder of `--cache-dir`, made and written to; empty: the user's. ConfigError where it cannot be."""
    folder = expanded(cache_dir, "--cache-dir") if cache_dir else default_cache_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        got = error.strerror or error
        raise ConfigError("a folder that can be written to", got=got, where=f"--cache-dir {folder}") from None


@contextlib.contextmanager
def working(*, tensorflow: bool = True) -> Iterator[PlainReporter]:
    """A reporter for a job; inside, stdout is stderr (libraries print where only the answer may go).

    SIGTERM stops as Ctrl-C does, and so does the end of the `mlflow run` that started us. TensorFlow, where the job
    needs it, is imported quietly.
    """
    held = signal.signal(signal.SIGTERM, _stop)
    try:
        with contextlib.redirect_stdout(sys.stderr), ending_with_starter():
            if tensorflow:
                quiet_tensorflow()
            with contextlib.closing(reporter()) as watcher:
                yield watcher
    finally:
        signal.signal(signal.SIGTERM, held)


def quiet_tensorflow() -> None:
    """Imports TensorFlow without its C++ side's lines; what goes wrong there comes as a Python error too."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _silent_stderr():
        import tensorflow as tf

        tf.config.list_physical_devices()
    tf.get_logger().setLevel("ERROR")
    warnings.filterwarnings("ignore", message="__array__ implementation doesn't accept a copy keyword")


def show(answer: Mapping[str, Any]) -> None:
    """The one JSON object on stdout, NaN as null."""
    from emotion_mlflow.tracking.registry import jsonable

    click.echo(json.dumps(jsonable(answer), allow_nan=False))


@contextlib.contextmanager
def _silent_stderr() -> Iterator[None]:
    """The C++ side writes to the file descriptor before it can be told not to."""
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _stop(number: int, frame: FrameType | None) -> None:
    raise Stopped(signal.Signals(number).name, exit_code=128 + number)
