"""The stack as a whole: up, status, logs, down. Answers are values; `cli` shows them."""

import os
import shlex
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emotion_mlflow.errors import ConfigError, StackError
from emotion_mlflow.service import compose, containers, engine, keys
from emotion_mlflow.service.containers import State
from emotion_mlflow.service.engine import Say

COMPOSE = Path(__file__).parents[2] / "docker" / "compose.yaml"
NAME = "emotion-mlflow"
PATIENCE_SECONDS = 300.0


@dataclass(frozen=True, kw_only=True)
class Place:
    """Which stack is meant, and where what belongs to it lies."""

    name: str = NAME
    file: Path = COMPOSE
    secrets: Path = field(default_factory=lambda: default_secrets(NAME))
    wheels: Path | None = None

    def variables(self) -> dict[str, str]:
        """What compose.yaml's `${...}` are filled with."""
        found = compose.variables(os.environ, self.file)
        return found | {"STACK_USER": found.get("STACK_USER") or keys.owner(), "STACK_SECRETS": str(self.secrets)}

    def description(self) -> compose.Stack:
        """compose.yaml, read. Raises ConfigError, also for a part that the commands reach for and that is not there."""
        found = compose.read(self.file, self.variables())
        _require_parts(found, self.file)
        return found


_VOLUMES = {"database": "database", "server": "scratch"}
_SECRETS = ("admin_password", "store_key")


def _require_parts(description: compose.Stack, file: Path) -> None:
    absent = [f"secret {name}" for name in _SECRETS if name not in description.secrets]
    for name, volume in _VOLUMES.items():
        if volume not in description.service(name).volumes:
            absent.append(f"volume {volume} of the service {name}")
    if not description.service("server").ports:
        absent.append("port of the service server")
    if absent:
        raise ConfigError(f"the {absent[0]}", got="none", where=file)


@dataclass(frozen=True, kw_only=True)
class Ready:
    """A stack that is up."""

    uri: str
    user: str
    password_file: Path
    services: tuple[State, ...]
    seconds: float

    def client_lines(self) -> tuple[str, ...]:
        """What a client types first."""
        return (
            f"export MLFLOW_TRACKING_URI={self.uri}",
            f"export MLFLOW_TRACKING_USERNAME={self.user}",
            f'export MLFLOW_TRACKING_PASSWORD="$(cat {shlex.quote(str(self.password_file))})"',
        )


def default_secrets(name: str) -> Path:
    """The folder of a stack's secrets: the user's data folder, never the source tree."""
    from platformdirs import user_data_path

    return user_data_path("emotion-mlflow") / "stacks" / name / "secrets"


@engine.told()
def up(place: Place, *, say: Say, rebuild: bool = False, patience: float = PATIENCE_SECONDS) -> Ready:
    """Makes what is missing, starts all, waits until every service is healthy.

    Raises ConfigError and StackError; `patience` is in seconds, images aside.
    """
    description = place.description()
    client = engine.connect()
    made = keys.ensure(description.secrets, description.services[0].user)
    if made:
        say(f"made {len(made)} secrets in {place.secrets}")
    images = {
        service.name: engine.ensure_image(client, service, wheels=place.wheels, rebuild=rebuild, say=say)
        for service in description.services
    }
    containers.ensure_places(client, place.name, description)
    started = time.monotonic()
    seen = [
        start(client, place, description, service.name, image=images[service.name], say=say, until=started + patience)
        for service in description.services
    ]
    return _ready(place, description, seen, time.monotonic() - started)


def start(
    client: Any, place: Place, description: compose.Stack, name: str, *, image: str, say: Say, until: float
) -> State:
    """One service, running and healthy."""
    service = description.service(name)
    given = containers.arguments(place.name, service, secrets=description.secrets, image_id=image)
    say(f"starting {name}")
    container = containers.ensure_running(client, place.name, service, given)
    return containers.wait_until_well(container, name, until=until)


def _ready(place: Place, description: compose.Stack, seen: list[State], seconds: float) -> Ready:
    port = description.service("server").ports[0]
    host = "127.0.0.1" if port.address == "0.0.0.0" else port.address  # noqa: S104  compared, not bound
    host = f"[{host}]" if ":" in host else host
    return Ready(
        uri=f"http://{host}:{port.outside}",
        user="admin",
        password_file=description.secrets["admin_password"],
        services=tuple(seen),
        seconds=seconds,
    )


@engine.told()
def status(place: Place) -> list[State]:
    """Each service as it is now."""
    description = place.description()
    client = engine.connect()
    return [
        containers.state_of(containers.find(client, place.name, service.name), service.name)
        for service in description.services
    ]


def logs(place: Place, names: tuple[str, ...], *, tail: int, follow: bool) -> Iterator[str]:
    """Lines, each with its service's name in front; `follow` takes one service only."""
    description = place.description()
    chosen = [description.service(name).name for name in names] or [each.name for each in description.services]
    if follow and len(chosen) != 1:
        raise ConfigError("one service to follow", got=", ".join(chosen), where="--follow")
    with engine.told():
        client = engine.connect()
        for name in chosen:
            container = containers.find(client, place.name, name)
            if container is None:
                if names:
                    raise StackError(f"the service {name} (`stack up`)", got="none", where=place.name)
                continue
            lines = container.logs(tail=tail, stream=True, follow=follow, timestamps=True)
            yield from (f"{name} | {line.decode(errors='replace').rstrip()}" for line in lines)


@engine.told()
def down(place: Place, *, volumes: bool, say: Say) -> list[str]:
    """Stops and removes containers and networks, last started first; with `volumes` the data too. Says what went.

    Raises StackError, before anything is stopped, while a container of others is on a network.
    """
    description = place.description()
    client = engine.connect()
    own = [containers.container_name(place.name, service.name) for service in description.services]
    networks = containers.belonging(client.networks, place.name, description.networks)
    for network in networks:
        containers.refuse_guests(network, own)
    gone = []
    for service in reversed(description.services):
        if container := containers.find(client, place.name, service.name):
            say(f"stopping {service.name}")
            containers.remove(container, service.grace)
            gone.append(container.name)
    kept = containers.belonging(client.volumes, place.name, description.volumes) if volumes else []
    for each in (*networks, *kept):
        each.remove()
        gone.append(each.name)
    return gone
