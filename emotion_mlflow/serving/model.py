"""The registered model, as code: image bytes or pixels in, affect out. MLflow stores this file beside the network.

It imports nothing of this package, so that it loads wherever its requirements are. `evaluate` uses the same class, so
what is measured is what is served.
"""

import base64
import hashlib
import io
import json
import os
import warnings
from pathlib import Path
from typing import Any, Union

import mlflow
import numpy as np
import pydantic
from PIL import Image

EXPRESSIONS = ("neutral", "happy", "sad", "surprise", "fear", "disgust", "anger", "contempt")
TASKS = ("expression", "valence", "arousal", "landmarks")
PREPROCESSING = {"caffe": "preprocess_caffe", "raw": "preprocess_raw", "unit": "preprocess_unit"}
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "GIF", "TIFF", "PPM")  # as `data.pictures`
LARGEST_PICTURE = 50_000_000  # pixels; a bomb is refused by its header
FORMAT = 1
PIXEL_CENTRE = 0.5  # landmark (0, 0) is the centre of the first pixel

Picture = Union[bytes, list[list[list[int]]]]  # noqa: UP007  MLflow reads this form from type hints


class Affect(pydantic.BaseModel):
    """One face's answer; what was not learnt is absent."""

    expression: str | None = None
    probabilities: dict[str, float] | None = None
    valence: float | None = None
    arousal: float | None = None
    landmarks: list[list[float]] | None = None


class AffectModel(mlflow.pyfunc.PythonModel):
    """Answers from the saved network, which carries its own preprocessing; `card.json` says what it is."""

    def load_context(self, context: Any) -> None:
        """Loads network and card and checks that they belong together."""
        self.load(Path(context.artifacts["network"]), Path(context.artifacts["card"]))

    def load(self, network: Path, card: Path) -> "AffectModel":
        """The model of two files; ValueError where labels, preprocessing, landmarks or contents do not agree."""
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        import keras  # here, since MLflow reads this file for its type hints alone

        self.card = json.loads(card.read_text())
        _agree("card", dict.__name__, type(self.card).__name__)
        _agree("format", FORMAT, self.card["format"])
        _agree("label order", list(EXPRESSIONS), self.card["expressions"])
        _agree("digest of network", self.card["network_sha256"], hashlib.sha256(network.read_bytes()).hexdigest())
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message="Skipping")  # a sound file lacks no group that Keras looks for
            self.network = keras.saving.load_model(network, compile=False, safe_mode=True)
        self._check_network()
        self.size = int(self.card["image_size"])
        self.tasks = [task for task in TASKS if task in self.card["tasks"]]
        return self

    def predict(self, context: Any, model_input: list[Picture], params: dict[str, Any] | None = None) -> list[Affect]:
        """One answer a face.

        Each input is an image file's bytes (base64 text over HTTP) or pixels (H, W, 3) of 0-255. Landmarks are
        [x, y] in pixels of the picture given; the face should fill it, as in AffectNet's crops.
        """
        pictures = [read_picture(item, number) for number, item in enumerate(model_input)]
        if not pictures:
            return []
        pixels = np.stack([np.asarray(fit_picture(picture, self.size)) for picture in pictures])
        answers = self.answer(pixels)
        return [self._describe(answers, row, picture.size) for row, picture in enumerate(pictures)]  # type: ignore[misc]  # plain dicts, which JSON takes

    def answer(self, pixels: np.ndarray, *, batch_size: int = 64) -> dict[str, np.ndarray]:
        """(N, S, S, 3) uint8 -> expression (N, 8) probabilities, valence, arousal (N,), landmarks (N, 2K) shares of S.

        Batches are always full (the last one is filled up), so that a face's answer doesn't depend on its neighbours.
        """
        parts: list[dict[str, np.ndarray]] = []
        batch_size = min(batch_size, len(pixels))
        for start in range(0, len(pixels), batch_size):
            batch = np.asarray(pixels[start : start + batch_size], np.float32)
            faces = len(batch)
            if faces < batch_size:
                batch = np.concatenate([batch, np.zeros((batch_size - faces, *batch.shape[1:]), np.float32)])
            parts.append({task: np.asarray(values)[:faces] for task, values in self._call(batch).items()})
        answers = {task: np.concatenate([part[task] for part in parts]) for task in parts[0]}
        if "landmarks" in answers:
            answers["landmarks"] = (answers["landmarks"] + np.float32(PIXEL_CENTRE)) / np.float32(self.size)
        return answers

    def _call(self, batch: np.ndarray) -> dict[str, Any]:
        if not hasattr(self, "_compiled"):
            import tensorflow as tf

            self._compiled = tf.function(lambda pixels: self.network(pixels, training=False), reduce_retracing=True)
        return self._compiled(batch)

    def _describe(self, answers: dict[str, np.ndarray], row: int, size: tuple[int, int]) -> dict[str, Any]:
        told: dict[str, Any] = {}
        if "expression" in answers:
            probabilities = answers["expression"][row]
            told["expression"] = EXPRESSIONS[int(probabilities.argmax())]
            told["probabilities"] = dict(zip(EXPRESSIONS, map(float, probabilities), strict=True))
        for task in ("valence", "arousal"):
            if task in answers:
                told[task] = float(answers[task][row])
        if "landmarks" in answers:
            points = answers["landmarks"][row].reshape(-1, 2) * np.asarray(size, np.float64) - PIXEL_CENTRE
            told["landmarks"] = points.tolist()
        return told

    def _check_network(self) -> None:
        outputs = self.network.output
        _agree("tasks", sorted(self.card["tasks"]), sorted(outputs))
        if "expression" in outputs:
            _agree("number of expressions", len(EXPRESSIONS), outputs["expression"].shape[-1])
        points = int(self.card["landmark_points"])
        _agree("landmark layout", "ibug68" if points == 68 else f"points{points}", self.card["landmark_layout"])
        if "landmarks" in outputs:
            _agree("landmark numbers", 2 * points, outputs["landmarks"].shape[-1])
        _agree("image size", self.card["image_size"], self.network.get_layer("resize").height)
        _agree("preprocessing", True, PREPROCESSING[self.card["pixels"]] in _layer_names(self.network))


def read_picture(item: Any, number: int) -> Image.Image:
    """An RGB picture from file bytes, base64 text or pixels; ValueError says which item is not one."""
    if isinstance(item, str):
        try:
            item = base64.b64decode("".join(item.split()), validate=True)
        except ValueError:
            raise ValueError(f"expected base64 of an image file; got other text in item {number}") from None
    if not isinstance(item, bytes | bytearray):
        return _from_pixels(item, number)
    with warnings.catch_warnings():
        # odd tags harm nobody, and a bomb is refused by a limit lower than Pillow's
        warnings.filterwarnings("ignore", module=r"PIL\.")
        return _decoded(item, number)


def fit_picture(picture: Image.Image, size: int) -> Image.Image:
    """The whole picture at (size, size): the same resampling that training used."""
    return picture.resize((size, size), Image.Resampling.BILINEAR)


def _decoded(content: bytes | bytearray, number: int) -> Image.Image:
    picture = _opened(content, number)
    if picture.width * picture.height > LARGEST_PICTURE:
        raise ValueError(f"expected at most {LARGEST_PICTURE} pixels; got {picture.size} in item {number}")
    if picture.mode in ("F", "I") or picture.mode.startswith("I;"):
        raise ValueError(f"expected 8 bits a channel; got mode {picture.mode} in item {number}")
    try:
        return picture.convert("RGB")
    except Exception:  # noqa: BLE001  see _opened
        raise _no_picture(content, number) from None


def _opened(content: bytes | bytearray, number: int) -> Image.Image:
    try:
        return Image.open(io.BytesIO(content), formats=FORMATS)
    except Exception:  # noqa: BLE001  on damaged files Pillow's decoders raise nearly anything
        raise _no_picture(content, number) from None


def _no_picture(content: bytes | bytearray, number: int) -> ValueError:
    return ValueError(f"expected an image file's bytes; got {len(content)} other bytes in item {number}")


def _from_pixels(item: Any, number: int) -> Image.Image:
    try:
        pixels = np.asarray(item)
        good = pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.size > 0 and pixels.dtype.kind in "uif"
    except ValueError:
        good = False
    if not good or not (pixels.min() >= 0 and pixels.max() <= 255):
        raise ValueError(f"expected pixels (height, width, 3) of 0-255; got something else in item {number}")
    return Image.fromarray(np.rint(pixels).astype(np.uint8))


def _layer_names(network: Any) -> set[str]:
    names: set[str] = set()
    for layer in network.layers:
        names |= {layer.name} | (_layer_names(layer) if hasattr(layer, "layers") else set())
    return names


def _agree(what: str, expected: Any, got: Any) -> None:
    if expected != got:
        raise ValueError(f"expected {what} {expected}; got {got} in the saved model")


mlflow.models.set_model(AffectModel())
