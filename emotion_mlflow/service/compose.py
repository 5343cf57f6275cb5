"""docker/compose.yaml as plain values: its variables filled in, its keys checked. Knows no engine."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from emotion_mlflow.errors import ConfigError, first_line

_IMAGE_KEYS = ("image", "build", "command", "entrypoint", "environment", "user", "init", "restart", "stop_grace_period")
_FENCE_KEYS = ("read_only", "cap_drop", "security_opt", "shm_size", "mem_limit", "cpus", "pids_limit", "logging")
_PLACE_KEYS = ("secrets", "volumes", "tmpfs", "networks", "ports", "healthcheck", "depends_on")
SERVICE_KEYS = frozenset((*_IMAGE_KEYS, *_FENCE_KEYS, *_PLACE_KEYS))
TOP_KEYS = frozenset(("services", "networks", "volumes", "secrets"))
_VARIABLE = re.compile(r"\$(?:(?P<dollar>\$)|\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}|(?P<odd>))")
_DURATION = re.compile(r"(\d+)(ms|s|m|h)")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}
_SIZE = re.compile(r"(\d+)([kmg]?)b?", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Build:
    """How an image of our own is made."""

    context: Path
    arguments: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Health:
    """A health check; times in seconds."""

    test: tuple[str, ...]
    interval: float
    timeout: float
    retries: int
    start_period: float


@dataclass(frozen=True, kw_only=True)
class Port:
    """A port of the host that leads into the container."""

    address: str
    outside: int
    inside: int


@dataclass(frozen=True, kw_only=True)
class Service:
    """One container; sizes in bytes, times in seconds."""

    name: str
    image: str
    build: Build | None
    user: str
    read_only: bool
    init: bool
    restart: str
    cap_drop: tuple[str, ...]
    security_opt: tuple[str, ...]
    logging: Mapping[str, Any]
    environment: Mapping[str, str]
    command: tuple[str, ...]
    entrypoint: tuple[str, ...]
    secrets: tuple[str, ...]
    volumes: Mapping[str, str]
    """Name of the volume to its place inside."""
    tmpfs: Mapping[str, str]
    networks: tuple[str, ...]
    ports: tuple[Port, ...]
    health: Health
    depends_on: tuple[str, ...]
    shm_size: int
    memory: int
    cpus: float
    processes: int
    grace: float


@dataclass(frozen=True, kw_only=True)
class Stack:
    """The whole description."""

    services: tuple[Service, ...]
    """In the order they start: none before one that it depends on."""
    networks: Mapping[str, bool]
    """Name to: is it cut off from the outside?"""
    volumes: tuple[str, ...]
    secrets: Mapping[str, Path]

    def service(self, name: str) -> Service:
        """Raises ConfigError, naming the right ones, if there is none of that name."""
        for service in self.services:
            if service.name == name:
                return service
        raise ConfigError(f"one of {', '.join(service.name for service in self.services)}", got=name)


def read(file: Path, variables: Mapping[str, str]) -> Stack:
    """The description in `file`, with `${NAME}` and `${NAME:-default}` filled in.

    Raises ConfigError for a file that is absent or no YAML, and for every key that this reader does not carry out: what
    docker-compose would do and we would not must not be dropped silently.
    """
    try:
        raw = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError("the stack's compose.yaml", got=error.strerror, where=file) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError("YAML", got=first_line(error), where=file) from error
    if not isinstance(raw, dict) or not isinstance(raw.get("services"), dict):
        raise ConfigError("a mapping with services", got=type(raw).__name__, where=file)
    plain = {key: value for key, value in raw.items() if not str(key).startswith("x-")}
    _no_others(plain, TOP_KEYS, str(file))
    filled = _filled(plain, variables, str(file))
    services = [_service(name, keys, file.parent) for name, keys in filled["services"].items()]
    stack = Stack(
        services=tuple(_in_order(services)),
        networks={name: bool((keys or {}).get("internal")) for name, keys in (filled.get("networks") or {}).items()},
        volumes=tuple(filled.get("volumes") or ()),
        secrets={name: _secret(name, keys, file) for name, keys in (filled.get("secrets") or {}).items()},
    )
    _known(stack, file)
    return stack


def variables(environment: Mapping[str, str], file: Path) -> dict[str, str]:
    """The environment, over the lines NAME=VALUE of `.env` beside the compose file, which docker-compose reads too."""
    beside = file.parent / ".env"
    lines = beside.read_text(encoding="utf-8").splitlines() if beside.is_file() else []
    pairs = (line.partition("=") for line in lines if "=" in line and not line.lstrip().startswith("#"))
    return {name.strip(): value.strip().strip("'\"") for name, _, value in pairs} | dict(environment)


def seconds(text: str) -> float:
    """`1m30s` is 90. Raises ConfigError for what is no duration."""
    parts = _DURATION.findall(str(text))
    if "".join(f"{number}{unit}" for number, unit in parts) != str(text) or not parts:
        raise ConfigError("a duration such as 30s or 1m30s", got=repr(text))
    return sum(int(number) * _SECONDS[unit] for number, unit in parts)


def size(text: str) -> int:
    """`256m` is 268435456. Raises ConfigError for what is no size."""
    match = _SIZE.fullmatch(str(text))
    if not match:
        raise ConfigError("a size such as 512m or 2g", got=repr(text))
    return int(match[1]) << {"": 0, "k": 10, "m": 20, "g": 30}[match[2].lower()]


def substitute(text: str, variables: Mapping[str, str], where: str) -> str:
    """The text with its variables filled in; an empty one takes the default, as in docker-compose."""

    def value(match: re.Match[str]) -> str:
        if match["dollar"]:
            return "$"
        if match["name"] is None:
            raise ConfigError("${NAME}, ${NAME:-default} or $$", got=repr(text), where=where)
        given = variables.get(match["name"], "")
        if not given and match["default"] is None:
            raise ConfigError(f"the variable {match['name']} to be set", got="nothing", where=where)
        return given or match["default"]

    return _VARIABLE.sub(value, text)


def _filled(value: Any, variables: Mapping[str, str], where: str) -> Any:
    if isinstance(value, str):
        return substitute(value, variables, where)
    if isinstance(value, list):
        return [_filled(each, variables, where) for each in value]
    if isinstance(value, dict):
        return {key: _filled(each, variables, f"{where}: {key}") for key, each in value.items()}
    return value


def _service(name: str, keys: Mapping[str, Any], folder: Path) -> Service:
    where = f"service {name}"
    _no_others(keys, SERVICE_KEYS, where)
    for wanted in ("image", "healthcheck", "networks", "user"):
        if wanted not in keys:
            raise ConfigError(f"the key {wanted}", got="none", where=where)
    if not re.fullmatch(r"\d+:\d+", str(keys["user"])):
        raise ConfigError("a user and a group by number, as 1000:1000", got=keys["user"], where=where)
    return Service(
        name=name,
        image=keys["image"],
        build=_build(keys["build"], folder, where) if "build" in keys else None,
        user=str(keys["user"]),
        read_only=bool(keys.get("read_only")),
        init=bool(keys.get("init")),
        restart=keys.get("restart", "no"),
        cap_drop=tuple(keys.get("cap_drop", ())),
        security_opt=tuple(keys.get("security_opt", ())),
        logging=keys.get("logging", {}),
        environment={key: str(value) for key, value in keys.get("environment", {}).items()},
        command=_words(keys.get("command", []), where),
        entrypoint=_words(keys.get("entrypoint", []), where),
        secrets=tuple(keys.get("secrets", ())),
        volumes=dict(_pair(text, where) for text in keys.get("volumes", ())),
        tmpfs={place: options for place, _, options in (text.partition(":") for text in keys.get("tmpfs", ()))},
        networks=tuple(keys["networks"]),
        ports=tuple(_port(text, where) for text in keys.get("ports", ())),
        health=_health(keys["healthcheck"], where),
        depends_on=_dependencies(keys.get("depends_on", {}), where),
        shm_size=size(keys.get("shm_size", "64m")),
        memory=size(keys.get("mem_limit", "0")),
        cpus=float(keys.get("cpus", 0)),
        processes=int(keys.get("pids_limit", 0)),
        grace=seconds(keys.get("stop_grace_period", "10s")),
    )


def _build(keys: Mapping[str, Any], folder: Path, where: str) -> Build:
    _no_others(keys, frozenset(("context", "args")), f"{where}: build")
    return Build(context=(folder / keys["context"]).resolve(), arguments=dict(keys.get("args", {})))


def _health(keys: Mapping[str, Any], where: str) -> Health:
    _no_others(keys, frozenset(("test", "interval", "timeout", "retries", "start_period")), f"{where}: healthcheck")
    return Health(
        test=_words(keys["test"], where),
        interval=seconds(keys["interval"]),
        timeout=seconds(keys["timeout"]),
        retries=int(keys["retries"]),
        start_period=seconds(keys.get("start_period", "0s")),
    )


def _words(value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ConfigError("a list of words", got=repr(value), where=where)
    return tuple(map(str, value))


def _pair(text: Any, where: str) -> tuple[str, str]:
    parts = str(text).split(":")
    if len(parts) != 2 or not re.fullmatch(r"[a-z][a-z0-9_-]*", parts[0]) or not parts[1].startswith("/"):
        raise ConfigError("a named volume, as database:/place", got=repr(text), where=where)
    return parts[0], parts[1]


def _port(text: Any, where: str) -> Port:
    match = re.fullmatch(r"(.+):(\d+):(\d+)", str(text))
    if not match:
        raise ConfigError("a port with its address, as 127.0.0.1:5000:5000", got=repr(text), where=where)
    address, outside, inside = match.groups()
    if not 0 < int(outside) < 65536:
        raise ConfigError("a port from 1 to 65535", got=outside, where=where)
    return Port(address=address, outside=int(outside), inside=int(inside))


def _dependencies(keys: Any, where: str) -> tuple[str, ...]:
    if not isinstance(keys, dict) or any(value != {"condition": "service_healthy"} for value in keys.values()):
        raise ConfigError("depends_on with condition: service_healthy", got=repr(keys), where=where)
    return tuple(keys)


def _secret(name: str, keys: Any, file: Path) -> Path:
    if not isinstance(keys, dict) or set(keys) != {"file"}:
        raise ConfigError("a secret with a file", got=repr(keys), where=f"secret {name}")
    return (file.parent / keys["file"]).resolve()


def _in_order(services: list[Service]) -> list[Service]:
    ordered: list[Service] = []
    waiting = list(services)
    while waiting:
        placed = {service.name for service in ordered}
        ready = [service for service in waiting if set(service.depends_on) <= placed]
        if not ready:
            names = ", ".join(service.name for service in waiting)
            raise ConfigError("dependencies that end", got=f"a circle or an unknown name among {names}")
        ordered += ready
        waiting = [service for service in waiting if service not in ready]
    return ordered


def _known(stack: Stack, file: Path) -> None:
    for service in stack.services:
        for kind, used, known in (
            ("network", service.networks, stack.networks),
            ("volume", service.volumes, stack.volumes),
            ("secret", service.secrets, stack.secrets),
        ):
            for name in used:
                if name not in known:
                    raise ConfigError(f"a {kind} the file declares", got=name, where=f"{file}: service {service.name}")


def _no_others(keys: Any, allowed: frozenset[str], where: str) -> None:
    if not isinstance(keys, dict):
        raise ConfigError("a mapping", got=repr(keys), where=where)
    others = sorted(set(map(str, keys)) - allowed)
    if others:
        raise ConfigError(f"keys among {', '.join(sorted(allowed))}", got=", ".join(others), where=where)
