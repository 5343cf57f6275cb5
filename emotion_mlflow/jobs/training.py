"""One training from faces to a registered version: the spine that joins data, model, training and tracking.

Used by the command line. Values come in as a `TrainRequest`; what happens is told to a `Reporter`.
"""

import contextlib
import errno
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from emotion_mlflow import cache
from emotion_mlflow.config import RunConfig
from emotion_mlflow.data.manifest import Manifest
from emotion_mlflow.data.sets import from_anywhere
from emotion_mlflow.errors import TrainingError
from emotion_mlflow.jobs.cell import cell_digest, weights_digest_of
from emotion_mlflow.jobs.faces import cut_faces, read_faces, require_labels, require_memory
from emotion_mlflow.jobs.request import Outcome, TrainRequest
from emotion_mlflow.jobs.resume import TAG, TakenUp, request_tag, require_same_data, take_up
from emotion_mlflow.jobs.work import Work
from emotion_mlflow.labels import SPLITS
from emotion_mlflow.reporter import Reporter
from emotion_mlflow.tracking import journaled, runs
from emotion_mlflow.tracking.cells import PARENT
from emotion_mlflow.tracking.stored import experiment_name, read_run


def train(request: TrainRequest, reporter: Reporter) -> Outcome:
    """Trains, scores, logs and registers; every score is taken from the saved model read back.

    With `resume` an unfinished run goes on after its last kept epoch, to the same result bit for bit.
    """
    request.check()
    with _room(request.cache_dir):
        try:
            return _train(request, reporter)
        finally:
            cache.trim(request.cache_dir, limit_gb=request.cache_limit)


def _train(request: TrainRequest, reporter: Reporter) -> Outcome:
    started = time.perf_counter()
    runs.connect(request.tracking_uri)
    taken = _take_up(request, reporter) if request.resume else None
    request = taken.request if taken else request
    read = read_faces(
        request.data.data,
        data_format=request.data.data_format,
        max_rejected=request.data.max_rejected,
        cache_dir=request.cache_dir,
        reporter=reporter,
    )
    digest = read.digest()
    cut_digest = read.cut_digest(digest)
    if taken:
        require_same_data(taken, cut_digest)
    config = taken.config if taken else request.config(drawn=read.drawn, labelled=read.tasks(), name=read.name)
    config = replace(config, data=replace(config.data, data=from_anywhere(config.data.data)))
    manifest, leaks = cut_faces(read, config.data, reporter)
    require_labels(manifest, config.model.tasks, selected_on_test=config.data.selected_on_test)
    require_memory(manifest, image_size=config.model.image_size)
    _tell_left_out(read, reporter)
    with journaled.open_run(
        experiment=request.experiment,
        tracking_uri=request.tracking_uri,
        name=f"{config.model.backbone} {config.recipe} seed {config.training.rng_seed}",
        tags=_first_tags(request, config, name=manifest.name, data_digest=cut_digest),
        cache_dir=request.cache_dir,
        sync_wait=request.sync_wait,
        tell=reporter.warn,
        resume=request.resume,
    ) as run:
        reporter.note(_summary(config, manifest))
        work = Work(request=request, config=config, run=run, reporter=reporter)
        counts = {"data/leaks": leaks["id"].nunique(), "data/leak_pairs": len(leaks)}
        run.log_scores({"data/rejected": len(read.rejected), **counts})
        run.log_text("leaks.csv", leaks.to_csv(index=False))
        try:
            with _room(request.cache_dir):
                outcome = work.through(manifest, digest, started)
        except BaseException:
            work.keep_history()
            raise
    return replace(
        outcome,
        model_name=request.model_name if run.version else None,
        model_version=run.version,
        unsent=run.unsent,
        seconds=time.perf_counter() - started,
    )


@contextlib.contextmanager
def _room(cache_dir: Path) -> Iterator[None]:
    """A full disk becomes a TrainingError: one line instead of a traceback."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT) and "No space left" not in str(error):
            raise
        where = error.filename or f"{cache_dir} or {tempfile.gettempdir()}"
        raise TrainingError("room on the disk", got="none left", where=where) from None


def _take_up(request: TrainRequest, reporter: Reporter) -> TakenUp:
    """What the run was asked for, once all that its earlier process wrote has reached the server."""
    journaled.send_rest(
        request.resume,
        cache_dir=request.cache_dir,
        tracking_uri=request.tracking_uri,
        seconds=request.sync_wait,
        tell=reporter.warn,
    )
    stored = read_run(request.resume)
    return take_up(request, stored, experiment=experiment_name(stored.experiment_id))


def _first_tags(request: TrainRequest, config: RunConfig, *, name: str, data_digest: str) -> dict[str, str]:
    """What a run is known by from its first moment."""
    weights = weights_digest_of(config.model.backbone, config.model.weights)
    tags = {
        "backbone": config.model.backbone,
        "recipe": config.recipe,
        "data_name": name,
        "cell_digest": cell_digest(config, data_digest=data_digest, weights_digest=weights),
        TAG: request_tag(request, config, data_digest=data_digest, weights_digest=weights),
    }
    return tags | ({PARENT: request.parent_run} if request.parent_run else {})


def _tell_left_out(read: Manifest, reporter: Reporter) -> None:
    learnable = read.tasks()
    left_out = [task for task, labelled in read.labelled().items() if labelled.any() and task not in learnable]
    if left_out:
        reporter.warn(f"{', '.join(left_out)}: labels on one side only of the set's own parts, so it is not learnt")


def _summary(config: RunConfig, manifest: Manifest) -> str:
    counts = manifest.table["split"].value_counts()
    faces = ", ".join(f"{counts.get(split, 0):,} {split}" for split in SPLITS if counts.get(split, 0))
    model = config.model
    return (
        f"{model.backbone}, recipe {config.recipe}, weights {Path(model.weights).name}, tasks {' '.join(model.tasks)}, "
        f"{model.image_size} px, {config.training.epochs} epochs, the best by "
        f"{config.training.early_stopping}; faces of {manifest.name}: {faces}"
    )
