"""Manifests kept as Parquet, so that a set is opened picture by picture once. Used by data.read alone.

One file a set: the table, the landmarks as one list column, and in the file's own metadata everything else.
"""

import json
import logging
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from emotion_mlflow.data.folder import Folder, Watch
from emotion_mlflow.data.manifest import COLUMNS, REJECTED_COLUMNS, Manifest
from emotion_mlflow.errors import DataError

VERSION = 4
"""Raised whenever a reader would answer differently for the same files."""

_KEY = b"emotion_mlflow"
_DAMAGED = (KeyError, TypeError, ValueError, ArithmeticError, RecursionError)
_LANDMARKS = "landmarks"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Note:
    """What is kept beside the table."""

    version: int
    signature: str
    watch: dict[str, Any]
    name: str
    two_parts: bool
    landmark_width: int
    rejected: list[list[Any]]


def load(file: Path, folder: Folder) -> Manifest | None:
    """The manifest in `file`; None where there is none, it is damaged, or a watched file has changed."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not file.exists():
        return None
    try:
        stored = pq.ParquetFile(file)
        fields = json.loads(stored.schema_arrow.metadata[_KEY])
        if fields["version"] != VERSION:
            return None
        note = _Note(**fields)
        watch = Watch(**{name: tuple(items) for name, items in note.watch.items()})
        if folder.signature(watch) != note.signature:
            return None
        os.utime(file)  # the age by which a full cache is trimmed
        return _manifest(stored.read(), note, folder)
    except (pa.ArrowException, OSError, DataError, AttributeError, *_DAMAGED) as error:
        _log.warning("the kept manifest %s is damaged (%s): the set is read again", file, error)
        return None


def save(file: Path, manifest: Manifest, folder: Folder, watch: Watch) -> None:
    """Keep the manifest; a reader sees the old file or the whole new one."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    width = manifest.landmarks.shape[1]
    note = _Note(
        version=VERSION,
        signature=folder.signature(watch),
        watch=asdict(watch),
        name=manifest.name,
        two_parts=manifest.two_parts,
        landmark_width=width,
        rejected=manifest.rejected.to_numpy().tolist(),
    )
    table = pa.Table.from_pandas(manifest.table, preserve_index=False)
    if width:
        points = pa.FixedSizeListArray.from_arrays(pa.array(manifest.landmarks.ravel()), width)
        table = table.append_column(_LANDMARKS, points)
    table = table.replace_schema_metadata({_KEY: json.dumps(asdict(note)).encode()})
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, part = tempfile.mkstemp(dir=file.parent, suffix=".part")
    os.close(handle)
    try:
        pq.write_table(table, part, compression="zstd", compression_level=1)
        os.replace(part, file)
    finally:
        Path(part).unlink(missing_ok=True)


def _manifest(stored: Any, note: _Note, folder: Folder) -> Manifest:
    landmarks = np.empty((stored.num_rows, 0), dtype=np.float32)
    if note.landmark_width:
        flat = stored[_LANDMARKS].combine_chunks().flatten().to_numpy()
        landmarks = flat.reshape(stored.num_rows, note.landmark_width).astype(np.float32)
        stored = stored.drop_columns([_LANDMARKS])
    with np.errstate(over="raise", invalid="raise"):
        table = stored.to_pandas().astype(COLUMNS)[list(COLUMNS)]
    _require_inside(table["path"].to_numpy(), folder)
    rejected = pd.DataFrame(note.rejected, columns=list(REJECTED_COLUMNS))
    return Manifest(
        name=note.name,
        root=folder.root,
        table=table,
        landmarks=landmarks,
        rejected=rejected.astype({"file": "str", "row": "int64", "reason": "str"}),
        two_parts=note.two_parts,
    )


def _require_inside(paths: np.ndarray, folder: Folder) -> None:
    """DataError where a path leads out of the folder, as none does that a reader found."""
    listed = {place: folder.files(place) for place in {path.rpartition("/")[0] for path in paths}}
    for path in paths:
        place, _, name = path.rpartition("/")
        fact = listed[place].get(name)
        if fact is None or fact.target:
            folder.inside(path)
