"""Puts preprocessing, trunk, pooling and heads together. Used by `features`, `train` and the job."""

from dataclasses import dataclass

import keras
import numpy as np

from emotion_mlflow.config import ModelConfig
from emotion_mlflow.labels import AFFECT_HIGH, AFFECT_LOW, PIXEL_CENTRE
from emotion_mlflow.models.backbones import CAFFE_MEAN, Trunk, load_trunk, set_batch_norm, still_residuals
from emotion_mlflow.models.facts import backbone_facts
from emotion_mlflow.models.heads import build_heads, norms_in_heads


@dataclass(frozen=True, kw_only=True)
class Parts:
    """One network in the pieces that are trained, cached and saved."""

    config: ModelConfig
    trunk: Trunk
    features: keras.Model
    """(N, S, S, 3) pixels 0-255 -> (N, F) pooled features, a frozen backbone's on one scale; preprocessing inside."""
    components: keras.layers.Dense | None
    """(N, F) -> (N, K), where heads see principal components; fitted by `features.reduce_features`."""
    heads: keras.Model
    """(N, F) or (N, K) -> dict of outputs, see `build_heads`."""
    whole: keras.Model
    """(N, S, S, 3) pixels 0-255 -> dict of outputs."""
    frozen_norms: int

    def hold_backbone(self, *, still: bool) -> None:
        """Keeps the backbone as it is (warm-up), or lets it learn, with its BatchNormalization as configured."""
        self.trunk.network.trainable = not still
        if not still:
            frozen = self.config.batch_norm == "frozen"
            set_batch_norm(self.trunk, frozen=frozen, momentum=self.config.batch_norm_momentum)

    def answering(self) -> keras.Model:
        """What is saved: (N, H, W, 3) pixels 0-255 of any size -> dict of float32 answers.

        expression (N, 8) probabilities; valence, arousal (N,) in [-1, 1]; landmarks (N, 2K) in pixels of the input.
        Built-in layers only, so that Keras' safe mode loads it without this package.
        """
        pixels = keras.Input((None, None, 3), name="pixels")
        size = self.config.image_size
        resize = keras.layers.Resizing(size, size, "bilinear", antialias=True, dtype="float32", name="resize")
        outputs = self.whole(keras.ops.round(resize(pixels)), training=False)
        answers = {}
        for task, output in outputs.items():
            if task == "expression":
                answers[task] = keras.layers.Softmax(dtype="float32", name="probabilities")(output)
            elif task == "landmarks":
                answers[task] = _in_pixels(output, pixels)
            else:
                answers[task] = keras.ops.clip(keras.ops.squeeze(output, axis=-1), AFFECT_LOW, AFFECT_HIGH)
        return keras.Model(pixels, answers, name="answering")


def build(config: ModelConfig, *, mean_shape: np.ndarray, mean_affect: tuple[float, float]) -> Parts:
    """The network of `config`, untrained but for its starting weights; WeightsError where those do not fit.

    mean_shape: (2K,) mean landmarks of the training faces as shares of the picture's size; mean_affect: their mean
    valence and arousal. A backbone that is not trained is cut after its deepest stage that was loaded whole.
    """
    trunk = load_trunk(config.backbone, weights=config.weights, image_size=config.image_size)
    frozen = not config.train_backbone or config.batch_norm == "frozen"
    frozen_norms = set_batch_norm(trunk, frozen=frozen, momentum=config.batch_norm_momentum)
    if config.still_residuals:
        still_residuals(trunk)
    network = trunk.network
    if not config.train_backbone:
        network.trainable = False
        if trunk.deepest_stage:
            network = keras.Model(network.input, network.get_layer(trunk.deepest_stage).output, name=network.name)
    pixels = keras.Input((config.image_size, config.image_size, 3), name="pixels")
    maps = network(_preprocess(pixels, config))
    pooled = keras.layers.GlobalAveragePooling2D(dtype="float32", name="pool")(maps)
    if config.head_norm and not norms_in_heads(config):
        scale = keras.layers.LayerNormalization(epsilon=1e-5, center=False, scale=False, name="head_norm")
        pooled = scale(pooled)
    features = keras.Model(pixels, pooled, name="features")
    components, seen = None, pooled
    if config.components:
        count = min(config.components, pooled.shape[-1])
        components = keras.layers.Dense(count, trainable=False, dtype="float32", name="components")
        seen = components(pooled)
    heads = build_heads(seen.shape[-1], config=config, mean_shape=mean_shape, mean_affect=mean_affect)
    return Parts(
        config=config,
        trunk=trunk,
        features=features,
        components=components,
        heads=heads,
        whole=keras.Model(pixels, heads(seen), name="whole"),
        frozen_norms=frozen_norms,
    )


def _preprocess(pixels: keras.KerasTensor, config: ModelConfig) -> keras.KerasTensor:
    """The backbone's own contract, or the published report's /255, as layers of the saved graph."""
    if config.pixels == "unit":
        return keras.layers.Rescaling(1 / 255, name="preprocess_unit")(pixels)
    if backbone_facts(config.backbone).pixels == "caffe":
        mean_bgr = [-mean for mean in reversed(CAFFE_MEAN)]
        return keras.layers.Rescaling(1.0, offset=mean_bgr, name="preprocess_caffe")(keras.ops.flip(pixels, axis=-1))
    return keras.layers.Rescaling(1.0, name="preprocess_raw")(pixels)


def _in_pixels(shares: keras.KerasTensor, pixels: keras.KerasTensor) -> keras.KerasTensor:
    """Shares of the picture -> pixels of the input; its size is summed up since a symbolic shape has no numbers."""
    height = keras.ops.sum(keras.ops.ones_like(pixels[:, :, 0, 0]), axis=1, keepdims=True)
    width = keras.ops.sum(keras.ops.ones_like(pixels[:, 0, :, 0]), axis=1, keepdims=True)
    points = keras.layers.Reshape((-1, 2), dtype="float32")(shares)
    scaled = points * keras.ops.expand_dims(keras.ops.concatenate([width, height], axis=-1), axis=1)
    flat = keras.layers.Reshape((shares.shape[-1],), dtype="float32", name="landmark_pixels")
    return flat(scaled - PIXEL_CENTRE)
