"""Small trainings whose every number is checked; used by the tests beside it."""

import numpy as np

from emotion_mlflow.config import AugmentConfig, DataConfig, ModelConfig, RunConfig, TrainingConfig
from emotion_mlflow.labels import IBUG_68

WIDTH = 576  # features of MobileNetV3Small
FACES = 20
SIZE = 32


class Log:
    """A sink that keeps what it is told, and looks at the network after each epoch."""

    def __init__(self, look=None):
        self.begun, self.steps, self.rows, self.seen, self.look = None, [], [], [], look

    def begin(self, *, epochs, steps):
        self.begun = (epochs, steps)

    def step(self, *, epoch, step, figures):
        self.steps.append((epoch, step, dict(figures)))

    def epoch(self, row):
        self.rows.append(dict(row))
        if self.look:
            self.seen.append(self.look())


def make_config(*, augment=None, model=None, **training):
    settings = {
        "backbone": "mobilenetv3small", "image_size": SIZE, "train_backbone": False, "dropout": 0.2,
        "batch_norm_momentum": 0.9,
    } | (model or {})  # fmt: skip
    fixed = {"batch_size": 10, "epochs": 2, "affect_loss": "ccc", "optimizer": "adam", "learning_rate": 1e-3}
    return RunConfig(
        recipe="probe",
        data=DataConfig(),
        model=ModelConfig(**settings),
        augment=AugmentConfig(**(augment or {})),
        training=TrainingConfig(**(fixed | training)),
    )


def start(config, *, layout=IBUG_68):
    """A newly built network, the same one each time, as at the start of a process."""
    from emotion_mlflow.jobs.work import reset
    from emotion_mlflow.models.build import Parts, build
    from emotion_mlflow.models.heads import build_heads

    reset(config.training.rng_seed, mixed_precision=config.training.mixed_precision)
    means = {"mean_shape": np.full(layout.width, 0.5), "mean_affect": (0.0, 0.0)}
    if config.model.train_backbone:
        return build(config.model, **means)
    # a fit on features never looks at the backbone, which takes seconds to build
    heads = build_heads(WIDTH, config=config.model, **means)
    return Parts(
        config=config.model, trunk=None, features=None, components=None, heads=heads, whole=None, frozen_norms=0
    )


def truth_of(faces, layout, rng):
    truth = {
        "expression": np.arange(faces, dtype=np.int32) % 8,
        "valence": rng.uniform(-1, 1, faces).astype(np.float32),
        "arousal": rng.uniform(-1, 1, faces).astype(np.float32),
        "landmarks": rng.uniform(0.2, 0.8, (faces, layout.width)).astype(np.float32),
        "size": np.full((faces, 2), SIZE, np.float32),
    }
    return truth | {f"{task}_labelled": np.ones(faces, np.float32) for task in list(truth)[:4]}


def features(faces=FACES, *, seed=0, layout=IBUG_68):
    from emotion_mlflow.data.batches import Examples

    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(faces, 2, WIDTH)).astype(np.float32)
    return Examples(inputs=inputs, truth=truth_of(faces, layout, rng), layout=layout)


def pixels(faces=8, *, seed=0, layout=IBUG_68):
    from emotion_mlflow.data.batches import Examples

    rng = np.random.default_rng(seed)
    inputs = rng.integers(0, 256, (faces, SIZE, SIZE, 3), dtype=np.uint8)
    return Examples(inputs=inputs, truth=truth_of(faces, layout, rng), layout=layout)


def fit(config, parts, train, val, **rest):
    from emotion_mlflow.train import fit

    log = rest.pop("sink", Log())
    return fit(config, parts, train, val, sink=log, **rest), log


def same(first, second):
    assert len(first) == len(second)
    return all(np.array_equal(one, other) for one, other in zip(first, second, strict=True))


def averages(parts):
    """Moving mean and variance of each BatchNormalization, by name."""
    from emotion_mlflow.models.backbones import norm_layers

    return {
        layer.name: np.concatenate([np.array(layer.moving_mean), np.array(layer.moving_variance)])
        for layer in norm_layers(parts.trunk.network)
    }


def moved(before, after):
    return {name for name in before if not np.array_equal(before[name], after[name])}


def look_at(parts):
    return lambda: (averages(parts), parts.trunk.network.get_weights(), parts.heads.get_weights())
