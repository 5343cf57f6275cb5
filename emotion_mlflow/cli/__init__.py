"""The command line `emotion-mlflow`: the only room that prints, parses and exits.

Commands are imported when they are called, so that `--help` starts at once.
"""

import importlib
import sys
from collections.abc import Sequence
from typing import Any

import click

from emotion_mlflow.errors import EmotionError, Stopped, first_line

COMMANDS = {
    "train": ("emotion_mlflow.cli.train", "Train one network, log everything, register a version."),
    "evaluate": ("emotion_mlflow.cli.evaluate", "Score a registered version on faces."),
    "compare": ("emotion_mlflow.cli.compare", "Compare backbones from the registry, with tests, in a report."),
    "promote": ("emotion_mlflow.cli.promote", "Make a version @champion if it passes every gate."),
    "rollback": ("emotion_mlflow.cli.rollback", "Give @champion back to the version before."),
    "history": ("emotion_mlflow.cli.history", "Show who was champion when; mark moves that passed no gate."),
    "grid": ("emotion_mlflow.cli.grid", "Train backbones x recipes x seeds x any setting, none twice."),
    "demo": ("emotion_mlflow.cli.demo", "Train and evaluate both backbones on drawn faces, in minutes."),
    "data": ("emotion_mlflow.cli.data", "Check a set of faces, or show it as a contact sheet."),
    "stack": ("emotion_mlflow.cli.stack", "Run the shared tracking server of docker/, back it up, restore it."),
    "sync": ("emotion_mlflow.cli.sync", "Send what trainings could not send to the server."),
    "reap": ("emotion_mlflow.cli.reap", "Mark runs whose process is gone as KILLED."),
    "doctor": ("emotion_mlflow.cli.doctor", "Say what this machine can do, and what to type."),
    "cache": ("emotion_mlflow.cli.cache", "Show or empty the caches."),
}


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(COMMANDS[name][0]).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="emotion-mlflow", prog_name="emotion-mlflow")
def group() -> None:
    """Train networks that read affect from faces, with every number in MLflow.

    Start with `emotion-mlflow demo`, or `emotion-mlflow train --help`.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs a command and exits: 0 done, 1 a check that failed, 2 a user's mistake, 130 or 143 stopped."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = group.main(given, prog_name="emotion-mlflow", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        sys.exit(0)
    except click.ClickException as error:
        _fail(" ".join(error.format_message().split()), 2, given)
    except Stopped as error:
        _fail(f"stopped: {error.by}", error.exit_code, given)
    except EmotionError as error:
        _fail(str(error), error.exit_code, given)
    except OSError as error:  # no right, no room, too long a name: of any file, so in no other place
        got, where = error.strerror or first_line(error), error.filename or ""
        told = EmotionError("a place that can be used", got=got, where=where)
        _fail(str(told), told.exit_code, given)
    except (KeyboardInterrupt, click.Abort):
        _fail("stopped", 130, given)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str, code: int, given: Sequence[str]) -> Any:
    """One line on stderr; with `--json` the same in the one object on stdout."""
    click.echo(f"error: {message}" if not message.startswith("stopped") else message, err=True)
    if "--json" in given:
        import json

        click.echo(json.dumps({"error": message}))
    sys.exit(code)
