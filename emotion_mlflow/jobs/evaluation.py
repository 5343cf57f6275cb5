"""One evaluation: a registered version, or a run's model, scored on faces and logged as a run of its own.

It never cuts data: on the set a version was trained on, the splits are the ids that its run logged; on any other set
everything is scored. Used by the command line; a promotion scores its champion here too.
"""

import json
import tempfile
import time
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd

from emotion_mlflow.config import AUTO
from emotion_mlflow.data.manifest import Manifest
from emotion_mlflow.data.pixels import load_pixels
from emotion_mlflow.errors import DataError
from emotion_mlflow.evaluate import answer, load_saved, predictions_table
from emotion_mlflow.jobs.faces import read_faces
from emotion_mlflow.jobs.request import EvaluateRequest, Outcome
from emotion_mlflow.jobs.work import score_split
from emotion_mlflow.reporter import Reporter
from emotion_mlflow.tracking import machine, registry, runs
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
        manifest, split = _faces(request, model.card, version, reporter)
        reporter.stage("decoding faces")
        pixels = load_pixels(manifest, image_size=model.size, cache_dir=request.cache_dir, progress=reporter.advance)
        digest = manifest.digest()
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
            run.log_params({"data": request.data, "split": split, **machine.describe(request.command)})
            run.log_dataset(manifest, split=split, digest=digest)
            run.log_scores(scores)
            _link(run, version)
            write_artifacts(
                folder / "artifacts",
                tables={split: predictions_table(manifest, scored.answers)},
                test=scored,
                manifest=manifest,
                pixels=pixels,
                history=None,
                best_epoch=None,
                show_faces=request.show_faces,
                tracking_uri=run.tracking_uri,
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
        tracking_uri=runs.without_password(run.tracking_uri),
    )


def _faces(request: EvaluateRequest, card: dict, version: registry.Version, reporter: Reporter) -> tuple[Manifest, str]:
    """The faces to score, in the order in which training scored them, and the split's name."""
    manifest = read_faces(
        card["data"] if request.data == AUTO else request.data,
        data_format=request.data_format,
        max_rejected=request.max_rejected,
        cache_dir=request.cache_dir,
        reporter=reporter,
    )
    own = manifest.digest() == card["data_digest"]
    split = ("test" if own else "all") if request.split == AUTO else request.split
    if split == "all":
        return manifest, split
    if not own:
        raise DataError(
            f"--split all, since {manifest.name} is not the set this version was trained on",
            got=split,
            where="--split",
        )
    return _members(manifest, registry.split_ids(version.run_id, split), split), split


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


def _link(run: runs.Run, version: registry.Version) -> None:
    """Makes the run an evaluation of the logged model in MLflow's own view, where the version knows it."""
    model_id = getattr(mlflow.models.get_model_info(version.uri), "model_id", None)
    if model_id:
        inputs = [mlflow.entities.LoggedModelInput(model_id=model_id)]
        with runs.told(version.uri):
            run.client.log_inputs(run.run_id, models=inputs)


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
        card = json.loads(card_file.read_text())
        manifest = read_faces(
            card["data"], data_format=data_format, max_rejected=1.0, cache_dir=cache_dir, reporter=reporter
        )
        _require_digest(manifest, card["data_digest"], "the set that the version was trained on")
        part = _members(manifest, registry.split_ids(faces_of.run_id, "test"), "test")
        _require_digest(part, faces_of.tags.get("test_digest", ""), "the test faces that the version was scored on")
        model = load_saved(*registry.download(version, Path(scratch) / "champion"))
        pixels = load_pixels(part, image_size=model.size, cache_dir=cache_dir, progress=reporter.advance)
        reporter.stage("scoring the champion on the candidate's test faces")
        return predictions_table(part, answer(model, part, pixels))


def _require_digest(manifest: Manifest, digest: str, what: str) -> None:
    if manifest.digest() != digest:
        raise DataError(f"{what}, digest {digest[:12]}", got=manifest.digest()[:12], where=manifest.name)
