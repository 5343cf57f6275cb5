"""Backbones with their starting weights, and what of them was really loaded. Used by `build` and `features`."""

import contextlib
import hashlib
import io
import re
import warnings
from dataclasses import dataclass
from pathlib import Path

import h5py
import keras
import numpy as np

from emotion_mlflow.errors import WeightsError, first_line
from emotion_mlflow.models.facts import backbone_facts

CAFFE_MEAN = (123.68, 116.779, 103.939)
"""ImageNet's mean RGB, which the caffe input contract subtracts (keras.applications.imagenet_utils)."""


@dataclass(frozen=True, kw_only=True)
class Trunk:
    """A backbone without preprocessing and top, as loaded."""

    name: str
    network: keras.Model
    weights: str
    """`none`, `imagenet` or the file's name."""
    weights_digest: str
    """32 hex digits of the file, of all arrays (imagenet), or `none`."""
    untrained_norms: tuple[str, ...]
    """BatchNormalization layers that still stand at mean 0, variance 1: no statistics were loaded."""
    norms: int
    """BatchNormalization layers in all."""
    deepest_stage: str | None
    """Where the deepest stage ends that was loaded whole; None: the whole network."""


def load_trunk(name: str, *, weights: str, image_size: int) -> Trunk:
    """The backbone `name` for (image_size, image_size, 3) pictures, with starting weights.

    Raises WeightsError where they cannot be had or do not fit.
    """
    make = getattr(keras.applications, backbone_facts(name).application)
    shape = (image_size, image_size, 3)
    if weights == "imagenet":
        network = _with_imagenet(make, shape, name)
    else:
        network = make(include_top=False, weights=None, input_shape=shape)
        if weights != "none":
            load_weights(network, Path(weights), name)
    untrained = tuple(layer.name for layer in norm_layers(network) if _is_untrained(layer))
    return Trunk(
        name=name,
        network=network,
        weights=weights if weights in ("none", "imagenet") else Path(weights).name,
        weights_digest=_digest(network, weights),
        untrained_norms=untrained,
        norms=len(norm_layers(network)),
        deepest_stage=None if weights == "none" else _deepest_whole_stage(network, name, untrained),
    )


def norm_layers(network: keras.Model) -> list[keras.layers.BatchNormalization]:
    """Every BatchNormalization, in order."""
    return [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]


def set_batch_norm(trunk: Trunk, *, frozen: bool, momentum: float) -> int:
    """Number of BatchNormalization layers put into inference mode; those with nothing loaded are never frozen.

    Done by `trainable = False` on each layer: `training=False` at the call does not survive `fit` in Keras 3.15.
    """
    layers = norm_layers(trunk.network)
    for layer in layers:
        layer.momentum = momentum
        layer.trainable = not (frozen and layer.name not in trunk.untrained_norms)
    return sum(not layer.trainable for layer in layers)


def still_residuals(trunk: Trunk) -> None:
    """Lets residual branches start at zero, so that a network from scratch begins as a shallow one.

    Their last BatchNormalization gets gamma 0 (Goyal et al. 2017, section 5.1); loaded weights stay as they are.
    """
    pattern = re.compile(backbone_facts(trunk.name).residual_norms)
    if trunk.weights == "none":
        for layer in norm_layers(trunk.network):
            if pattern.fullmatch(layer.name):
                layer.gamma.assign(np.zeros(layer.gamma.shape))


def _with_imagenet(make: type, shape: tuple[int, int, int], name: str) -> keras.Model:
    try:
        # Keras prints its progress on stdout, where `--json` goes, and warns of pictures that are not of 224 pixels.
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings(action="ignore"):
            return make(include_top=False, weights="imagenet", input_shape=shape)
    except Exception as error:  # noqa: BLE001  Keras raises a bare Exception when a download fails
        reason = re.sub(r" on https?://\S+", "", first_line(error, longest=400))  # longer than all the rest of the line
        raise WeightsError(
            "ImageNet weights that can be downloaded, or --weights none, or --weights FILE",
            got=reason,
            where=name,
        ) from None


def load_weights(network: keras.Model, file: Path, name: str) -> None:
    """Fills the network from a .weights.h5 file; WeightsError where it does not fit, is damaged or leads elsewhere.

    `name` is the backbone's, for the message.
    """
    if not file.is_file():
        raise WeightsError("imagenet, none, or a .weights.h5 file that exists", got=str(file), where="--weights")
    if not file.name.endswith(".weights.h5"):
        raise WeightsError("a file named *.weights.h5, as Keras saves weights", got=file.name, where="--weights")
    try:
        _require_same_pixels(network, file)
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            network.load_weights(file)
        for warning in warned:  # NumPy only warns where complex numbers lose their imaginary half
            if not issubclass(warning.category, DeprecationWarning | ResourceWarning):
                raise ValueError(warning.message)
    except Exception as error:  # noqa: BLE001  h5py and Keras raise ValueError, OSError, KeyError and others by the kind of damage
        reason = " ".join(str(error).split()).partition(" Example error message")[0][:120]
        raise WeightsError(f"a weights file that fits {name}", got=reason, where=file) from None
    if not all(np.isfinite(array).all() for array in network.get_weights()):
        raise WeightsError("weights that are finite numbers", got="NaN or infinity", where=file)


def _require_same_pixels(network: keras.Model, file: Path) -> None:
    """ValueError where the file is of a network that changes its pixels once more, which Keras would pass over.

    Its own EfficientNetB0 does with imagenet weights (`rescaling_1`), and does not with weights=None.
    """
    with h5py.File(file) as stored:
        groups = [re.sub(r"_\d+$", "", group) for group in stored.get("layers", ())]
    for kind in (keras.layers.Rescaling, keras.layers.Normalization):
        known = sum(isinstance(layer, kind) for layer in network.layers)
        if (found := groups.count(kind.__name__.lower())) > known:
            name = kind.__name__
            raise ValueError(f"{found} {name} layers for {known}: not made with weights=None")


def _digest(network: keras.Model, weights: str) -> str:
    if weights == "none":
        return "none"
    if weights != "imagenet":
        return hashlib.sha256(Path(weights).read_bytes()).hexdigest()[:32]
    digest = hashlib.sha256()
    for array in network.get_weights():
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:32]


def _is_untrained(layer: keras.layers.BatchNormalization) -> bool:
    return not np.any(layer.moving_mean) and bool(np.all(np.asarray(layer.moving_variance) == 1.0))


def _deepest_whole_stage(network: keras.Model, name: str, untrained: tuple[str, ...]) -> str | None:
    """The last stage end that no untrained layer precedes."""
    order = [layer.name for layer in network.layers]
    first_gap = min((order.index(layer) for layer in untrained), default=len(order))
    whole = [stage for stage in backbone_facts(name).stages if order.index(stage) < first_gap]
    if first_gap == len(order):
        return None
    if not whole:
        raise WeightsError("weights with at least one whole stage", got="none", where=name)
    return whole[-1]
