"""`emotion-mlflow --help` against `python -c "import click"`: whole processes, in turns."""

import sys
from pathlib import Path

from benchmarks.figures import Figure, Settings, commands_in_turns, ratio


def measure(settings: Settings) -> list[Figure]:
    """One ratio of medians of pairs."""
    script = Path(sys.executable).with_name("emotion-mlflow")
    ours = [str(script), "--help"]
    against = [sys.executable, "-c", "import click"]
    times = commands_in_turns(ours, against, repeats=settings.repeats or 15)
    return [
        ratio(
            "the first answer of the command line",
            *times,
            target=3,
            sides=("`emotion-mlflow --help`", "`import click`"),
        )
    ]
