"""Sets of faces under fire: pictures, npy labels, AffectNet folders, csv and Parquet tables."""

import csv
import io
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

from benchmarks.fuzz.damage import PATHS, damaged, numbers, words
from benchmarks.fuzz.guard import Guard
from benchmarks.fuzz.pictures import bad_pictures, face
from benchmarks.fuzz.reader import Prepared, Reader, lay_traps, written
from emotion_mlflow.data.manifest import Manifest
from emotion_mlflow.data.npy import read_label, read_landmarks
from emotion_mlflow.data.pictures import decode, inspect, quiet_pillow
from emotion_mlflow.data.read import read

COLUMNS = (
    "path", "image", "id", "expression", "valence", "arousal", "landmarks", "facial_landmarks", "face_x", "face_y",
    "face_width", "face_height", "identity", "source", "split", "subDirectory_filePath", "", "other", "path ",
)  # fmt: skip
_HEADER = "path,expression,valence,arousal,landmarks,face_x,face_y,face_width,face_height,split,identity\n"
_ROW = "face.png,3,0.5,-0.25,1;2;3;4,0,0,48,40,train,ann\n"


def _pictures(guard: Guard) -> Prepared:
    file = guard.inside / "picture.bin"
    side = st.integers(-10, 60) | st.sampled_from((0, 100_000, -(10**9), 2**31))
    boxes = st.none() | st.tuples(side, side, side, side)

    def look(given: tuple[bytes, Any]) -> None:
        written(file, given[0])
        with quiet_pillow():
            inspect(file, crop=given[1])
            decode(file, crop=given[1], size=32)

    return st.tuples(bad_pictures(), boxes), look


@cache
def npy_sources() -> tuple[bytes, ...]:
    """Label files as AffectNet has them, and others that NumPy writes: objects, records, dates, other versions."""
    arrays: list[Any] = [
        np.array("3"), np.array("-0.176846"), np.linspace(-47, 292, 136), np.array(0.5), np.array([1, 2, 3]),
        np.array(b"2"), np.zeros((2, 3, 4)), np.array([{"a": 1}], dtype=object), np.zeros(2, "M8[s]"),
        np.zeros(2, [("a", "f8")]), np.array(1 + 2j), np.zeros((0, 5)), np.array(["x" * 50]),
    ]  # fmt: skip
    found = []
    for array in arrays:
        buffer = io.BytesIO()
        np.save(buffer, array, allow_pickle=True)
        found.append(buffer.getvalue())
    return tuple(found)


@st.composite
def npy_headers(draw: Callable) -> bytes:
    """An npy file whose header claims what it likes."""
    kinds = st.sampled_from(
        ("<f8", ">f8", "<U1", "<U100000000", "|O", "|V8", "<M8[s]", "f4,f4", "|S0", "<c16", "é", "?")
    )
    sizes = st.lists(st.sampled_from((0, 1, 2, 136, 10**6, 10**12, 2**63, -1)), max_size=9)
    orders = st.sampled_from(("False", "True", "None", "1"))
    shape = draw(sizes.map(lambda size: repr(tuple(size)))) if draw(st.booleans()) else draw(words())
    text = f"{{'descr': {draw(kinds)!r}, 'fortran_order': {draw(orders)}, 'shape': {shape}, }}"
    if draw(st.integers(0, 4)) == 0:
        text = draw(st.sampled_from(("(" * 3000, "[" * 900 + "]" * 900, "{" + "1:" * 500, "9" * 3000, "-" * 3000, "")))
    head = text.encode(errors="surrogatepass")
    version = draw(st.integers(0, 4))
    length = draw(st.sampled_from((len(head), 0, 65_535))) if draw(st.booleans()) else len(head)
    size = min(length, 65_535).to_bytes(2, "little") if version < 2 else length.to_bytes(4, "little")
    return b"\x93NUMPY" + bytes([version, 0]) + size + head + draw(st.binary(max_size=24))


def bad_npy(guard: Guard) -> st.SearchStrategy[bytes]:
    """File contents, pickles that run code among them."""
    return st.one_of(damaged(npy_sources()), npy_headers(), st.binary(max_size=40), st.sampled_from(_pickles(guard)))


def _pickles(guard: Guard) -> tuple[bytes, ...]:
    import pickle

    trap = Trap(str(guard.canary))
    buffer = io.BytesIO()
    np.save(buffer, np.array(trap, dtype=object), allow_pickle=True)
    return buffer.getvalue(), pickle.dumps(trap)


class Trap:
    """Unpickling this leaves a file behind."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[str, str]]:
        return open, (self.path, "w")


def _npy(guard: Guard) -> Prepared:
    file = guard.inside / "label.npy"

    def look(given: tuple[bytes, bool]) -> None:
        written(file, given[0])
        (read_label if given[1] else read_landmarks)(str(file))

    return st.tuples(bad_npy(guard), st.booleans()), look


def _folder(guard: Guard) -> Prepared:
    """A set of three faces whose files, and their names, are anyone's guess; one may be a way out."""
    root = guard.inside / "set"
    names = ("7.png", "8.jpg", "9.JPG", ".hidden.jpg", "a b.png", "\u202e.png", "\udcff.png", "7", "..jpg", "x" * 200)
    label = st.tuples(st.sampled_from(("exp", "val", "aro", "lnd", "xyz")), st.none() | bad_npy(guard))
    faces = st.lists(st.tuples(st.sampled_from(names), st.none() | bad_pictures(), st.lists(label)), max_size=3)
    part = st.sampled_from(("train_set", "val_set", ""))
    good = npy_sources()

    def look(given: tuple[str, bool, list[Any]]) -> None:
        shutil.rmtree(root, ignore_errors=True)
        place, linked, faces = given
        images, annotations = root / place / "images", root / place / "annotations"
        images.parent.mkdir(parents=True)
        annotations.mkdir()
        if linked:
            images.symlink_to(guard.outside)
        else:
            images.mkdir()
            (images / "1.png").symlink_to(guard.outside / "secret.png")
            (annotations / "1_exp.npy").symlink_to(guard.outside / "secret.npy")
            for name, picture, labels in faces:
                written(images / name, face() if picture is None else picture)
                for kind, content in labels or [("exp", good[0]), ("val", good[1]), ("aro", None), ("lnd", good[2])]:
                    written(annotations / f"{Path(name).stem}_{kind}.npy", good[3] if content is None else content)
        used(read(root, cache_dir=None))

    written(guard.outside / "secret.npy", good[0])
    return st.tuples(part, st.integers(0, 9).map(lambda number: number == 0), faces), look


def used(manifest: Manifest) -> None:
    """What every job does with a set: a digest, its pictures."""
    manifest.digest()
    for row in manifest.table.head(3).itertuples():
        box = (row.crop_x, row.crop_y, row.crop_width, row.crop_height)
        with quiet_pillow():
            decode(manifest.root / str(row.path), crop=None if np.isnan(box[0]) else box, size=16)


def _cells() -> st.SearchStrategy[str]:
    return st.one_of(st.sampled_from(PATHS), words(), st.sampled_from(("face.png", "3", "0.5", "1;2;3;4", "train")))


@st.composite
def csv_tables(draw: Callable) -> bytes:
    """Tables with the wrong columns, cells, row lengths and encodings; or with every byte open to damage."""
    if draw(st.booleans()):
        return draw(damaged(((_HEADER + _ROW * 3).encode(), (_HEADER + _ROW).encode("utf-16"))))
    columns = ["path", *draw(st.lists(st.sampled_from(COLUMNS), max_size=8, unique=draw(st.booleans())))]
    width = st.just(len(columns)) if draw(st.integers(0, 3)) else st.integers(0, 12)
    rows = [[draw(_cells()) for _ in range(draw(width))] for _ in range(draw(st.integers(0, 4)))]
    if draw(st.integers(0, 30)) == 0:
        rows.append(["face.png" * draw(st.sampled_from((1, 200_000)))] * len(columns))
    text = io.StringIO()
    csv.writer(text, lineterminator=draw(st.sampled_from(("\n", "\r\n", "\r")))).writerows([columns, *rows])
    encoding = draw(st.sampled_from(("utf-8", "utf-8-sig", "utf-16", "utf-8")))
    return text.getvalue().encode(encoding, "surrogatepass") + draw(st.sampled_from((b"", b"", b'"open', b"\x00,\xff")))


def _csv(guard: Guard) -> Prepared:
    lay_traps(guard)
    names = st.sampled_from(("faces.csv", "training.csv", "validation.csv"))
    forms = st.sampled_from(("auto", "auto", "table", "affectnet-csv"))

    def look(given: tuple[bytes, str, str]) -> None:
        used(read(written(guard.inside / given[1], given[0]), data_format=given[2], cache_dir=None))

    return st.tuples(csv_tables(), names, forms), look


@cache
def parquet_bombs() -> tuple[bytes, ...]:
    """Files of some kilobytes that unpack to gigabytes: rows without end, one long text repeated, one endless list."""
    many = pa.table({"path": pa.nulls(60_000_000, pa.string()), "expression": pa.nulls(60_000_000, pa.int8())})
    long_text = pa.DictionaryArray.from_arrays(pa.array([0] * 6000, pa.int32()), pa.array(["x" * 900_000]))
    lists = pa.ListArray.from_arrays(pa.array([0, 60_000_000], pa.int32()), pa.array(np.zeros(60_000_000)))
    tables = (
        many,
        pa.table({"path": long_text, "expression": pa.array([1] * 6000)}),
        pa.table({"path": pa.array(["face.png"]), "landmarks": lists}),
    )
    return tuple(_packed(table) for table in tables)


def _packed(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def _typed(values: list[Any], kind: pa.DataType) -> pa.Array:
    try:
        return pa.array(values, kind)
    except (pa.ArrowException, ValueError, TypeError, OverflowError):
        return pa.nulls(len(values), kind)


@st.composite
def parquet_tables(draw: Callable) -> bytes:
    """Known columns of any type Parquet has."""
    rows = draw(st.integers(0, 3))
    names = ["path", *draw(st.lists(st.sampled_from(COLUMNS), max_size=6, unique=draw(st.integers(0, 4)) > 0))]
    kinds = {
        pa.string(): _cells(), pa.binary(): st.binary(max_size=9), pa.int64(): st.integers(-3, 2**40),
        pa.float64(): numbers(), pa.bool_(): st.booleans(), pa.list_(pa.float64()): st.lists(st.floats(), max_size=4),
        pa.list_(pa.list_(pa.float32())): st.just([[1.0, 2.0], [3.0]]), pa.timestamp("ns"): st.just(2**60),
        pa.decimal128(38, 2): st.just(None), pa.struct([("a", pa.int8())]): st.just({"a": 1}), pa.date32(): st.just(1),
        pa.duration("s"): st.just(5), pa.uint64(): st.just(2**63 + 1), pa.null(): st.none(),
        pa.time64("ns"): st.just(7),
        pa.list_(pa.string()): st.just(["1", "x"]), pa.map_(pa.string(), pa.int8()): st.just([("a", 1)]),
    }  # fmt: skip
    arrays = []
    for _ in names:
        kind = draw(st.sampled_from(list(kinds)))
        arrays.append(_typed([draw(st.none() | kinds[kind]) for _ in range(rows)], kind))
    return _packed(pa.Table.from_arrays(arrays, names=names))


def _parquet(guard: Guard) -> Prepared:
    lay_traps(guard)
    good = pa.table({"path": ["face.png"] * 3, "expression": [1, 2, 3], "landmarks": [[1.0, 2.0, 3.0, 4.0]] * 3})
    bad = st.one_of(parquet_tables(), damaged((_packed(good), _packed(good.slice(0, 1)))))
    parquet_bombs()  # made before memory is limited
    often = st.integers(0, 40).flatmap(lambda number: st.sampled_from(parquet_bombs()) if number == 0 else bad)
    file = guard.inside / "faces.parquet"
    return often, lambda content: used(read(written(file, content), cache_dir=None))


READERS = (
    Reader(name="pictures", prepare=_pictures, share=200),
    Reader(name="npy labels", prepare=_npy, share=200),
    Reader(name="AffectNet folders", prepare=_folder, share=60),
    Reader(name="csv tables", prepare=_csv, share=100),
    Reader(name="Parquet tables", prepare=_parquet, share=60),
)
