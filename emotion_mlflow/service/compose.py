"""docker/compose.yaml as plain values: its variables filled in, its keys checked. Knows no engine."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emotion_mlflow.errors import ConfigError
from emotion_mlflow.service.values import NAME, Values, told
from emotion_mlflow.yaml_file import read_yaml

_IMAGE_KEYS = ("image", "build", "command", "entrypoint", "environment", "user", "init", "restart", "stop_grace_period")
_FENCE_KEYS = ("read_only", "cap_drop", "security_opt", "shm_size", "mem_limit", "cpus", "pids_limit", "logging")
_PLACE_KEYS = ("secrets", "volumes", "tmpfs", "networks", "ports", "healthcheck", "depends_on")
SERVICE_KEYS = frozenset((*_IMAGE_KEYS, *_FENCE_KEYS, *_PLACE_KEYS))
TOP_KEYS = frozenset(("services", "networks", "volumes", "secrets"))
_VARIABLE = re.compile(r"\$(?:(?P<dollar>\$)|\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}$]*))?\}|(?P<odd>))")
_DURATION = re.compile(r"([0-9]{1,9})(ms|s|m|h)")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}
_SIZE = re.compile(r"([0-9]{1,15})([kmg]?)b?", re.IGNORECASE)
_RESTARTS = ("no", "always", "unless-stopped", "on-failure")


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

    Raises ConfigError for a file that is absent or no YAML, for a value of another kind, and for every key that this
    reader does not carry out: what docker-compose would do and we would not must not be dropped silently.
    """
    raw = read_yaml(file, what="the stack's compose.yaml")
    if not isinstance(raw, dict):
        raise ConfigError("a mapping of services", got=type(raw).__name__, where=file)
    plain = {key: value for key, value in raw.items() if not str(key).startswith("x-")}
    top = Values(_filled(plain, variables, str(file)), TOP_KEYS, str(file))
    if not top.named("services"):
        raise top.wrong("a mapping of services", "services")
    services = [_service(name, keys, file.parent) for name, keys in top.named("services").items()]
    stack = Stack(
        services=tuple(_in_order(services)),
        networks={name: _internal(name, keys) for name, keys in top.named("networks").items()},
        volumes=tuple(_no_keys(name, keys) for name, keys in top.named("volumes").items()),
        secrets={name: _secret(name, keys, file) for name, keys in top.named("secrets").items()},
    )
    _known(stack, file)
    return stack


def variables(environment: Mapping[str, str], file: Path) -> dict[str, str]:
    """The environment, over the lines NAME=VALUE of `.env` beside the compose file, which docker-compose reads too."""
    beside = file.parent / ".env"
    try:
        lines = beside.read_text(encoding="utf-8").splitlines() if beside.is_file() else []
    except UnicodeDecodeError as error:
        raise ConfigError("text in UTF-8", got=error.reason, where=beside) from error
    pairs = (line.partition("=") for line in lines if "=" in line and not line.lstrip().startswith("#"))
    return {name.strip().removeprefix("export "): _unquoted(value.strip()) for name, _, value in pairs} | dict(
        environment
    )


def _unquoted(value: str) -> str:
    quoted = re.match(r"(['\"])(.*?)\1", value)
    return quoted[2] if quoted else re.split(r"\s+#", value)[0]


def seconds(text: str, where: str = "") -> float:
    """`1m30s` is 90. Raises ConfigError for what is no duration."""
    parts = _DURATION.findall(str(text))
    if "".join(f"{number}{unit}" for number, unit in parts) != str(text) or not parts:
        raise ConfigError("a duration such as 30s or 1m30s", got=told(text), where=where)
    return sum(int(number) * _SECONDS[unit] for number, unit in parts)


def size(text: str, where: str = "") -> int:
    """`256m` is 268435456. Raises ConfigError for what is no size."""
    match = _SIZE.fullmatch(str(text))
    if not match:
        raise ConfigError("a size such as 512m or 2g", got=told(text), where=where)
    return int(match[1]) << {"": 0, "k": 10, "m": 20, "g": 30}[match[2].lower()]


def substitute(text: str, variables: Mapping[str, str], where: str) -> str:
    """The text with its variables filled in; an empty one takes the default, as in docker-compose."""

    def value(match: re.Match[str]) -> str:
        if match["dollar"]:
            return "$"
        if match["name"] is None:
            raise ConfigError("${NAME}, ${NAME:-default} or $$", got=told(text), where=where)
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
        return {key: _filled(each, variables, where) for key, each in value.items()}
    return value


def _service(name: str, keys: Any, folder: Path) -> Service:
    where = f"service {name}"
    given = Values(keys, SERVICE_KEYS, where)
    user, restart = given.text("user"), given.text("restart", "no")
    if not re.fullmatch(r"[0-9]{1,10}:[0-9]{1,10}", user):
        raise given.wrong("a user and a group by number, as 1000:1000,", "user")
    if restart not in _RESTARTS:
        raise given.wrong(f"one of {', '.join(_RESTARTS)}", "restart")
    return Service(
        name=name,
        image=given.text("image"),
        build=_build(keys["build"], folder, where) if "build" in keys else None,
        user=user,
        read_only=given.flag("read_only"),
        init=given.flag("init"),
        restart=restart,
        cap_drop=given.words("cap_drop"),
        security_opt=given.words("security_opt"),
        logging=_logging(keys["logging"], where) if "logging" in keys else {},
        environment=given.pairs("environment"),
        command=given.words("command"),
        entrypoint=given.words("entrypoint"),
        secrets=given.words("secrets"),
        volumes=dict(_pair(text, where) for text in given.words("volumes")),
        tmpfs={place: options for place, _, options in (text.partition(":") for text in given.words("tmpfs"))},
        networks=given.words("networks", least=1),
        ports=tuple(_port(text, where) for text in given.words("ports")),
        health=_health(keys.get("healthcheck"), where),
        depends_on=_dependencies(keys.get("depends_on", {}), where),
        shm_size=size(keys.get("shm_size", "64m"), f"{where}: shm_size"),
        memory=size(keys.get("mem_limit", "0"), f"{where}: mem_limit"),
        cpus=given.number("cpus", float, "0"),
        processes=given.number("pids_limit", int, "0"),
        grace=seconds(keys.get("stop_grace_period", "10s"), f"{where}: stop_grace_period"),
    )


def _build(keys: Any, folder: Path, where: str) -> Build:
    given = Values(keys, frozenset(("context", "args")), f"{where}: build")
    return Build(context=_path(folder, given.text("context"), where), arguments=given.pairs("args"))


def _logging(keys: Any, where: str) -> Mapping[str, Any]:
    given = Values(keys, frozenset(("driver", "options")), f"{where}: logging")
    return {"driver": given.text("driver"), "options": given.pairs("options")}


def _health(keys: Any, where: str) -> Health:
    allowed = frozenset(("test", "interval", "timeout", "retries", "start_period"))
    place = f"{where}: healthcheck"
    given = Values(keys, allowed, place)
    return Health(
        test=given.words("test", least=1),
        interval=seconds(given.text("interval"), place),
        timeout=seconds(given.text("timeout"), place),
        retries=given.number("retries", int),
        start_period=seconds(given.text("start_period", "0s"), place),
    )


def _path(folder: Path, name: str, where: str) -> Path:
    try:
        return (folder / name).resolve()
    except (ValueError, OSError, RuntimeError) as error:  # a NUL in it, a circle of links
        raise ConfigError("a path", got=told(name), where=where) from error


def _pair(text: str, where: str) -> tuple[str, str]:
    name, _, place = text.partition(":")
    if not NAME.fullmatch(name) or not place.startswith("/") or ":" in place:
        raise ConfigError("a named volume, as database:/place", got=told(text), where=where)
    return name, place


def _port(text: str, where: str) -> Port:
    match = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^:\[\]]+):([0-9]{1,5}):([0-9]{1,5})", text)
    if not match:
        expected = "a port with its address, as 127.0.0.1:5000:5000 or [::1]:5000:5000"
        raise ConfigError(expected, got=told(text), where=where)
    address, *ports = match.groups()
    for port in ports:
        if not 0 < int(port) < 65536:
            raise ConfigError("a port from 1 to 65535", got=port, where=where)
    return Port(address=address.strip("[]"), outside=int(ports[0]), inside=int(ports[1]))


def _dependencies(keys: Any, where: str) -> tuple[str, ...]:
    if not isinstance(keys, dict) or any(value != {"condition": "service_healthy"} for value in keys.values()):
        raise ConfigError("depends_on with condition: service_healthy", got=told(keys), where=where)
    return tuple(keys)


def _internal(name: str, keys: Any) -> bool:
    return Values(keys or {}, frozenset(("internal",)), f"network {name}").flag("internal")


def _no_keys(name: str, keys: Any) -> str:
    Values(keys or {}, frozenset(), f"volume {name}")
    return name


def _secret(name: str, keys: Any, file: Path) -> Path:
    where = f"secret {name}"
    return _path(file.parent, Values(keys, frozenset(("file",)), where).text("file"), where)


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
