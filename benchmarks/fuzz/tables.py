"""What an earlier run left, under fire: caches of manifests and pixels, predictions tables, checkpoints."""

import contextlib
import hashlib
import io
import json
import shutil
import zipfile
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

from benchmarks.fuzz.damage import PATHS, damaged, nested, numbers, plain_values, words
from benchmarks.fuzz.guard import Guard
from benchmarks.fuzz.reader import Prepared, Reader, WrongAnswerError, lay_traps, written
from benchmarks.fuzz.sets import bad_npy, npy_headers, used
from emotion_mlflow.checkpoints import Checkpoints, State
from emotion_mlflow.data import manifest_cache
from emotion_mlflow.data.folder import Folder, Watch
from emotion_mlflow.data.manifest import Manifest
from emotion_mlflow.data.pixels import load_pixels
from emotion_mlflow.data.read import read
from emotion_mlflow.evaluate import predictions_table, read_predictions
from emotion_mlflow.labels import landmark_layout
from emotion_mlflow.metrics.suite import Answers, suite
from emotion_mlflow.reproduce import read_check
from emotion_mlflow.tracking.journal import Journal

_KEY = b"emotion_mlflow"


def _set(guard: Guard, *, faces: int = 3) -> Manifest:
    lay_traps(guard)
    rows = [f"face.png,{number},{number},0.5,-0.5,1;2;3;4\n" for number in range(faces)]
    table = "path,id,expression,valence,arousal,landmarks\n" + "".join(rows)
    return read(written(guard.inside / "faces.csv", table.encode()), cache_dir=None)


def _manifests(guard: Guard) -> Prepared:
    """Kept manifests: damaged bytes, and whole files whose note or cells lie."""
    manifest, file, folder = _set(guard), guard.inside / "kept.parquet", Folder(guard.inside)
    watch = Watch(directories=("elsewhere",), suffixes=("",))
    manifest_cache.save(file, manifest, folder, watch)
    good = file.read_bytes()
    stored = pq.read_table(file)
    note = json.loads(stored.schema.metadata[_KEY])
    lies = st.dictionaries(st.sampled_from((*note, "other")), plain_values(), min_size=1, max_size=2)
    wrong = st.dictionaries(
        st.sampled_from(stored.column_names), words() | numbers() | st.sampled_from(PATHS), max_size=2
    )

    def lied(told: dict[str, Any], cells: dict[str, Any]) -> bytes:
        table = stored
        for name, cell in cells.items():
            column = pa.array(
                [
                    cell
                    if isinstance(cell, float)
                    else repr(cell)
                    if isinstance(cell, int)
                    else cell.encode(errors="replace").decode()
                ]
                * 3
            )
            table = table.set_column(table.column_names.index(name), name, column)
        buffer = io.BytesIO()
        pq.write_table(table.replace_schema_metadata({_KEY: json.dumps(note | told).encode()}), buffer)
        return buffer.getvalue()

    def look(content: bytes) -> None:
        found = manifest_cache.load(written(file, content), folder)
        if found is not None:
            used(found)
            found.split("train"), found.labelled()

    return st.one_of(damaged((good,)), st.builds(lied, lies, wrong), st.builds(lied, st.just({}), wrong)), look


def _pixels(guard: Guard) -> Prepared:
    manifest, cache = _set(guard), guard.inside / "cache"
    right = np.array(load_pixels(manifest, image_size=32, cache_dir=cache))
    (file,) = (cache / "pixels").glob("*.npy")
    good = file.read_bytes()

    def look(content: bytes) -> None:
        damage = content[:128] != good[:128] or len(content) != len(good)
        found = load_pixels(manifest, image_size=32, cache_dir=_rewritten(file, content))
        if found.shape != right.shape or found.dtype != right.dtype or (damage and not np.array_equal(found, right)):
            raise WrongAnswerError("other pixels")

    def _rewritten(file: Any, content: bytes) -> Any:
        written(file, content)
        return cache

    return st.one_of(damaged((good,)), npy_headers(), bad_npy(guard), st.just(b"PK\x03\x04")), look


def _answers(rng: np.random.Generator, faces: int) -> Answers:
    shares = rng.random((faces, 8))
    return Answers(
        expression_true=np.arange(faces) % 8,
        probabilities=shares / shares.sum(axis=1, keepdims=True),
        valence_true=rng.uniform(-1, 1, faces),
        arousal_true=rng.uniform(-1, 1, faces),
        valence=rng.uniform(-1, 1, faces),
        arousal=rng.uniform(-1, 1, faces),
        landmarks_true=rng.uniform(0, 48, (faces, 10)),
        landmarks=rng.uniform(0, 48, (faces, 10)),
    )


def _predictions(guard: Guard) -> Prepared:
    """Stored predictions: columns gone, of other types, with other shapes, out of range."""
    manifest = _set(guard, faces=8)
    table = predictions_table(manifest, _answers(np.random.default_rng(0), len(manifest)))
    cells = st.one_of(words(), numbers(), st.none(), st.lists(numbers(), max_size=12), st.binary(max_size=4), nested())
    change = st.tuples(st.sampled_from([*table.columns]), st.integers(0, 4), st.lists(cells, min_size=8, max_size=8))

    def look(changes: list[Any]) -> None:
        wrong = table.copy()
        for name, kind, values in changes:
            wrong = _changed(wrong, name, kind, values)
        answers = read_predictions(wrong)
        suite(answers, layout=landmark_layout(answers.landmarks_true.shape[1]))

    return st.lists(change, min_size=1, max_size=3), look


def _changed(table: pd.DataFrame, name: str, kind: int, values: list[Any]) -> pd.DataFrame:
    if kind == 0 or name not in table:
        return table.drop(columns=name, errors="ignore")
    if kind == 1:
        return table.iloc[: len(values[0]) if isinstance(values[0], list | str) else 0]
    if kind == 2:
        return pd.concat([table, table[[name]]], axis=1)
    if not table.columns.is_unique or len(table) != len(values):
        return table
    one_cell = list(table[name])
    one_cell[0] = values[0]
    return table.assign(**{name: pd.Series(one_cell if kind == 3 else values, index=table.index, dtype=object)})


def _checkpoints(guard: Guard) -> Prepared:
    """Damaged checkpoints."""
    place = guard.inside / "checkpoints"
    kept = Checkpoints(place)
    kept.save(State(epoch=1, arrays={"weight": np.arange(6.0)}, notes={"best": 0.5}))
    good = (place / "epoch-0001.npz").read_bytes()
    names = st.sampled_from(("array/weight.npy", "notes.npy", "../../outside/x.npy", "/x", "notes", "\udcff"))
    members = st.dictionaries(names, bad_npy(guard) | st.just(b""), max_size=3)
    content = st.one_of(damaged((good,), head=len(good)), members.map(_zipped), bad_npy(guard))
    files = st.sampled_from(("epoch-0002.npz", "epoch-2.npz", "epoch-x.npz", "epoch-.npz"))

    def look(given: tuple[bytes, str]) -> None:
        shutil.rmtree(place, ignore_errors=True)
        written(place / given[1], given[0])
        kept.load()

    return st.tuples(content, files), look


def _zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in members.items():
            packed.writestr(name.encode(errors="replace").decode(), content)
    return buffer.getvalue()


def _checks(guard: Guard) -> Prepared:
    """A run's table of answers to drawn faces, as downloaded."""
    file = guard.inside / "check.parquet"
    buffer = io.BytesIO()
    pd.DataFrame({"picture": [b"x"] * 3, "expression": ["happy"] * 3, "landmarks": [[1.0]] * 3}).to_parquet(buffer)
    good = buffer.getvalue()
    return damaged((good,), head=len(good)), lambda content: read_check(written(file, content))


def _journals(guard: Guard) -> Prepared:
    """A training's journal: damaged bytes, and lines of the right checksum that say what no training does."""
    place = guard.inside / "journal"
    lay_traps(guard)
    with contextlib.closing(Journal(place)) as journal:
        journal.append("run", {"run_id": "a", "experiment_id": "1", "tracking_uri": "sqlite:///x.db"})
        journal.append("batch", {"metrics": [["loss", 0.5, 1, 1]], "params": {"a": "1"}, "tags": {}})
        journal.append("files", {}, {"figures/a.png": b"x" * 100})
    good = (place / "entries").read_bytes()
    one = st.dictionaries(st.sampled_from(("path", "size", "sha256")), st.sampled_from(PATHS) | plain_values())
    payloads = st.fixed_dictionaries({"files": st.lists(one, max_size=2) | plain_values()}) | plain_values()
    entries = st.fixed_dictionaries({}, optional={"n": numbers(), "kind": words(), "payload": payloads})

    def lied(told: Any) -> bytes:
        text = json.dumps(told, default=str).encode(errors="replace")
        return good + hashlib.sha256(text).hexdigest()[:16].encode() + b" " + text + b"\n"

    def look(content: bytes) -> None:
        written(place / "entries", content)
        with contextlib.closing(Journal(place)) as journal:
            for entry in journal.entries:
                for file in journal.files_of(entry):
                    file.whole()

    return st.one_of(damaged((good,), head=len(good)), entries.map(lied)), look


READERS = (
    Reader(name="kept manifests", prepare=_manifests, share=40),
    Reader(name="kept pixels", prepare=_pixels, share=40),
    Reader(name="predictions tables", prepare=_predictions, share=40),
    Reader(name="stored answers", prepare=_checks, share=30),
    Reader(name="checkpoints", prepare=_checkpoints, share=60),
    Reader(name="journals", prepare=_journals, share=40),
)
