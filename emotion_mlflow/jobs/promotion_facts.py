"""What the gates look at, gathered: run, stored answers, costs, a clean load, the champion. Used by the promotion job.

A figure that is not there becomes a `Missing` with its name; it never stops the promotion and never passes it.
"""

import math
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from emotion_mlflow import reproduce
from emotion_mlflow.comparison.material import MACHINE
from emotion_mlflow.config import AUTO
from emotion_mlflow.errors import ConfigError, DataError, ModelError, TrackingError
from emotion_mlflow.evaluate import read_predictions
from emotion_mlflow.metrics.uncertainty import seed_of
from emotion_mlflow.promotion.contest import Answered, calibration, contest, recalls
from emotion_mlflow.promotion.gates import Champion, Contest, Cost, Facts, Missing, Reload
from emotion_mlflow.promotion.reload import reload
from emotion_mlflow.reporter import Reporter
from emotion_mlflow.tracking import registry, stored

TEST, TRAIN = "predictions/test.parquet", "predictions/train.parquet"

ABSENT = (ConfigError, DataError, ModelError, TrackingError)
"""What makes a figure missing."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """The facts, and where they come from."""

    facts: Facts
    run: stored.StoredRun
    """The training run."""
    faces: int
    """Test faces; 0: not known."""
    rescored: pd.DataFrame | None
    """The champion's predictions on the candidate's test faces, where they were made for this."""


def gather(
    version: registry.Version,
    champion: registry.Version | None,
    *,
    allow_dirty: bool,
    cache_dir: Path,
    reporter: Reporter,
    resamples: int,
) -> Evidence:
    """Everything about the version, and about the champion that it would replace; ModelError where its run is gone."""
    run = stored.read_run(version.run_id)
    reporter.stage("fetching predictions")
    answered = _stored_answers(version.run_id)
    known = None if isinstance(answered, Missing) else answered.answers
    rival, rescored = None, None
    if champion is not None:
        rival, rescored = _champion(version, champion, answered, run, cache_dir, reporter, resamples)
    facts = Facts(
        status=run.status,
        selected_on_test=_flag(version.tags, "selected_on_test"),
        clean=_clean(run.params),
        allow_dirty=allow_dirty,
        champion=rival,
        cost=_cost(run),
        ece=answered if isinstance(answered, Missing) else calibration(answered.answers),
        recalls=answered if isinstance(answered, Missing) else recalls(answered.answers),
        reload=_reload(version, reporter),
    )
    return Evidence(facts=facts, run=run, faces=0 if known is None else len(known), rescored=rescored)


def _champion(
    version: registry.Version,
    champion: registry.Version,
    answered: Answered | Missing,
    run: stored.StoredRun,
    cache_dir: Path,
    reporter: Reporter,
    resamples: int,
) -> tuple[Champion, pd.DataFrame | None]:
    """The champion, tested against the version; and its new predictions where it had to be scored again."""
    rescored: pd.DataFrame | None = None
    left_out = 0
    digest = version.tags.get("test_digest", "")
    if champion.tags.get("test_digest") == digest:
        theirs = _stored_answers(champion.run_id)
    else:
        reporter.note(f"version {champion.number} was scored on other test faces: scoring it on the candidate's")
        made = _rescore(champion, version, run.params.get("data.data_format", AUTO), cache_dir, reporter)
        rescored = None if isinstance(made, Missing) else made
        unseen = made if isinstance(made, Missing) else _unseen(made, champion)
        theirs = unseen if isinstance(unseen, Missing) else _answered(unseen)
        if rescored is not None and isinstance(theirs, Answered) and isinstance(answered, Answered):
            left_out = len(rescored) - len(theirs.ids)
            answered = answered.only(theirs.ids)
    reporter.stage("testing the difference")
    contests: list[Contest] | Missing
    if isinstance(answered, Missing):
        contests = answered
    elif isinstance(theirs, Missing):
        contests = Missing(f"of the champion: {theirs.why}")
    else:
        try:
            tested = contest(answered, theirs, seed=seed_of(digest), resamples=resamples)
            contests = tested if isinstance(tested, Missing) else list(tested)
        except ABSENT as error:
            contests = Missing(str(error))
    try:
        cost: Cost | Missing = _cost(stored.read_run(champion.run_id))
    except ABSENT as error:
        cost = Missing(str(error))
    return Champion(version=champion.number, cost=cost, contests=contests, left_out=left_out), rescored


def _unseen(rescored: pd.DataFrame, champion: registry.Version) -> pd.DataFrame | Missing:
    """Without the pictures that the champion was trained on, which it would answer far too well."""
    try:
        learnt = stored.read_table(champion.run_id, TRAIN)["content_hash"]
    except ABSENT as error:
        return Missing(f"which faces it was trained on is not known: {error}")
    unseen = rescored[~rescored["content_hash"].isin(learnt)]
    return unseen if len(unseen) else Missing(f"it was trained on all {len(rescored)} of the candidate's test faces")


def _rescore(
    champion: registry.Version, version: registry.Version, data_format: str, cache_dir: Path, reporter: Reporter
) -> pd.DataFrame | Missing:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from emotion_mlflow.jobs.evaluation import answers_on  # here, since TensorFlow takes seconds

    try:
        return answers_on(champion, version, data_format=data_format, cache_dir=cache_dir, reporter=reporter)
    except ABSENT as error:
        return Missing(f"it cannot be scored on the candidate's test faces: {error}")


def _stored_answers(run_id: str) -> Answered | Missing:
    try:
        return _answered(stored.read_table(run_id, TEST))
    except ABSENT as error:
        return Missing(str(error))


def _answered(table: pd.DataFrame) -> Answered:
    table = table.sort_values("id", kind="stable", ignore_index=True)
    return Answered(
        answers=read_predictions(table),
        ids=table["id"].to_numpy().astype(str),
        identities=table["identity"].to_numpy().astype(str),
    )


def _cost(run: stored.StoredRun) -> Cost:
    return Cost(
        latency_ms=_metric(run, "cost/latency_ms"),
        file_bytes=_metric(run, "cost/model_file_bytes"),
        machine=" ".join(filter(None, (run.params.get(f"machine/{name}", "") for name in MACHINE))),
    )


def _metric(run: stored.StoredRun, name: str) -> float | Missing:
    value = run.metrics.get(name, math.nan)
    return value if np.isfinite(value) and value > 0 else Missing(f"the run logged no {name}")


def _flag(tags: Mapping[str, str], name: str) -> bool | Missing:
    known = {"true": True, "false": False}
    return known.get(tags.get(name, ""), Missing(f"the version has no tag {name}"))


def _clean(params: Mapping[str, str]) -> bool | Missing:
    """Git's word on the code; a checkout that is none has no commit to go back to."""
    if params.get("git/commit", "not a git checkout") == "not a git checkout":
        return Missing("the run does not say which commit it was trained from")
    dirty = params.get("git/dirty")
    return dirty == "false" if dirty in ("true", "false") else Missing("the run logged no git/dirty")


def _reload(version: registry.Version, reporter: Reporter) -> Reload | Missing:
    reporter.stage("loading the model in a clean process")
    with tempfile.TemporaryDirectory(prefix="emotion-mlflow-") as scratch:
        try:
            check = stored.read_table(version.run_id, reproduce.FILE)
            network, _ = registry.download(version, Path(scratch))
        except ABSENT as error:
            return Missing(str(error))
        return reload(network.parents[1], check)
