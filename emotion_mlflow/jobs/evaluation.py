"""One evaluation: a registered version, or a run's model, scored on faces and logged as a run of its own.

It never cuts data: on the set a version was trained on, the splits are the ids that its run logged; on any other set
everything is scored, and faces that the version has seen are told. Used by the command line; a promotion scores its
champion here too.
"""

import json
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from emotion_mlflow.config import AUTO
from emotion_mlflow.data.manifest import Manifest
from emotion_mlflow.data.pixels import load_pixels
from emotion_mlflow.data.sets import from_anywhere
from emotion_mlflow.errors import DataError, ModelError, first_line, without_password
from emotion_mlflow.evaluate import answer, load_saved, predictions_table
from emotion_mlflow.jobs.faces import read_faces
from emotion_mlflow.jobs.request import EvaluateRequest, Outcome
from emotion_mlflow.jobs.work import score_split
from emotion_mlflow.reporter import Reporter
from emotion_mlflow.serving.model import AffectModel
from emotion_mlflow.tracking import machine, registry, runs, stored
from emotion_mlflow.tracking.artifacts import write_artifacts


def evaluate(request: EvaluateRequest, reporter: Reporter) -> Outcome:
    """Scores the faces, and logs figures, predictions and pictures to a run linked to version and faces."""
    started = time.perf_counter()
    request.check()
    runs.connect(request.tracking_uri)
    version = registry.find(request.model)
    with tempfile.TemporaryDirectory(prefix="emotion-mlflow-") as scratch:
        folder = Path(scratch)
        reporter.stage("fetching the model")
        model = load_saved(*registry.download(version, folder))
        asked = _as_trained(request, model.card) if request.data == AUTO else request
        manifest, split = _faces(asked, model.card, version, reporter, as_trained=request.data == AUTO)
        digest, rejected = manifest.digest(), manifest.rejected
        manifest = _of_one_layout(manifest, model, reporter)
        reporter.stage("decoding faces")
        pixels = load_pixels(manifest, image_size=model.size, cache_dir=request.cache_dir, progress=reporter.advance)
        tags = _tags(version, manifest, split, model.card) | {"test_digest": digest}
        name = f"evaluate {version.name or version.run_id[:8]} {version.number} on {manifest.name} {split}".replace(
            "  ", " "
        )
        with runs.open_run(
            experiment=request.experiment, tracking_uri=request.tracking_uri, name=name, tags=tags
        ) as run:
            reporter.stage("scoring the saved model")
            scored = score_split(model, manifest, pixels, split=split, digest=digest)
            scores = scored.named()
            run.log_params({**_read_as(asked), "split": split, **machine.describe(request.command)})
            run.log_text("rejected.csv", rejected.to_csv(index=False))
            run.log_dataset(manifest, split=split, digest=digest)
            run.log_scores({**scores, "data/rejected": len(rejected)})
            run.log_model_input(registry.model_id(version))
            write_artifacts(
                folder / "artifacts",
                tables={split: predictions_table(manifest, scored.answers)},
                test=scored,
                manifest=manifest,
                pixels=pixels,
                history=None,
                best_epoch=None,
                show_faces=request.show_faces,
                run=run,
            )
            run.log_folder(folder / "artifacts")
    return Outcome(
        run_id=run.run_id,
        model_name=version.name or None,
        model_version=version.number or None,
        backbone=model.card["backbone"],
        recipe=model.card["recipe"],
        seconds=time.perf_counter() - started,
        scores=scores,
        tracking_uri=without_password(run.tracking_uri),
    )


def _faces(
    request: EvaluateRequest,
    card: Mapping[str, Any],
    version: registry.Version,
    reporter: Reporter,
    *,
    as_trained: bool,
) -> tuple[Manifest, str]:
    """The faces to score, in the order in which training scored them, and the split's name.

    `as_trained`: they have to be the very set that the version was trained on.
    """
    manifest = read_faces(
        request.data,
        data_format=request.data_format,
        max_rejected=request.max_rejected,
        cache_dir=request.cache_dir,
        reporter=reporter,
    )
    if as_trained:
        _require_digest(manifest, card["data_digest"], "the set that the version was trained on, or --data")
    own = manifest.digest() == card["data_digest"]
    split = ("test" if own else "all") if request.split == AUTO else request.split
    if split == "all":
        _tell_known(manifest, version, reporter)
        return manifest, split
    if not own:
        raise DataError(
            f"--split all, since {manifest.name} is not the set this version was trained on",
            got=split,
            where="--split",
        )
    return _members(manifest, registry.split_ids(version.run_id, split), split), split


def _read_as(request: EvaluateRequest) -> dict[str, object]:
    """What was read and how, as it holds from any folder."""
    read = {"data_format": request.data_format, "max_rejected": request.max_rejected}
    return {"data": from_anywhere(request.data), **read}


def _as_trained(request: EvaluateRequest, card: Mapping[str, Any]) -> EvaluateRequest:
    """The request for the version's own set, read as its training read it where nothing else is said."""
    known = card.get("data_format", AUTO)
    return replace(
        request,
        data=card["data"],
        data_format=known if request.data_format == AUTO else request.data_format,
        max_rejected=max(request.max_rejected, card.get("max_rejected", 0.0)),
    )


def _tell_known(manifest: Manifest, version: registry.Version, reporter: Reporter) -> None:
    """Of its own set, whole, or of one that has changed a little, the version has seen most faces."""
    known, column = set[str](), "content_hash"
    try:
        for split in ("train", "val"):
            known |= set(stored.read_table(version.run_id, f"predictions/{split}.parquet", [column])[column])
    except ModelError as error:
        reporter.warn(f"how many of the faces trained this version is not known: {error}")
        return
    seen = int(manifest.table["content_hash"].isin(known).sum())
    if seen:
        reporter.warn(f"{seen} of {len(manifest)} faces trained or chose this version: its scores on them are too good")


def _of_one_layout(manifest: Manifest, model: AffectModel, reporter: Reporter) -> Manifest:
    """The faces with landmarks of another layout taken as unlabelled; the other tasks are scored all the same."""
    points, wanted = manifest.landmarks.shape[1] // 2, model.card["landmark_points"]
    if "landmarks" not in model.tasks or points == wanted:
        return manifest
    if points:
        reporter.warn(f"landmarks are not scored: {manifest.name} has {points} points, the model {wanted}")
    return replace(manifest, landmarks=np.full((len(manifest), 2 * wanted), np.nan, np.float32))


def _members(manifest: Manifest, ids: list[str], split: str) -> Manifest:
    wanted = set(ids)
    rows = np.flatnonzero([face in wanted for face in manifest.table["id"]])
    if not len(rows) or len(rows) != len(wanted):
        raise DataError(
            f"the {len(wanted)} faces of {split} that the version logged", got=len(rows), where=manifest.name
        )
    return manifest.rows(rows)


def _tags(version: registry.Version, manifest: Manifest, split: str, card: dict) -> dict[str, str]:
    return {
        "evaluated_model": version.uri,
        "evaluated_run": version.run_id,
        "backbone": card["backbone"],
        "recipe": card["recipe"],
        "data_name": manifest.name,
        "split": split,
    }


def answers_on(
    version: registry.Version, faces_of: registry.Version, *, data_format: str, cache_dir: Path, reporter: Reporter
) -> pd.DataFrame:
    """The predictions table of `version` on the test faces that `faces_of` logged; a model runs, nothing is logged.

    DataError or ModelError where those very faces cannot be had: the set's digest and the test faces' must be the
    ones that `faces_of` was scored on.
    """
    with tempfile.TemporaryDirectory(prefix="emotion-mlflow-") as scratch:
        reporter.stage("fetching the champion")
        _, card_file = registry.download(faces_of, Path(scratch) / "candidate")
        data, data_digest = _trained_on(card_file)
        manifest = read_faces(data, data_format=data_format, max_rejected=1.0, cache_dir=cache_dir, reporter=reporter)
        _require_digest(manifest, data_digest, "the set that the version was trained on")
        part = _members(manifest, registry.split_ids(faces_of.run_id, "test"), "test")
        _require_digest(part, faces_of.tags.get("test_digest", ""), "the test faces that the version was scored on")
        model = load_saved(*registry.download(version, Path(scratch) / "champion"))
        pixels = load_pixels(part, image_size=model.size, cache_dir=cache_dir, progress=reporter.advance)
        reporter.stage("scoring the champion on the candidate's test faces")
        return predictions_table(part, answer(model, part, pixels))


def _trained_on(card_file: Path) -> tuple[str, str]:
    """The set of a saved model's card, and its digest; ModelError where the card is damaged."""
    try:
        card = json.loads(card_file.read_text())
        return str(card["data"]), str(card["data_digest"])
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError("a saved model of ours", got=first_line(error), where=registry.CARD_FILE) from None


def _require_digest(manifest: Manifest, digest: str, what: str) -> None:
    if manifest.digest() != digest:
        raise DataError(f"{what}, digest {digest[:12]}", got=manifest.digest()[:12], where=manifest.name)
