"""What one training does inside its open run: features, fit, scores of the saved model, artifacts, version.

Used by the training job.
"""

import hashlib
import io
import json
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
import yaml
from PIL import Image

from emotion_mlflow import reproduce, timing
from emotion_mlflow.checkpoints import Checkpoints, State
from emotion_mlflow.config import RunConfig, as_dict
from emotion_mlflow.data.augment import may_mirror
from emotion_mlflow.data.batches import Examples, truth_arrays
from emotion_mlflow.data.drawing import draw_face
from emotion_mlflow.data.manifest import Manifest
from emotion_mlflow.data.pixels import load_pixels
from emotion_mlflow.errors import without_password
from emotion_mlflow.evaluate import Scored, answer, load_saved, predictions_table, score
from emotion_mlflow.features import compute_features, reduce_features
from emotion_mlflow.jobs.faces import Faces, mean_affect, mean_shape
from emotion_mlflow.jobs.request import Outcome, TrainRequest
from emotion_mlflow.labels import EXPRESSIONS
from emotion_mlflow.metrics.suite import selection_score
from emotion_mlflow.models.build import Parts, build
from emotion_mlflow.models.facts import backbone_facts
from emotion_mlflow.reporter import Both, Reporter
from emotion_mlflow.serving.model import FORMAT
from emotion_mlflow.tracking import machine, registry
from emotion_mlflow.tracking.artifacts import write_artifacts
from emotion_mlflow.tracking.journaled import JournaledRun
from emotion_mlflow.train import Fitted, fit


@dataclass(kw_only=True)
class Work:
    """The steps of one training; what is logged goes to `run`, what happens is told to `reporter`."""

    request: TrainRequest
    config: RunConfig
    run: JournaledRun
    reporter: Reporter
    rows: list[dict[str, float]] = field(default_factory=list)
    timings: dict[str, float] = field(default_factory=dict)
    earlier_seconds: float = 0.0
    """Of the epochs that an earlier process of this run trained."""

    def through(self, manifest: Manifest, data_digest: str, started: float) -> Outcome:
        """All of them; the version's number is known only once the run is closed."""
        config = self.config
        machine.forget_peak()  # an earlier training of this process may have held more
        self._log_start(manifest)
        faces = Faces(
            manifest=manifest,
            pixels=self._pixels(manifest),
            data_digest=data_digest,
            selected_on_test=config.data.selected_on_test,
        )
        reset(config.training.rng_seed, mixed_precision=config.training.mixed_precision)
        parts = self._build(faces.parts["train"])
        self._log_inputs(faces, parts)
        with tempfile.TemporaryDirectory(prefix="emotion-mlflow-") as scratch:
            folder = Path(scratch)
            fitted = self._fit(parts, faces)
            files = self._save(parts, faces, folder)
            scored = self._score(faces, *files, folder)
            scores = {name: value for one in scored.values() for name, value in one.named().items()}
            self._finish(fitted, faces, parts, scored, scores, folder, files, started)
        self._checkpoints.remove()
        return Outcome(
            run_id=self.run.run_id,
            model_name=None,
            model_version=None,
            backbone=config.model.backbone,
            recipe=config.recipe,
            seconds=time.perf_counter() - started,
            scores=scores,
            tracking_uri=without_password(self.run.tracking_uri),
        )

    @property
    def _checkpoints(self) -> Checkpoints:
        return Checkpoints(self.request.cache_dir / "checkpoints" / self.run.run_id)

    def begin(self, *, epochs: int, steps: int) -> None:
        """See Sink."""

    def step(self, *, epoch: int, step: int, figures: Mapping[str, float]) -> None:
        """See Sink."""

    def epoch(self, row: Mapping[str, float]) -> None:
        """See Sink: one line of the journal, one request."""
        self.rows.append(dict(row))
        self.run.log_epoch(row)

    def _log_start(self, manifest: Manifest) -> None:
        self.run.log_params({**self.config.to_params(), **machine.describe(self.request.command)})
        self.run.log_text("config.yaml", yaml.safe_dump(as_dict(self.config)))
        self.run.log_text("rejected.csv", manifest.rejected.to_csv(index=False))
        epochs = self.config.training.epochs
        if self.config.model.train_backbone and self.config.training.warmup_epochs == epochs:
            self.reporter.warn(f"all epochs ({epochs}) are warm-up: the backbone is never trained, its heads alone are")

    def _log_inputs(self, faces: Faces, parts: Parts) -> None:
        ids = {split: part.table["id"].tolist() for split, part in faces.parts.items()}
        for split, part in faces.parts.items():
            self.run.log_dataset(part, split=split, digest=faces.digests[split])
        self.run.log_text("splits.json", json.dumps(ids))
        trunk, tasks = parts.trunk, self.config.model.tasks
        layout = faces.manifest.layout
        mirrors = may_mirror(layout, with_landmarks="landmarks" in tasks)
        if self.config.augment.flip and not mirrors:
            self.reporter.warn(f"faces are not mirrored: of {layout.points} landmark points no mirror order is known")
        labelled = {split: part.labelled() for split, part in faces.parts.items()}
        self.run.log_params(
            {
                **{f"labelled/{split}/{task}": int(on[task].sum()) for split, on in labelled.items() for task in tasks},
                "mirrored": str(mirrors and self.config.augment.flip > 0).lower(),
                "weights": trunk.weights,
                "weights_digest": trunk.weights_digest,
                "batch_norm_layers": trunk.norms,
                "batch_norm_frozen": parts.frozen_norms,
                "batch_norm_untrained": len(trunk.untrained_norms),
                "feature_stage": trunk.deepest_stage or "whole network",
            }
        )
        if trunk.untrained_norms and trunk.weights != "none":
            self.reporter.warn(
                f"{trunk.weights}: {len(trunk.untrained_norms)} of {trunk.norms} BatchNormalization layers were never "
                f"trained (from {trunk.untrained_norms[0]} on)"
            )
        if trunk.weights == "none" and not self.config.model.train_backbone:
            self.reporter.warn("the frozen backbone has random weights: its features are random too")

    def _pixels(self, manifest: Manifest) -> np.ndarray:
        self.reporter.stage("decoding faces")
        return load_pixels(
            manifest,
            image_size=self.config.model.image_size,
            cache_dir=self.request.cache_dir,
            progress=self.reporter.advance,
        )

    def _build(self, training: Manifest) -> Parts:
        self.reporter.stage("building the network")
        truth = truth_arrays(training)
        shape = mean_shape(truth)
        return build(self.config.model, mean_shape=shape, mean_affect=mean_affect(truth))

    def _fit(self, parts: Parts, faces: Faces) -> Fitted:
        kept = self._kept() if self.request.resume else None
        examples = self._examples(parts, faces)
        self.reporter.stage("training")
        sink = Both(self, self.reporter)  # in this order: an epoch that was told has been kept, wherever a stop falls
        fitted = fit(self.config, parts, *examples, sink=sink, checkpoints=self._checkpoints, start=kept)
        for row in fitted.history.to_dict("records"):
            self.run.log_epoch({str(name): float(value) for name, value in row.items()})  # what a kill kept from it
        return fitted

    def _kept(self) -> State | None:
        """The last whole checkpoint of the run that goes on, and what is amiss."""
        kept, damaged = self._checkpoints.load()
        for file in damaged:
            self.reporter.warn(f"the checkpoint {file.name} is damaged: going on from the one before")
        if kept is None:
            self.reporter.warn(f"no checkpoint under {self._checkpoints.folder}: starting again with the first one")
            return None
        self.rows = [dict(row) for row in kept.notes["history"]]
        self.earlier_seconds = sum(row["seconds"] + row["validation_seconds"] for row in self.rows)
        self.reporter.note(f"going on after {kept.epoch} of {self.config.training.epochs} epochs")
        return kept

    def keep_history(self) -> None:
        """What a stopped training has: its epochs so far."""
        if self.rows:
            self.run.log_text("history.csv", pd.DataFrame(self.rows).to_csv(index=False))

    def _examples(self, parts: Parts, faces: Faces) -> list[Examples]:
        """Of train and val: pixels, or what the heads of a frozen backbone see of them."""
        splits = ("train", "val")
        if self.config.model.train_backbone:
            inputs = [faces.pixels_of(split) for split in splits]
        else:
            inputs = list(reduce_features(parts, *(self._features(parts, faces, split) for split in splits)))
        return [
            Examples(inputs=array, truth=truth_arrays(faces.parts[split]), layout=faces.manifest.layout)
            for split, array in zip(splits, inputs, strict=True)
        ]

    def _features(self, parts: Parts, faces: Faces, split: str) -> np.ndarray:
        self.reporter.stage("computing features")
        return compute_features(
            parts,
            faces.pixels_of(split),
            contents=faces.parts[split].table["content_hash"].to_numpy().astype(str),
            cache_dir=self.request.cache_dir,
            progress=self.reporter.advance,
        )

    def _save(self, parts: Parts, faces: Faces, folder: Path) -> tuple[Path, Path]:
        self.reporter.stage("saving the model")
        network = folder / registry.NETWORK_FILE
        parts.answering().save(network)
        test = faces.parts["test"]
        card = {
            "format": FORMAT,
            "expressions": list(EXPRESSIONS),
            "tasks": list(self.config.model.tasks),
            "image_size": self.config.model.image_size,
            "pixels": "unit"
            if self.config.model.pixels == "unit"
            else backbone_facts(self.config.model.backbone).pixels,
            "landmark_points": test.layout.points,
            "landmark_layout": test.layout.name,
            "network_sha256": hashlib.sha256(network.read_bytes()).hexdigest(),
            "backbone": self.config.model.backbone,
            "recipe": self.config.recipe,
            "data": self.config.data.data,
            "data_format": self.config.data.data_format,
            "max_rejected": self.config.data.max_rejected,
            "data_name": test.name,
            "data_digest": faces.data_digest,
        }
        file = folder / registry.CARD_FILE
        file.write_text(json.dumps(card, indent=2))
        return network, file

    def _score(self, faces: Faces, network: Path, card: Path, folder: Path) -> dict[str, Scored]:
        self.reporter.stage("scoring the saved model")
        model = load_saved(network, card)
        scored = {}
        for number, (split, part) in enumerate(faces.parts.items(), start=1):
            scored[split] = score_split(model, part, faces.pixels_of(split), split=split, digest=faces.digests[split])
            self.reporter.advance(number, len(faces.parts))
        self.timings = timing.measure(model, faces.pixels_of("test"))
        reproduce.write_check(model, folder / "artifacts" / reproduce.FILE)
        return scored

    def _finish(
        self,
        fitted: Fitted,
        faces: Faces,
        parts: Parts,
        scored: Mapping[str, Scored],
        scores: Mapping[str, float],
        folder: Path,
        files: tuple[Path, Path],
        started: float,
    ) -> None:
        self.reporter.stage("logging artifacts")
        self.run.log_scores(
            {**scores, **self.timings, **_cost(fitted, parts, files[0], started - self.earlier_seconds)}
        )
        write_artifacts(
            folder / "artifacts",
            tables={split: predictions_table(faces.parts[split], one.answers) for split, one in scored.items()},
            test=scored["test"],
            manifest=faces.parts["test"],
            pixels=faces.pixels_of("test"),
            history=fitted.history,
            best_epoch=fitted.best_epoch,
            show_faces=self.request.show_faces,
            run=self.run,
        )
        self.run.log_folder(folder / "artifacts")
        model = registry.save_model(folder / "model", network=files[0], card=files[1], example=example_picture())
        self.run.log_model(model)
        tags = self._version_tags(faces, parts, scored)
        self.run.set_tags(tags)
        if self.request.register:
            self.run.register(name=self.request.model_name, tags=tags)

    def _version_tags(self, faces: Faces, parts: Parts, scored: Mapping[str, Scored]) -> dict[str, Any]:
        config, trunk = self.config, parts.trunk
        return {
            "backbone": config.model.backbone,
            "recipe": config.recipe,
            "rng_seed": config.training.rng_seed,
            "split_seed": config.data.split_seed,
            "config_digest": config.digest(training_data=faces.digests["train"], weights=trunk.weights_digest),
            "selected_on_test": str(config.data.selected_on_test).lower(),
            "data_name": faces.manifest.name,
            "weights": trunk.weights,
            "weights_digest": trunk.weights_digest,
            "test_digest": faces.digests["test"],
            "tasks": ",".join(config.model.tasks),
            "selection_score": selection_score(scored["val"].scores),
        }


def score_split(model: Any, manifest: Manifest, pixels: np.ndarray, *, split: str, digest: str) -> Scored:
    """One split's answers, figures and intervals: the one way that training and `evaluate` score."""
    return score(
        answer(model, manifest, pixels),
        split=split,
        layout=manifest.layout,
        digest=digest,
        identities=manifest.table["identity"].to_numpy().astype(str),
    )


def reset(rng_seed: int, *, mixed_precision: bool = False) -> None:
    """From here on the same numbers for the same seed, on one machine and CPU bit for bit."""
    keras.backend.clear_session()  # forgets the policy too
    keras.mixed_precision.set_global_policy("mixed_float16" if mixed_precision else "float32")
    keras.utils.set_random_seed(rng_seed)
    tf.config.experimental.enable_op_determinism()


def example_picture() -> bytes:
    """A drawn face as PNG: the model's input example is never a person's picture."""
    picture, _ = draw_face(np.random.default_rng(0))
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()


def _cost(fitted: Fitted, parts: Parts, network: Path, started: float) -> dict[str, float]:
    history = fitted.history
    return {
        "best_epoch": fitted.best_epoch,
        "epochs": len(history),
        "stopped_early": float(fitted.stopped_early),
        "cost/parameters": parts.whole.count_params(),
        "cost/model_file_bytes": network.stat().st_size,
        "cost/peak_memory_bytes": machine.peak_memory(),
        "cost/seconds_per_epoch_training": float(history["seconds"].median()),
        "cost/seconds_per_epoch_validation": float(history["validation_seconds"].median()),
        "cost/seconds": time.perf_counter() - started,
    }
