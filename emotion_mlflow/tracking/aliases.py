"""Aliases of a registered model, the chain of their moves, and the lease that lets one promotion at a time move them.

MLflow has no locks, but an experiment's name is unique: generation n of the lease *is* the experiment
`promotion lease <model> <n>`, whose creation fails for all but one. It is given back by deleting it, which hides it and
keeps its name taken, so that a generation is never held twice. A holder that died leaves an active one, which runs out
by the time in its tag; then the next generation may be created.
"""

import contextlib
import datetime
import getpass
import json
import os
import platform
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import mlflow
from mlflow.entities import ViewType
from mlflow.exceptions import MlflowException

from emotion_mlflow.errors import ModelError, TrackingError, first_line
from emotion_mlflow.tracking.runs import ONE_ATTEMPT, PATIENCE, patient, told

PROLONGED_AFTER = 1 / 4
"""Share of the lease after which its holder prolongs it."""
SAFE_SHARE = 1 / 3
"""Share of the lease that must be left for a move: two machines' clocks may differ, and a request takes time."""

ONE_MOVE = {**ONE_ATTEMPT, "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}
"""A move is three requests: over before a lease of 60 s can have run out."""

LAST_WORD = 10.0
"""Seconds for a prolonging under way when its holder is done."""

CHAIN = "promotion/"
_PAGE = 100


class LeaseTakenError(TrackingError):
    """Another promotion holds the lease."""

    exit_code = 1

    def __init__(self, holder: str, until: str, *, where: str) -> None:
        self.holder, self.until = holder, until
        super().__init__("no other promotion at work", got=f"one by {holder}, at the latest until {until}", where=where)


class LeaseLostError(TrackingError):
    """The lease ran out in its holder's hands (the process was held up), so nothing more may be moved."""

    exit_code = 1


@dataclass(frozen=True, kw_only=True)
class _Generation:
    number: int
    experiment_id: str
    active: bool
    holder: str
    expires: float

    def free(self, now: float) -> bool:
        return not self.active or now >= self.expires


class Lease:
    """The right to move a model's aliases, held by one process at a time; see `holding`."""

    def __init__(self, name: str, number: int, experiment_id: str, *, expires: float, seconds: float) -> None:
        self.name, self.number, self.experiment_id = name, number, experiment_id
        self.expires, self.seconds = expires, seconds
        self._client = mlflow.MlflowClient()
        self._turn = threading.Lock()  # the prolonging thread and a move never write the time at once

    def prolong(self) -> None:
        """Gives it a whole term from now; LeaseLostError where it has (nearly) run out or another generation exists."""
        with self._turn:
            now = time.time()
            if now > self.expires - self.seconds * SAFE_SHARE:
                raise LeaseLostError(
                    "a lease that has not run out", got=f"{now - self.expires:+.1f} s", where=self._place
                )
            until = now + self.seconds
            refused: MlflowException | None = None
            try:
                self._client.set_experiment_tag(self.experiment_id, "expires", repr(until))
            except MlflowException as error:  # so answers a server too whose experiment is deleted
                refused = error
            newest = _newest(self.name)
            if newest is None or newest.number != self.number or not newest.active:
                raise LeaseLostError("its own lease", got="another promotion's", where=self._place)
            if refused is not None:
                raise _refused(refused, self._place) from None
            self.expires = until

    def give_back(self) -> None:
        """Frees it for the next one."""
        with contextlib.suppress(MlflowException), patient(PATIENCE):  # it runs out by itself
            self._client.delete_experiment(self.experiment_id)

    @property
    def _place(self) -> str:
        return f"generation {self.number} of {self.name}"


@contextlib.contextmanager
def holding(name: str, *, seconds: float) -> Iterator[Lease]:
    """The lease of a registered model, prolonged while the block runs; LeaseTakenError at once where another has it."""
    lease = take(name, seconds=seconds)
    done = threading.Event()
    keeper = threading.Thread(target=_keep, args=(lease, done), daemon=True)
    keeper.start()
    try:
        yield lease
    finally:
        done.set()
        keeper.join(LAST_WORD)  # a server that is away holds up nobody: what is prolonged late is refused
        lease.give_back()


def take(name: str, *, seconds: float) -> Lease:
    """The next generation of the lease; LeaseTakenError names who has it. It is not prolonged by itself.

    TrackingError where the server hides the leases of other accounts.
    """
    client, refused = mlflow.MlflowClient(), 0
    while True:
        newest, now = _newest(name), time.time()
        if newest is not None and not newest.free(now):
            raise LeaseTakenError(newest.holder, _clock(newest.expires), where=name)
        number, expires = (newest.number if newest else 0) + 1, now + seconds
        tags = {"holder": who(), "expires": repr(expires)}
        try:
            made = client.create_experiment(_lease_name(name, number), tags=tags)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise _refused(error, name) from None
            if refused == number:  # it is there, and this account does not see whose it is: never overtaken
                expected, got = "an account that may read the leases", f"no sight of `{_lease_name(name, number)}`"
                raise TrackingError(expected, got=got, where="the experiments") from None
            refused = number
            continue  # somebody was quicker: see who
        if newest is not None and newest.active:
            with contextlib.suppress(MlflowException):  # tidiness only: the name stays taken
                client.delete_experiment(newest.experiment_id)
        return Lease(name, number, made, expires=expires, seconds=seconds)


def aliases(name: str) -> dict[str, str]:
    """Alias -> version of a registered model; ModelError where there is no such model."""
    return {alias: str(version) for alias, version in _model(name).aliases.items()}


def move(lease: Lease, alias: str, version: str) -> None:
    """Points an alias at a version, in one step: it is never absent. LeaseLostError where the lease is.

    Tried once: a request that is sent again minutes later would fall into somebody else's lease.
    """
    with patient({}, ONE_MOVE):
        lease.prolong()
        try:
            mlflow.MlflowClient().set_registered_model_alias(lease.name, alias, version)
        except MlflowException as error:
            raise _refused(error, f"{lease.name}@{alias}") from None


def entries(name: str) -> list[dict[str, Any]]:
    """What was written of the moves, oldest first, with its `alias`; an entry nobody can read is left out."""
    tags = _model(name).tags
    found = []
    for key in sorted(key for key in tags if key.startswith(CHAIN)):
        with contextlib.suppress(ValueError):
            entry = json.loads(tags[key])
            if isinstance(entry, dict):
                found.append(entry)
    return found


def write_entry(lease: Lease, entry: Mapping[str, Any], *, key: str = "") -> str:
    """Adds a move to the chain, in the registered model's tags, or writes `key` anew; the entry's key.

    LeaseLostError where the lease is, TrackingError where the server takes no tag.
    """
    lease.prolong()
    if not key:
        numbers = [int(key.removeprefix(CHAIN)) for key in _model(lease.name).tags if _is_entry(key)]
        key = f"{CHAIN}{max(numbers, default=0) + 1:06d}"
    with told(lease.name):
        mlflow.MlflowClient().set_registered_model_tag(lease.name, key, json.dumps(dict(entry)))
    return key


def describe(name: str, number: str, text: str) -> None:
    """Sets a version's description, which the UI shows as Markdown."""
    try:
        mlflow.MlflowClient().update_model_version(name, number, description=text)
    except MlflowException as error:
        raise _refused(error, f"{name}/{number}") from None


def who() -> str:
    """user@machine, process 123."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        user = str(os.getuid())
    return f"{user}@{platform.node()}, process {os.getpid()}"


def _keep(lease: Lease, done: threading.Event) -> None:
    while not done.wait(lease.seconds * PROLONGED_AFTER):
        try:
            lease.prolong()
        except LeaseLostError:
            return  # the next move says so
        except Exception:  # noqa: BLE001, S112  a server away for a moment: tried again while the lease lasts
            continue


def _newest(name: str) -> _Generation | None:
    """The highest generation, active or not. Filtered here: a model's name may hold what a filter reads otherwise."""
    client, token, found = mlflow.MlflowClient(), None, []
    while token != "":
        page = client.search_experiments(
            view_type=ViewType.ALL,
            filter_string="name LIKE 'promotion lease %'",
            order_by=["creation_time DESC"],
            max_results=_PAGE,
            page_token=token,
        )
        found += [one for one in page if _number(one.name, name)]
        token = "" if found else page.token or ""
    if not found:
        return None
    newest = max(found, key=lambda one: _number(one.name, name))
    return _Generation(
        number=_number(newest.name, name),
        experiment_id=newest.experiment_id,
        active=newest.lifecycle_stage == "active",
        holder=newest.tags.get("holder", "nobody known"),
        expires=float(newest.tags.get("expires", 0)),
    )


def _lease_name(name: str, number: int) -> str:
    return f"promotion lease {name} {number}"


def _number(experiment: str, name: str) -> int:
    """The generation that an experiment of this name is; 0: of another model, or none."""
    digits = experiment.removeprefix(f"promotion lease {name} ")
    return int(digits) if digits != experiment and digits.isascii() and digits.isdigit() else 0


def _is_entry(key: str) -> bool:
    return key.startswith(CHAIN) and key.removeprefix(CHAIN).isdigit()


def _model(name: str) -> Any:
    try:
        return mlflow.MlflowClient().get_registered_model(name)
    except MlflowException as error:
        expected = "a registered model (train one: emotion-mlflow train)"
        raise ModelError(expected, got=first_line(error), where=name) from None


def _refused(error: MlflowException, where: str) -> TrackingError:
    return TrackingError("a registry that takes the move", got=first_line(error), where=where)


def _clock(moment: float) -> str:
    return datetime.datetime.fromtimestamp(moment, datetime.UTC).strftime("%H:%M:%S UTC")
