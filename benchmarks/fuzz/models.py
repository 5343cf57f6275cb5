"""Networks and what they are asked, under fire: starting weights, saved models and their cards, features, requests."""

import base64
import contextlib
import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from benchmarks.fuzz.damage import damaged, plain_values, words
from benchmarks.fuzz.guard import Guard
from benchmarks.fuzz.pictures import bad_pictures, face
from benchmarks.fuzz.reader import Prepared, Reader, WrongAnswerError, written
from benchmarks.fuzz.sets import bad_npy, npy_headers
from emotion_mlflow.errors import DataError
from emotion_mlflow.labels import EXPRESSIONS

CANARY = 1234.5
"""The value of every number in a file out of bounds; in a network it tells that the file was read."""
SIZE = 32


def _requests(guard: Guard) -> Prepared:
    """What a server is sent: file bytes, base64, pixels. The model's own code knows ValueError only."""
    from emotion_mlflow.serving.model import read_picture

    encoded = bad_pictures().map(lambda content: base64.b64encode(content).decode())
    good = st.just(base64.b64encode(face()).decode())
    noisy = st.tuples(encoded | good, words(), st.integers(0, 60)).map(lambda p: p[0][: p[2]] + p[1] + p[0][p[2] :])
    pixel = st.one_of(st.integers(-5, 300), st.floats(), words(), st.none(), st.just(10**30))
    row = st.lists(st.lists(pixel, min_size=2, max_size=4), max_size=3)
    items = st.one_of(
        bad_pictures(), bad_pictures(), encoded, noisy, words(), st.lists(row, max_size=3), plain_values()
    )

    def look(item: Any) -> None:
        try:
            read_picture(item, 0)
        except ValueError as error:
            if not str(error).startswith("expected"):
                raise
            raise DataError("a picture", got=error) from error

    return items, look


def _network() -> Any:
    """A small network that `serving` takes for one of ours."""
    import keras

    pixels = keras.Input((None, None, 3), name="pixels")
    x = keras.layers.Resizing(SIZE, SIZE, name="resize")(pixels)
    x = keras.layers.Rescaling(1.0, name="preprocess_raw")(x)
    x = keras.layers.BatchNormalization()(keras.layers.Conv2D(4, 3, strides=4)(x))
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(pixels, {"expression": keras.layers.Dense(8, activation="softmax", name="expression")(x)})


def _weights(guard: Guard) -> Prepared:
    """Starting weights: damaged bytes, and whole HDF5 files whose datasets lie or lead elsewhere."""
    import h5py

    from emotion_mlflow.models.backbones import load_weights

    network = _network()
    file = guard.inside / "start.weights.h5"
    network.save_weights(file)
    good = file.read_bytes()
    names: list[str] = []
    with h5py.File(file) as stored:
        stored.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
    with h5py.File(guard.outside / "secret.h5", "w") as secret:
        for name in names:
            secret[name] = np.full(h5py.File(io.BytesIO(good))[name].shape, CANARY, np.float32)
    (guard.outside / "secret.raw").write_bytes(np.full(5000, CANARY, np.float32).tobytes())
    kinds = st.sampled_from(sorted(_LIES))
    lies = st.lists(st.tuples(st.sampled_from(names), kinds), min_size=1, max_size=3, unique_by=lambda lie: lie[0])
    content = st.one_of(damaged((good,), head=len(good)), lies.map(lambda told: _lied(good, told, guard)))
    start = network.get_weights()

    def look(given: bytes) -> None:
        network.set_weights(start)
        load_weights(network, written(file, given), "the network")
        if any((array == CANARY).any() for array in network.get_weights()):
            raise WrongAnswerError("numbers of a file that lies elsewhere")

    return content, look


def _lied(good: bytes, lies: list[tuple[str, str]], guard: Guard) -> bytes:
    import h5py

    buffer = io.BytesIO(good)
    with h5py.File(buffer, "r+") as stored:
        for name, kind in lies:
            with contextlib.suppress(
                KeyError, ValueError, AttributeError, OSError, RuntimeError
            ):  # two lies in one place
                shape = stored[name].shape
                del stored[name]
                _LIES[kind](stored, name, shape, guard.outside)
    return buffer.getvalue()


def _external_link(stored: Any, name: str, shape: Any, outside: Path) -> None:
    import h5py

    stored[name] = h5py.ExternalLink(str(outside / "secret.h5"), name)


def _external_storage(stored: Any, name: str, shape: Any, outside: Path) -> None:
    size = 4 * int(np.prod(shape))
    stored.create_dataset(name, shape, "<f4", external=[(str(outside / "secret.raw"), 0, size)])


def _virtual(stored: Any, name: str, shape: Any, outside: Path) -> None:
    import h5py

    layout = h5py.VirtualLayout(shape, "<f4")
    layout[...] = h5py.VirtualSource(str(outside / "secret.h5"), name, shape=shape)
    stored.create_virtual_dataset(name, layout)


def _linked_group(stored: Any, name: str, shape: Any, outside: Path) -> None:
    import h5py

    group = name.rsplit("/", 1)[0]
    del stored[group]
    stored[group] = h5py.ExternalLink(str(outside / "secret.h5"), group)


def _circle(stored: Any, name: str, shape: Any, outside: Path) -> None:
    import h5py

    stored[name] = h5py.SoftLink("/" + name)


_LIES: dict[str, Callable[[Any, str, Any, Path], None]] = {
    "external link": _external_link,
    "external storage": _external_storage,
    "virtual dataset": _virtual,
    "linked group": _linked_group,
    "circle": _circle,
    "gone": lambda stored, name, shape, outside: None,
    "a group": lambda stored, name, shape, outside: stored.create_group(name),
    "endless": lambda stored, name, shape, outside: stored.create_dataset(name, (10**6, 10**6), "f4", chunks=(64, 64)),
    "large": lambda stored, name, shape, outside: stored.create_dataset(name, (10**9,), "f4", chunks=(1000,)),
    "packed": lambda stored, name, shape, outside: stored.create_dataset(
        name, data=np.zeros(10**6), compression="gzip"
    ),
    "text": lambda stored, name, shape, outside: stored.create_dataset(name, data=["x"] * 3),
    "records": lambda stored, name, shape, outside: stored.create_dataset(name, data=np.zeros(3, [("a", "f4")])),
    "NaN": lambda stored, name, shape, outside: stored.create_dataset(name, data=np.full(shape, np.nan, "f4")),
    "empty": lambda stored, name, shape, outside: stored.create_dataset(name, data=np.zeros((0,), "f4")),
    "complex": lambda stored, name, shape, outside: stored.create_dataset(name, data=np.zeros(shape, "c8")),
    "doubles": lambda stored, name, shape, outside: stored.create_dataset(name, data=np.full(shape, 1e300)),
}


def _models(guard: Guard) -> Prepared:
    """A saved network and its card, both open to lies; the card's digest fits, as a forger's would."""
    from emotion_mlflow.evaluate import load_saved

    file, card_file = guard.inside / "network.keras", guard.inside / "card.json"
    _network().save(file)
    good = file.read_bytes()
    with zipfile.ZipFile(io.BytesIO(good)) as packed:
        members = {name: packed.read(name) for name in packed.namelist()}
    card = {
        "format": 1, "expressions": list(EXPRESSIONS), "tasks": ["expression"], "image_size": SIZE, "pixels": "raw",
        "landmark_points": 5, "landmark_layout": "points5",
    }  # fmt: skip
    told = st.dictionaries(st.sampled_from((*card, "network_sha256")), plain_values(), max_size=1)
    forged = st.sampled_from(_forgeries(guard)).map(lambda layer: _packed(members, config=_with(members, layer)))
    config = damaged((members["config.json"],), head=5000).map(lambda content: _packed(members, config=content))
    stored = st.lists(
        st.sampled_from(("external link", "virtual dataset", "endless", "large", "circle", "gone")), min_size=1
    )
    weights = stored.map(lambda kinds: _packed(members, weights=_lied_all(members["model.weights.h5"], kinds, guard)))
    content = st.one_of(st.just(good), damaged((good,), head=len(good)), forged, config, weights)

    def look(given: tuple[bytes, dict[str, Any], bytes | None]) -> None:
        written(file, given[0])
        digest = hashlib.sha256(given[0]).hexdigest()
        text = json.dumps({"network_sha256": digest} | card | given[1]).encode() if given[2] is None else given[2]
        model = load_saved(file, written(card_file, text))
        if any((array == CANARY).any() for array in model.network.get_weights()):
            raise WrongAnswerError("numbers of a file that lies elsewhere")
        model.answer(np.zeros((1, SIZE, SIZE, 3), np.uint8))

    texts = st.none() | st.none() | st.none() | damaged((json.dumps(card).encode(),)) | st.binary(max_size=9)
    return st.tuples(content, told, texts), look


def _forgeries(guard: Guard) -> list[dict[str, Any]]:
    """Layers that would run code, were the file trusted."""
    import keras

    canary = str(guard.canary)
    code = compile(f"open({canary!r}, 'w')", "x", "eval")
    import marshal

    packed = base64.b64encode(marshal.dumps(code)).decode()
    lambda_ = {
        "module": "keras.layers", "class_name": "Lambda", "registered_name": None, "name": "evil",
        "config": {"name": "evil", "trainable": True, "function": {
            "class_name": "__lambda__", "config": {"code": packed, "defaults": None, "closure": None}}},
    }  # fmt: skip
    others = [("os", "system"), ("builtins", "exec"), ("subprocess", "Popen"), ("keras.utils", "get_file")]
    made = [
        {"module": module, "class_name": name, "registered_name": None, "config": {"command": f"touch {canary}"}}
        for module, name in others
    ]
    function = {"module": "builtins", "class_name": "function", "config": "exec", "registered_name": "function"}
    legacy = {
        "class_name": "Lambda",
        "config": {"name": "evil", "function": [packed, None, None], "function_type": "lambda"},
    }
    activation = keras.saving.serialize_keras_object(keras.layers.Activation("relu"))
    activation["config"]["activation"] = function
    return [lambda_, legacy, activation, *made]


def _with(members: dict[str, bytes], layer: dict[str, Any]) -> bytes:
    """The network's config with its second layer replaced."""
    config = json.loads(members["config.json"])
    before = config["config"]["layers"][1]
    kept = {name: before[name] for name in ("name", "inbound_nodes") if name in before}
    config["config"]["layers"][1] = layer | kept
    return json.dumps(config).encode()


def _packed(members: dict[str, bytes], *, config: bytes | None = None, weights: bytes | None = None) -> bytes:
    buffer = io.BytesIO()
    changed = dict(members)
    if config is not None:
        changed["config.json"] = config
    if weights is not None:
        changed["model.weights.h5"] = weights
    with zipfile.ZipFile(buffer, "w") as packed:
        for name, content in changed.items():
            packed.writestr(name, content)
    return buffer.getvalue()


def _lied_all(content: bytes, kinds: list[str], guard: Guard) -> bytes:
    import h5py

    names: list[str] = []
    with h5py.File(io.BytesIO(content)) as stored:
        stored.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
    secret = guard.outside / "secret.h5"
    if not secret.exists():
        with h5py.File(io.BytesIO(content)) as stored, h5py.File(secret, "w") as target:
            for name in names:
                target[name] = np.full(stored[name].shape, CANARY, np.float32)
    return _lied(content, list(zip(names, kinds, strict=False)), guard)


def _features(guard: Guard) -> Prepared:
    """Kept features whose file is damaged: they are computed again."""
    from emotion_mlflow.config import ModelConfig
    from emotion_mlflow.features import compute_features
    from emotion_mlflow.models.build import build

    config = ModelConfig(backbone="mobilenetv3small", image_size=SIZE, train_backbone=False)
    parts = build(config, mean_shape=np.full(4, 0.5), mean_affect=(0.0, 0.0))
    pixels = np.random.default_rng(0).integers(0, 256, (2, SIZE, SIZE, 3), dtype=np.uint8)
    contents, cache = np.array(["a" * 32, "b" * 32]), guard.inside / "cache"
    right = compute_features(parts, pixels, contents=contents, cache_dir=cache)
    (file,) = (cache / "features").rglob("*.npy")
    good = file.read_bytes()

    def look(content: bytes) -> None:
        written(file, content)
        found = compute_features(parts, pixels, contents=contents, cache_dir=cache)
        damage = content[:128] != good[:128] or len(content) != len(good)
        if found.shape != right.shape or (damage and not np.allclose(found, right, atol=1e-4)):
            raise WrongAnswerError("other features")

    return st.one_of(damaged((good,)), npy_headers(), bad_npy(guard)), look


READERS = (
    Reader(name="served requests", prepare=_requests, share=60, heavy=True),
    Reader(name="starting weights", prepare=_weights, share=20, heavy=True),
    Reader(name="saved models and cards", prepare=_models, share=10, heavy=True),
    Reader(name="kept features", prepare=_features, share=10, heavy=True),
)
