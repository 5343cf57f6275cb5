"""The recipe `probe` against one forward pass over the same pictures: N faces and their mirror images.

Ours is features, then 50 epochs of all heads by `emotion_mlflow.train.fit` with checkpoints and MLflow on SQLite;
again with other head settings, when the features are there. The forward pass is the same frozen trunk in a traced
function over pixels in memory, in a process of its own, batches of 64, traced beforehand.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.figures import Figure, Pace, Settings, Worker, ratio
from emotion_mlflow.data.manifest import Manifest
from emotion_mlflow.data.pixels import load_pixels

DRAWN_FACES, IMAGE_SIZE, BATCH = 1024, 96, 64
MODULE = "benchmarks.bench_probe"
OTHER_HEADS = {"training.learning_rate": 1e-3, "model.dropout": 0.1, "training.affect_loss": "mse"}


def measure(settings: Settings) -> list[Figure]:
    """Two ratios for each backbone."""
    return [figure for backbone in settings.backbones for figure in _measure(backbone, settings)]


def _measure(backbone: str, settings: Settings) -> list[Figure]:
    first, again, forward = [], [], []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        manifest, _ = _faces(folder, settings.shared, settings.faces or 0)
        arguments = [backbone, str(folder), str(settings.shared or ""), str(settings.faces or 0)]
        with (
            Worker(module=MODULE, arguments=["probe", *arguments], folder=folder) as ours,
            Worker(module=MODULE, arguments=["forward", *arguments], folder=folder) as other,
        ):
            for _ in range(settings.repeats or 3):
                forward.append(other.go())
                first.append(ours.go())
                again.append(ours.go())
    pictures = f"{len(manifest):,} {'real' if settings.shared else 'drawn'} faces, {IMAGE_SIZE} px"
    whole = [each["seconds"] for each in forward]
    parts = {name: statistics.median(each[name] for each in first) for name in ("features", "heads")}
    return [
        ratio(
            f"`probe` with {backbone}, {pictures}",
            [each["seconds"] for each in first],
            whole,
            target=1.3,
            sides=("features and 50 epochs", "forward pass"),
            note=", ".join(f"{name} {value:.1f} s" for name, value in parts.items()),
        ),
        ratio(
            f"`probe` with {backbone} again, other head settings, {pictures}",
            [each["seconds"] for each in again],
            whole,
            target=0.15,
            sides=("cached features and 50 epochs", "forward pass"),
        ),
    ]


def _faces(folder: Path, shared: Path | None, limit: int) -> tuple[Manifest, np.ndarray]:
    """The training part of the shared set, or drawn faces; a tenth of it is `val`."""
    if shared:
        from emotion_mlflow.data.read import read

        manifest = read(shared / "data" / "faces", cache_dir=folder)
        manifest = manifest.rows((manifest.table["part"] == "train").to_numpy())
        manifest = manifest.rows(np.arange(min(limit or len(manifest), len(manifest))))
    else:
        from emotion_mlflow.data.demo import demo_manifest

        manifest = demo_manifest(folder / "demo", train=limit or DRAWN_FACES, validation=8)
        manifest = manifest.rows((manifest.table["part"] == "train").to_numpy())
    return manifest, load_pixels(manifest, image_size=IMAGE_SIZE, cache_dir=folder)


def _weights(shared: Path | None, backbone: str) -> str:
    files = sorted((shared / "weights").glob(f"{backbone}_*.weights.h5")) if shared else []
    return str(files[0]) if files else "none"


def _parts(backbone: str, manifest: Manifest, shared: Path | None, changes: Mapping[str, Any]) -> tuple[Any, Any]:
    from emotion_mlflow.data.batches import truth_arrays
    from emotion_mlflow.jobs.faces import mean_affect, mean_shape
    from emotion_mlflow.models.build import build
    from emotion_mlflow.recipes import resolve

    config = resolve("probe", backbone, drawn=True, labelled=manifest.tasks())
    settings = {"model.image_size": IMAGE_SIZE, "model.weights": _weights(shared, backbone)}
    config = config.override({**settings, **changes})
    truth = truth_arrays(manifest)
    return config, build(config.model, mean_shape=mean_shape(truth), mean_affect=mean_affect(truth))


def _work_probe(pace: Pace, backbone: str, folder: Path, shared: Path | None, limit: int) -> None:
    """Every other turn finds the features of the turn before."""
    from emotion_mlflow.cli.progress import PlainReporter
    from emotion_mlflow.jobs.work import reset
    from emotion_mlflow.tracking import journaled

    manifest, pixels = _faces(folder, shared, limit)
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    turn = 0
    while pace.wait():
        reset(0)
        config, parts = _parts(backbone, manifest, shared, OTHER_HEADS if turn % 2 else {})
        place = folder / f"turn{turn // 2}"
        with journaled.open_run(
            experiment="benchmark",
            tracking_uri=uri,
            name=backbone,
            tags={},
            cache_dir=place,
            sync_wait=60.0,
            tell=PlainReporter().warn,
        ) as run:

            class Logged(PlainReporter):
                """What the job's sink does with an epoch."""

                def epoch(self, row: Mapping[str, float], run: journaled.JournaledRun = run) -> None:
                    super().epoch(row)
                    run.log_epoch(row)

            pace.answer(**_probe(config, parts, manifest, pixels, place, Logged()))
        turn += 1


def _probe(
    config: Any, parts: Any, manifest: Manifest, pixels: np.ndarray, folder: Path, sink: Any
) -> dict[str, float]:
    from emotion_mlflow.checkpoints import Checkpoints
    from emotion_mlflow.data.batches import Examples, truth_arrays
    from emotion_mlflow.features import compute_features, reduce_features
    from emotion_mlflow.train import fit

    started = time.perf_counter()
    held_out = np.arange(len(manifest)) % 10 == 0
    contents = manifest.table["content_hash"].to_numpy().astype(str)
    splits = [np.flatnonzero(~held_out), np.flatnonzero(held_out)]
    features = [compute_features(parts, pixels[rows], contents=contents[rows], cache_dir=folder) for rows in splits]
    examples = [
        Examples(inputs=inputs, truth=truth_arrays(manifest.rows(rows)), layout=manifest.layout)
        for rows, inputs in zip(splits, reduce_features(parts, *features), strict=True)
    ]
    computed = time.perf_counter()
    kept = Checkpoints(folder / "checkpoints")
    fit(config, parts, *examples, sink=sink, checkpoints=kept)
    kept.remove()
    done = time.perf_counter()
    return {"seconds": done - started, "features": computed - started, "heads": done - computed}


def _work_forward(pace: Pace, backbone: str, folder: Path, shared: Path | None, limit: int) -> None:
    import tensorflow as tf

    manifest, pixels = _faces(folder, shared, limit)
    _, parts = _parts(backbone, manifest, shared, {})
    views = [np.array(pixels), np.ascontiguousarray(pixels[:, :, ::-1])]
    run = tf.function(lambda batch: parts.features(tf.cast(batch, tf.float32), training=False), reduce_retracing=True)
    for faces in (BATCH, len(pixels) % BATCH or BATCH):
        run(tf.constant(views[0][:faces]))
    while pace.wait():
        started = time.perf_counter()
        for view in views:
            for start in range(0, len(view), BATCH):
                run(tf.constant(view[start : start + BATCH])).numpy()
        pace.answer(seconds=time.perf_counter() - started)


if __name__ == "__main__":
    side, backbone, folder, shared, limit = sys.argv[1:]
    work = {"probe": _work_probe, "forward": _work_forward}[side]
    work(Pace(), backbone, Path(folder), Path(shared) if shared else None, int(limit))
