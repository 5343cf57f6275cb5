"""One tracked epoch of `train` against bare `keras.Model.fit` of the same network on the same faces in memory, 96 px.

Ours is the code path of the job: `emotion_mlflow.train.fit` with the recipe `improved` (validation with its metrics),
checkpoints, the progress reporter, and MLflow on SQLite with system metrics; the epoch's batch has arrived when the
clock stops. Bare is Keras' `fit` of the same network and losses on float tensors, then `predict` of the validation
faces. It has no augmentation; so ours is measured without (the same tensors) and with it, which takes 0.8 ms of a
processor a face. Each side lives in a process of its own, so that the determinism `train` asks of TensorFlow does not
slow the bare one; none autotunes `tf.data`, whose thread often makes the end of an epoch wait. They take turns, epoch
by epoch; the first epoch traces and is left out. Checkpoint and validation's metrics cost the same whatever the
epoch's length, so that with more faces the ratio is nearer to that of training alone.
"""

import contextlib
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.figures import Figure, Pace, Settings, Worker, ratio
from emotion_mlflow.data.demo import demo_manifest
from emotion_mlflow.data.manifest import Manifest
from emotion_mlflow.data.pixels import load_pixels

FACES, IMAGE_SIZE, BATCH = 1024, 96, 32
SIDES = ("same", "augmented", "bare")
MODULE = "benchmarks.bench_epoch"


def measure(settings: Settings) -> list[Figure]:
    """Two ratios for each backbone."""
    return [figure for backbone in settings.backbones for figure in _measure(backbone, settings)]


def _measure(backbone: str, settings: Settings) -> list[Figure]:
    faces, repeats = settings.faces or FACES, settings.repeats or 3
    taken: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    with tempfile.TemporaryDirectory() as scratch, contextlib.ExitStack() as stack:
        folder = Path(scratch)
        _faces(folder, faces)
        arguments = [backbone, str(folder), str(faces), str(repeats + 1)]
        workers = {
            side: stack.enter_context(Worker(module=MODULE, arguments=[side, *arguments], folder=folder))
            for side in SIDES
        }
        for _ in range(repeats + 1):
            for side, worker in workers.items():
                taken[side].append(worker.go())
    whole = f"an epoch of {backbone}, {faces} drawn faces, {IMAGE_SIZE} px"
    return [
        _figure(f"{whole}, the same tensors", taken["same"], taken["bare"]),
        _figure(f"{whole}, with augmentation", taken["augmented"], taken["bare"]),
    ]


def _figure(name: str, ours: list[dict[str, float]], bare: list[dict[str, float]]) -> Figure:
    parts = {part: statistics.median(each[part] for each in ours[1:]) for part in ours[0] if part != "seconds"}
    told = ", ".join(f"{part} {value:.2f} s" for part, value in parts.items())
    return ratio(
        name,
        [each["seconds"] for each in ours[1:]],
        [each["seconds"] for each in bare[1:]],
        target=1.10,
        goal=1.05,
        sides=("tracked epoch", "`fit` and `predict`"),
        note=f"{told}; bare: training {statistics.median(each['training'] for each in bare[1:]):.2f} s",
    )


def _faces(folder: Path, faces: int) -> tuple[Manifest, np.ndarray]:
    """Drawn faces, an eighth of them for validation, and their pixels."""
    manifest = demo_manifest(folder / "demo", train=faces, validation=max(faces // 8, 8))
    return manifest, load_pixels(manifest, image_size=IMAGE_SIZE, cache_dir=folder)


def _part(manifest: Manifest, pixels: np.ndarray, part: str) -> Any:
    from emotion_mlflow.data.batches import Examples, truth_arrays

    rows = np.flatnonzero((manifest.table["part"] == part).to_numpy())
    chosen = manifest.rows(rows)
    return Examples(inputs=pixels[rows], truth=truth_arrays(chosen), layout=chosen.layout)


def _config(backbone: str, epochs: int) -> Any:
    from emotion_mlflow.recipes import resolve

    changes = {"model.image_size": IMAGE_SIZE, "training.batch_size": BATCH}
    changes |= {"training.epochs": epochs, "training.warmup_epochs": 0}
    return resolve(
        "improved", backbone, drawn=True, labelled=("expression", "valence", "arousal", "landmarks")
    ).override(changes)


def _network(config: Any, train: Any) -> Any:
    from emotion_mlflow.jobs.faces import mean_affect, mean_shape
    from emotion_mlflow.models.build import build

    return build(config.model, mean_shape=mean_shape(train.truth), mean_affect=mean_affect(train.truth))


def _work_ours(pace: Pace, side: str, backbone: str, folder: Path, faces: int, epochs: int) -> None:
    from emotion_mlflow.checkpoints import Checkpoints, State
    from emotion_mlflow.cli.progress import PlainReporter
    from emotion_mlflow.config import AugmentConfig
    from emotion_mlflow.jobs.work import reset
    from emotion_mlflow.tracking import journaled
    from emotion_mlflow.train import fit

    manifest, pixels = _faces(folder, faces)
    train, val = _part(manifest, pixels, "train"), _part(manifest, pixels, "validation")
    config = _config(backbone, epochs)
    if side == "same":
        config = replace(config, augment=AugmentConfig())
    reset(0)
    parts = _network(config, train)

    class Timed(Checkpoints):
        """How long the last one took."""

        seconds = 0.0

        def save(self, state: State) -> None:
            saving = time.perf_counter()
            super().save(state)
            self.seconds = time.perf_counter() - saving

    class Paced(PlainReporter):
        """What the job's sink does with an epoch, which comes last; then the clock stops, and waits for its turn."""

        started = 0.0

        def epoch(self, row: Mapping[str, float]) -> None:
            logging = time.perf_counter()
            super().epoch(row)
            run.log_epoch(row)
            done = time.perf_counter()
            pace.answer(
                seconds=done - self.started,
                training=row["seconds"],
                validation=row["validation_seconds"],
                checkpoint=kept.seconds,
                tracking=done - logging,
            )
            pace.wait()
            self.started = time.perf_counter()

    paced, kept = Paced(), Timed(folder / f"checkpoints-{side}")
    uri = f"sqlite:///{folder / side}.db"
    with journaled.open_run(
        experiment="benchmark",
        tracking_uri=uri,
        name=backbone,
        tags={},
        cache_dir=folder / side,
        sync_wait=60.0,
        tell=PlainReporter().warn,
    ) as run:
        pace.wait()
        paced.started = time.perf_counter()
        fit(config, parts, train, val, sink=paced, checkpoints=kept)


def _work_bare(pace: Pace, side: str, backbone: str, folder: Path, faces: int, epochs: int) -> None:
    import keras
    import tensorflow as tf

    from emotion_mlflow.models.network import Network

    manifest, pixels = _faces(folder, faces)
    train, val = _part(manifest, pixels, "train"), _part(manifest, pixels, "validation")
    config = _config(backbone, epochs)
    keras.utils.set_random_seed(0)
    parts = _network(config, train)
    network = Network(parts.whole, config=config.training, class_weights=np.ones(8), layout=train.layout)
    optimizer = keras.optimizers.AdamW(config.training.learning_rate, global_clipnorm=config.training.clip_norm)
    network.compile(optimizer=optimizer)
    batches = tf.data.Dataset.from_tensor_slices((train.inputs.astype(np.float32), train.truth))
    plain = tf.data.Options()
    plain.autotune.enabled = False  # as in data/batches.py, else this side waits at the end of an epoch
    batches = batches.shuffle(faces).batch(BATCH).prefetch(2).with_options(plain)
    held_out = tf.data.Dataset.from_tensor_slices(val.inputs.astype(np.float32)).batch(128).with_options(plain)
    while pace.wait():
        started = time.perf_counter()
        network.fit(batches, epochs=1, verbose=0)
        trained = time.perf_counter()
        network.predict(held_out, verbose=0)
        pace.answer(seconds=time.perf_counter() - started, training=trained - started)


if __name__ == "__main__":
    side, backbone, folder, faces, epochs = sys.argv[1:]
    work = _work_bare if side == "bare" else _work_ours
    work(Pace(), side, backbone, Path(folder), int(faces), int(epochs))
