"""`emotion-mlflow stack up | status | logs | backup | restore | down`: the shared tracking server of docker/."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from emotion_mlflow.cli.options import json_option
from emotion_mlflow.places import in_full

_PLACE = (
    click.option(
        "--name", default="emotion-mlflow", show_default=True, help="Name of the stack; a machine may have several."
    ),
    click.option("--file", default="", help="The compose.yaml; empty: docker/compose.yaml of this source tree."),
    click.option("--secrets", default="", help="Folder of the passwords; empty: in the user's data folder."),
)


def _placed(command: Callable) -> Callable:
    for option in reversed(_PLACE):
        command = option(command)
    return json_option(command)


@click.group("stack")
def command() -> None:
    """Run the shared tracking server of docker/: MLflow with its registry, PostgreSQL and an object store.

    Needs Docker, and nothing else. Closed by default: docs/SECURITY.md; every variable: docs/STACK.md.
    """


@command.command("up")
@click.option("--build", "rebuild", is_flag=True, help="Build our images again, even if they are here.")
@click.option(
    "--wheels", default="", help="Folder of wheels to build the server's image from; empty: the package index."
)
@click.option("--timeout", default=300.0, show_default=True, help="Seconds to wait until all is healthy.")
@_placed
def up_command(rebuild: bool, wheels: str, timeout: float, as_json: bool, **place: str) -> None:
    """Start what is missing, wait until every service is healthy, and say what a client types.

    A second `up` changes nothing; after a change of compose.yaml or a variable it makes the containers anew, with
    their data.
    """
    from emotion_mlflow.service import stack

    ready = stack.up(_place(wheels=wheels, **place), say=_say, rebuild=rebuild, patience=_patience(timeout))
    if as_json:
        _show(
            {
                "uri": ready.uri,
                "user": ready.user,
                "password_file": str(ready.password_file),
                "client": list(ready.client_lines()),
                "seconds": round(ready.seconds, 1),
                "services": _plain(ready.services),
            }
        )
        return
    click.echo(f"the tracking server is healthy after {ready.seconds:.0f} s: {ready.uri}")
    click.echo(f"sign in as {ready.user}; the password is in {ready.password_file}")
    click.echo("a client types:")
    for line in ready.client_lines():
        click.echo(f"  {line}")


@command.command("status")
@_placed
def status_command(as_json: bool, **place: str) -> int:
    """Show each service; exit code 1 unless all are healthy."""
    from emotion_mlflow.service import stack

    seen = stack.status(_place(**place))
    well = all(each.well for each in seen)
    if as_json:
        _show({"ok": well, "services": _plain(seen)})
    else:
        for each in seen:
            said = f"  {each.said}" if each.said and not each.well else ""
            click.echo(
                f"{each.service:10} {each.state:10} {each.health:10} {each.restarts} restarts  {each.image}{said}"
            )
    return int(not well)


@command.command("logs")
@click.argument("services", nargs=-1)
@click.option("--tail", default=100, show_default=True, help="Last lines of each.")
@click.option("--follow", is_flag=True, help="Go on until Ctrl-C; one service only.")
@_placed
def logs_command(services: tuple[str, ...], tail: int, follow: bool, as_json: bool, **place: str) -> None:
    """Show what the services wrote: database, store, server, or all."""
    from emotion_mlflow.errors import ConfigError
    from emotion_mlflow.service import stack

    if follow and as_json:
        raise ConfigError("--follow or --json, whose one answer would never come", got="both")
    lines = stack.logs(_place(**place), services, tail=tail, follow=follow)
    if as_json:
        _show({"lines": list(lines)})
        return
    for line in lines:
        click.echo(line)


@command.command("backup")
@click.argument("folder", type=click.Path(path_type=Path))
@_placed
def backup_command(folder: Path, as_json: bool, **place: str) -> None:
    """Save databases and artifacts, with digests, into a new FOLDER; runs may go on meanwhile.

    The folder holds password hashes and everything that was logged: it is made for its owner alone.
    """
    from emotion_mlflow.service import backup

    made = backup.save(_place(**place), folder, say=_say)
    if as_json:
        _show(made)
    else:
        click.echo(f"{made['artifacts']} artifacts and {made['rows']} rows, {made['bytes'] / 1e6:,.1f} MB in {folder}")


@command.command("restore")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--timeout", default=300.0, show_default=True, help="Seconds to wait until the server is healthy again.")
@_placed
def restore_command(folder: Path, timeout: float, as_json: bool, **place: str) -> None:
    """Fill an empty stack that is up from a backup, then compare every digest.

    The admin's password is the new stack's own; other users keep theirs.
    """
    from emotion_mlflow.service import backup

    done = backup.restore(_place(**place), folder, say=_say, patience=_patience(timeout))
    if as_json:
        _show(done)
    else:
        click.echo(f"restored and verified: {done['artifacts']} artifacts, {done['rows']} rows")


@command.command("down")
@click.option("--volumes", is_flag=True, help="Delete the data too: every run, version and artifact.")
@click.option("--yes", is_flag=True, help="Do not ask before deleting data.")
@_placed
def down_command(volumes: bool, yes: bool, as_json: bool, **place: str) -> None:
    """Stop and remove the containers; the data stays, unless --volumes."""
    from emotion_mlflow.service import stack

    if volumes and not yes:
        click.confirm(f"delete every run, version and artifact of the stack {place['name']}?", abort=True, err=True)
    gone = stack.down(_place(**place), volumes=volumes, say=_say)
    if as_json:
        _show({"removed": gone})
    else:
        click.echo(f"removed {', '.join(gone)}" if gone else "there was nothing to remove")


def _place(*, name: str, file: str, secrets: str, wheels: str = "") -> Any:
    import re

    from emotion_mlflow.errors import ConfigError
    from emotion_mlflow.service import stack

    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,40}", name):
        raise ConfigError("a name of lower-case letters, digits, - and _", got=name, where="--name")
    return stack.Place(
        name=name,
        file=in_full(file, "--file") if file else stack.COMPOSE,
        secrets=in_full(secrets, "--secrets") if secrets else stack.default_secrets(name),
        wheels=in_full(wheels, "--wheels") if wheels else None,
    )


def _patience(timeout: float) -> float:
    from emotion_mlflow.errors import ConfigError

    if not 0 <= timeout < math.inf:
        raise ConfigError("a finite number from 0 on", got=timeout, where="--timeout")
    return timeout


def _say(line: str) -> None:
    click.echo(line, err=True)


def _plain(states: Any) -> list[dict[str, Any]]:
    from emotion_mlflow.service.containers import plain

    return [plain(state) for state in states]


def _show(answer: dict[str, Any]) -> None:
    click.echo(json.dumps(answer))
