"""Promotion, rollback, history: gates judge a version, the lease lets one process at a time move the aliases.

Every decision, refused or not, is a run of its own; a refused one ends FAILED. Used by the command line.
"""

import contextlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from emotion_mlflow.comparison.choice import candidate
from emotion_mlflow.errors import EmotionError, ModelError, TrackingError, without_password
from emotion_mlflow.jobs.promotion_facts import Evidence, gather
from emotion_mlflow.jobs.promotion_request import (
    Decision,
    History,
    HistoryRequest,
    Place,
    PromoteRequest,
    RollbackRequest,
)
from emotion_mlflow.promotion import chain
from emotion_mlflow.promotion.card import Subject, model_card
from emotion_mlflow.promotion.gates import Gate, judge, passed
from emotion_mlflow.promotion.limits import Limits, read_limits
from emotion_mlflow.reporter import Reporter
from emotion_mlflow.tracking import aliases, registry, runs


class _RefusedError(EmotionError):
    """Ends the run of a refused decision as FAILED; never leaves this module."""


def promote(request: PromoteRequest, reporter: Reporter) -> Decision:
    """Judges the version and, where every gate passes, moves the alias to it. A refusal is a Decision, no error.

    ConfigError and ModelError for a mistake; LeaseLostError where this process was held up for so long that another may
    have begun.
    """
    request.check()
    limits = read_limits(request.gates)
    uri = runs.connect(request.tracking_uri)
    version = _wanted(request)
    if request.dry_run:
        return _judged(request, version, limits, reporter)[0]
    decision: Decision | None = None
    tags = {"kind": "promotion", "promoted_version": f"{version.name}/{version.number}", "alias": request.to}
    with contextlib.suppress(_RefusedError), _run(request, f"promote {version.name} {version.number}", tags) as run:
        decision = _decide(request, version, limits, run, reporter)
        with _afterwards(decision, reporter):
            _log(run, decision, limits)
        if decision.refused:
            raise _RefusedError("every gate passed", got=_failed(decision), where=f"{version.name}/{version.number}")
    return _placed(decision, uri)


def rollback(request: RollbackRequest, reporter: Reporter) -> Decision:
    """Moves the alias back to the version before; ModelError where there is none. A taken lease is a refusal."""
    request.check()
    uri = runs.connect(request.tracking_uri)
    _back(request)
    decision: Decision | None = None
    tags = {"kind": "rollback", "alias": request.to}
    with contextlib.suppress(_RefusedError), _run(request, f"roll back {request.model_name}@{request.to}", tags) as run:
        try:
            with aliases.holding(request.model_name, seconds=request.lease_seconds) as lease:
                reporter.stage("moving the alias")
                decision = _move_back(request, lease, run.run_id)
        except aliases.LeaseTakenError as taken:
            number, current = _back(request)
            decision = _told_to_wait(request, number, current, taken, run.run_id)
        with _afterwards(decision, reporter):
            _log(run, decision, None)
        if decision.refused:
            raise _RefusedError("the lease", got=_failed(decision), where=request.model_name)
    return _placed(decision, uri)


def history(request: HistoryRequest) -> History:
    """The chain of an alias, with moves that passed no gate; ModelError where there is no such model."""
    request.check()
    runs.connect(request.tracking_uri)
    held = aliases.aliases(request.model_name)
    written = [one for one in aliases.entries(request.model_name) if one.get("alias", chain.ALIAS) == request.to]
    return History(
        model_name=request.model_name,
        alias=request.to,
        current=held.get(request.to),
        previous=held.get(request.before),
        moves=tuple(chain.history(written, current=held.get(request.to))),
    )


def _wanted(request: PromoteRequest) -> registry.Version:
    """The version asked for, registered by `train`; ModelError where it is another."""
    name = request.model_name
    if request.backbone and request.backbone not in aliases.aliases(name):
        expected = f"a version called @{request.backbone} (emotion-mlflow compare names it), or --version"
        raise ModelError(expected, got="none", where=name)
    version = registry.find(
        f"models:/{name}@{request.backbone}" if request.backbone else f"models:/{name}/{request.version}"
    )
    known = candidate(name=version.uri, number=int(version.number), run_id=version.run_id, tags=version.tags)
    if known is None:
        raise ModelError("a version that `train` registered, with its tags", got="another", where=version.uri)
    return version


def _decide(
    request: PromoteRequest, version: registry.Version, limits: Limits, run: runs.Run, reporter: Reporter
) -> Decision:
    if (held := aliases.aliases(request.model_name)).get(request.to) == version.number:
        return _already(request, version, held, run.run_id)
    try:
        with aliases.holding(request.model_name, seconds=request.lease_seconds) as lease:
            decision, evidence = _judged(request, version, limits, reporter, run_id=run.run_id)
            if evidence is not None and evidence.rescored is not None:
                _keep_rescored(run, evidence)
            if decision.passed and not decision.already and evidence is not None:
                reporter.stage("moving the alias")
                if late := _too_late(request, decision, lease):
                    return replace(decision, promoted=False, passed=False, gates=(*decision.gates, late))
                _move(request, decision, lease)
                with _afterwards(decision, reporter):
                    _publish(request, version, decision, evidence)
        return decision
    except aliases.LeaseTakenError as taken:
        current = aliases.aliases(request.model_name).get(request.to)
        return _told_to_wait(request, version.number, current, taken, run.run_id)


def _too_late(request: PromoteRequest, decision: Decision, lease: aliases.Lease) -> Gate | None:
    """What happened while the gates were judged; None where the verdict still holds and the lease with it."""
    try:
        lease.prolong()
    except aliases.LeaseLostError:
        why = "this process was held up for so long that its lease ran out; nothing was moved"
        return Gate(name="lease", value=None, limit="its own", passed=False, why=why)
    now = aliases.aliases(request.model_name).get(request.to)
    if now == decision.previous:
        return None
    why = f"judged against version {decision.previous or 'nobody'}, but somebody moved @{request.to} meanwhile"
    return Gate(name="same_champion", value=now, limit=decision.previous, passed=False, why=why)


def _judged(
    request: PromoteRequest,
    version: registry.Version,
    limits: Limits,
    reporter: Reporter,
    *,
    run_id: str | None = None,
) -> tuple[Decision, Evidence | None]:
    """The verdict against who is champion now; `promoted` says that it may be moved, unless this is a dry run."""
    held = aliases.aliases(request.model_name)
    current = held.get(request.to)
    if current == version.number:
        return _already(request, version, held, run_id), None
    champion = registry.find(f"models:/{request.model_name}/{current}") if current else None
    evidence = gather(
        version,
        champion,
        allow_dirty=request.allow_dirty,
        cache_dir=request.cache_dir,
        reporter=reporter,
        resamples=request.resamples,
    )
    gates = judge(evidence.facts, limits)
    decision = Decision(
        promoted=passed(gates) and not request.dry_run,
        version=version.number,
        alias=request.to,
        previous=current,
        gates=gates,
        run_id=run_id,
        dry_run=request.dry_run,
        passed=passed(gates),
        model_name=request.model_name,
    )
    return decision, evidence


def _already(
    request: PromoteRequest, version: registry.Version, held: Mapping[str, str], run_id: str | None
) -> Decision:
    return Decision(
        promoted=True,
        version=version.number,
        alias=request.to,
        previous=held.get(request.before),
        run_id=run_id,
        already=True,
        dry_run=request.dry_run,
        passed=True,
        model_name=request.model_name,
    )


def _told_to_wait(
    request: Place, number: str, current: str | None, taken: aliases.LeaseTakenError, run_id: str
) -> Decision:
    gate = Gate(
        name="lease",
        value=taken.holder,
        limit="free",
        passed=False,
        why=f"another promotion is at work: {taken.holder}, at the latest until {taken.until}",
    )
    return Decision(
        promoted=False,
        version=number,
        alias=request.to,
        previous=current,
        gates=(gate,),
        run_id=run_id,
        model_name=request.model_name,
    )


@contextlib.contextmanager
def _afterwards(decision: Decision, reporter: Reporter) -> Iterator[None]:
    """Once the alias has moved, what cannot be written of it is a warning: the version is promoted all the same."""
    try:
        yield
    except TrackingError as error:
        if not decision.promoted:
            raise
        reporter.warn(f"@{decision.alias} is version {decision.version}, but not all could be written: {error}")


def _move(request: PromoteRequest, decision: Decision, lease: aliases.Lease) -> None:
    """`@previous` first: whoever looks between the two moves finds both names, and the old champion under each."""
    if decision.previous:
        aliases.move(lease, request.before, decision.previous)
    _move_to(decision, lease, "promoted")


def _move_to(decision: Decision, lease: aliases.Lease, kind: chain.Kind) -> None:
    """The entry goes before the move, so that no move is without one; the history leaves out what was only begun."""
    entry = _entry(decision, kind)
    key = aliases.write_entry(lease, entry | {chain.BEGUN: True})
    aliases.move(lease, decision.alias, decision.version)
    with contextlib.suppress(TrackingError):  # the alias itself says that it was done
        aliases.write_entry(lease, entry, key=key)


def _back(request: RollbackRequest) -> tuple[str, str | None]:
    """(the version to go back to, the one that has the alias); ModelError where there is nothing to go back to."""
    held = aliases.aliases(request.model_name)
    number, current = held.get(request.before), held.get(request.to)
    if number is None or number == current:
        got = "none" if number is None else f"version {number}, which is @{request.to} already"
        raise ModelError(f"a version @{request.before} to go back to", got=got, where=request.model_name)
    return number, current


def _move_back(request: RollbackRequest, lease: aliases.Lease, run_id: str) -> Decision:
    """The champion first: a stop between the two moves leaves the good version under both names."""
    number, current = _back(request)
    decision = Decision(
        promoted=True,
        version=number,
        alias=request.to,
        previous=current,
        run_id=run_id,
        passed=True,
        model_name=request.model_name,
    )
    _move_to(decision, lease, "rollback")
    if current:
        aliases.move(lease, request.before, current)
    return decision


def _entry(decision: Decision, kind: chain.Kind) -> dict[str, Any]:
    return {
        "time": chain.now(),
        "alias": decision.alias,
        "version": decision.version,
        "previous": decision.previous,
        "run_id": decision.run_id,
        "kind": kind,
        "by": aliases.who(),
    }


def _publish(request: PromoteRequest, version: registry.Version, decision: Decision, evidence: Evidence) -> None:
    """The decision on the version's own page: tags, and the model card as its description."""
    time = chain.now()
    tags = {"promoted_to": request.to, "promoted_at": time, "promotion_run": decision.run_id}
    registry.tag_version(version, tags)
    subject = Subject(
        model_name=version.name,
        version=version.number,
        tags=version.tags,
        params=evidence.run.params,
        metrics=evidence.run.metrics,
        faces=evidence.faces,
    )
    card = model_card(
        subject,
        evidence.facts,
        decision.gates,
        alias=request.to,
        previous=decision.previous,
        run_id=decision.run_id or "",
        time=time,
    )
    aliases.describe(version.name, version.number, card)


def _log(run: runs.Run, decision: Decision, limits: Limits | None) -> None:
    """decision.json; limits as params `config/gates/...`, figures as metrics `gate/...`, the verdict as a tag."""
    run.log_text("decision.json", json.dumps(registry.jsonable(decision.to_dict()), indent=2))
    if limits is not None:
        run.log_params({f"gates/{name}": value for name, value in limits.to_dict().items()})
    figures = {f"gate/{gate.name}": gate.value for gate in decision.gates if isinstance(gate.value, float | int)}
    run.log_scores(figures)
    verdict = "already" if decision.already else "refused" if decision.refused else "moved"
    run.set_tags({"decision": verdict, "version": decision.version, "previous": decision.previous or "none"})


def _keep_rescored(run: runs.Run, evidence: Evidence) -> None:
    with tempfile.TemporaryDirectory(prefix="emotion-mlflow-") as scratch:
        folder = Path(scratch) / "predictions"
        folder.mkdir()
        if evidence.rescored is not None:
            evidence.rescored.to_parquet(folder / "champion.parquet", index=False)
        run.log_folder(Path(scratch))


@contextlib.contextmanager
def _run(request: Place, name: str, tags: Mapping[str, str]) -> Iterator[runs.Run]:
    with runs.open_run(experiment=request.experiment, tracking_uri=request.tracking_uri, name=name, tags=tags) as run:
        run.log_params({"command": request.command})
        yield run


def _failed(decision: Decision) -> str:
    return "; ".join(f"{gate.name}: {gate.why}" for gate in decision.gates if not gate.passed)


def _placed(decision: Decision | None, uri: str) -> Decision:
    if decision is None:
        raise ModelError("a decision", got="none")
    return replace(decision, tracking_uri=without_password(uri))
