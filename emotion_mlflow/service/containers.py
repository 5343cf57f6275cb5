"""A service's description as the Docker SDK's arguments, and the containers made of it. `arguments` is pure."""

import hashlib
import json
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from emotion_mlflow.errors import StackError
from emotion_mlflow.service.compose import Health, Service, Stack

LABEL = "emotion-mlflow.stack"
NANO = 1_000_000_000
LOOKS_PER_SECOND = 2
RESTARTS = 3
"""More than these while it is waited for, and it won't come."""


@dataclass(frozen=True, kw_only=True)
class State:
    """What became of one service."""

    service: str
    state: str
    """absent, or Docker's word: created, running, restarting, exited."""
    health: str
    """healthy, unhealthy, starting; empty if it doesn't run."""
    image: str
    restarts: int
    said: str
    """The last answer of the health check."""

    @property
    def well(self) -> bool:
        return self.state == "running" and self.health == "healthy"


def container_name(stack: str, service: str) -> str:
    """`emotion-mlflow-server-1`, as docker-compose 2 would call it."""
    return f"{stack}-{service}-1"


def arguments(stack: str, service: Service, *, secrets: Mapping[str, Path], image_id: str) -> dict[str, Any]:
    """What `client.containers.create` is given, networks aside.

    Secrets are bound read-only to /run/secrets/NAME, as docker-compose does. `image_id` is in the digest only: an image
    that was built again makes the container anew.
    """
    binds = {str(secrets[name]): {"bind": f"/run/secrets/{name}", "mode": "ro"} for name in service.secrets} | {
        f"{stack}_{volume}": {"bind": place, "mode": "rw"} for volume, place in service.volumes.items()
    }
    given: dict[str, Any] = {
        "image": service.image,
        "name": container_name(stack, service.name),
        "hostname": service.name,
        "user": service.user,
        "read_only": service.read_only,
        "init": service.init,
        "restart_policy": {"Name": service.restart},
        "cap_drop": list(service.cap_drop),
        "security_opt": list(service.security_opt),
        "environment": dict(service.environment),
        "volumes": binds,
        "tmpfs": dict(service.tmpfs),
        "ports": {f"{port.inside}/tcp": (port.address, port.outside) for port in service.ports},
        "healthcheck": healthcheck(service.health),
        "shm_size": service.shm_size,
        "labels": {LABEL: stack, f"{LABEL}.service": service.name},
    }
    optional = {
        "command": list(service.command),
        "entrypoint": list(service.entrypoint),
        "mem_limit": service.memory,
        "memswap_limit": service.memory,
        "nano_cpus": int(service.cpus * NANO),
        "pids_limit": service.processes,
        "log_config": _log_config(service.logging),
    }
    given |= {name: value for name, value in optional.items() if value}
    given["labels"][f"{LABEL}.digest"] = digest(given | {"image_id": image_id})
    return given


def healthcheck(health: Health) -> dict[str, Any]:
    """The engine's form, in nanoseconds."""
    return {
        "test": list(health.test),
        "interval": int(health.interval * NANO),
        "timeout": int(health.timeout * NANO),
        "retries": health.retries,
        "start_period": int(health.start_period * NANO),
    }


def digest(given: Mapping[str, Any]) -> str:
    """Sixteen hex digits that change when a container would have to be made anew."""
    return hashlib.sha256(json.dumps(given, sort_keys=True, default=str).encode()).hexdigest()[:16]


def find(client: Any, stack: str, service: str) -> Any:
    """The container, or None."""
    import docker

    try:
        return client.containers.get(container_name(stack, service))
    except docker.errors.NotFound:
        return None


def ensure_places(client: Any, stack: str, description: Stack) -> None:
    """The networks and volumes are there, marked as this stack's."""
    import docker

    for name, internal in description.networks.items():
        if not client.networks.list(names=[f"^{stack}_{name}$"]):
            client.networks.create(f"{stack}_{name}", driver="bridge", internal=internal, labels={LABEL: stack})
    for name in description.volumes:
        try:
            client.volumes.get(f"{stack}_{name}")
        except docker.errors.NotFound:
            client.volumes.create(f"{stack}_{name}", labels={LABEL: stack})


def belonging(places: Any, stack: str, names: Iterable[str]) -> list[Any]:
    """The networks or volumes marked as this stack's, and those of its names: docker-compose makes the same ones."""
    wanted = {f"{stack}_{name}" for name in names}
    return [
        each for each in places.list() if each.name in wanted or (each.attrs.get("Labels") or {}).get(LABEL) == stack
    ]


def refuse_guests(network: Any, own: Collection[str]) -> None:
    """StackError where another container than `own` is on the network: a training, say."""
    network.reload()
    guests = sorted({each["Name"] for each in (network.attrs.get("Containers") or {}).values()} - set(own))
    if guests:
        raise StackError(
            "no container of others on the network", got=f"{', '.join(guests)} (stop it)", where=network.name
        )


def ensure_running(client: Any, stack: str, service: Service, given: Mapping[str, Any]) -> Any:
    """The container, running and as described; one that is otherwise is made anew (its volumes stay).

    Raises StackError if the engine refuses, for example a port that is taken.
    """
    import docker

    wanted = dict(given)
    there = find(client, stack, service.name)
    if there and there.labels.get(f"{LABEL}.digest") != wanted["labels"][f"{LABEL}.digest"]:
        remove(there, service.grace)
        there = None
    try:
        there = there or _create(client, stack, service, wanted)
        there.start()
    except docker.errors.APIError as error:
        raise StackError(f"the service {service.name} to start", got=str(error.explanation or error)[:300]) from error
    there.reload()
    return there


def _create(client: Any, stack: str, service: Service, given: Mapping[str, Any]) -> Any:
    first, *others = service.networks
    api = client.api
    endpoint = api.create_endpoint_config(aliases=[service.name])
    container = client.containers.create(
        network=f"{stack}_{first}", networking_config={f"{stack}_{first}": endpoint}, **given
    )
    try:
        for network in others:
            client.networks.get(f"{stack}_{network}").connect(container, aliases=[service.name])
    except BaseException:  # a stop too: half connected it would be taken for whole the next time
        container.remove(force=True)
        raise
    return container


def _log_config(logging: Mapping[str, Any]) -> Any:
    if not logging:
        return None
    import docker

    return docker.types.LogConfig(type=logging["driver"], config=dict(logging.get("options", {})))


def remove(container: Any, grace: float) -> None:
    """Stops it, giving it `grace` seconds to end well, and removes it."""
    container.stop(timeout=int(grace))
    container.remove(force=True)


def state_of(container: Any, service: str) -> State:
    """Looks once."""
    if container is None:
        return State(service=service, state="absent", health="", image="", restarts=0, said="")
    container.reload()
    state = container.attrs["State"]
    health = state.get("Health") or {}
    said = [entry["Output"].strip() for entry in health.get("Log") or () if entry["Output"].strip()]
    return State(
        service=service,
        state=state["Status"],
        health=health.get("Status", "") if state["Status"] == "running" else "",
        image=container.attrs["Config"]["Image"],
        restarts=container.attrs.get("RestartCount", 0),
        said=said[-1][-300:] if said else "",
    )


def wait_until_well(
    container: Any, service: str, *, until: float, clock: Callable[[], float] = time.monotonic
) -> State:
    """The service, healthy. Raises StackError when it is not by `until`, or gave up before.

    One that is unhealthy at first may owe it to another service, which has just come back: it is waited for.
    """
    before = state_of(container, service)
    while True:
        seen = state_of(container, service)
        if seen.well:
            return seen
        sickened = seen.health == "unhealthy" != before.health
        gave_up = sickened or seen.state in ("exited", "dead") or seen.restarts - before.restarts > RESTARTS
        if gave_up or clock() > until:
            raise StackError(f"a healthy {service}", got=_why(seen, container), where="`emotion-mlflow stack logs`")
        time.sleep(1 / LOOKS_PER_SECOND)


def _why(seen: State, container: Any) -> str:
    lines = container.logs(tail=3).decode(errors="replace").strip().splitlines()
    last = seen.said or (lines[-1][-200:] if lines else "nothing in its log")
    return f"{seen.state} {seen.health} after {seen.restarts} restarts: {last}"


def plain(state: State) -> dict[str, Any]:
    """For JSON."""
    return asdict(state)
