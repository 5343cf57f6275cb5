"""Every face decoded once: a (N, S, S, 3) uint8 array on disk, mapped into memory. Used by the job and `evaluate`."""

import hashlib
import logging
import math
import os
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import PIL

from emotion_mlflow.data.manifest import Manifest
from emotion_mlflow.data.npy import kept_array, npy_header
from emotion_mlflow.data.pictures import decode, quiet_pillow
from emotion_mlflow.errors import DataError

Progress = Callable[[int, int], None]

VERSION = 1
"""Raised whenever `decode` would answer differently for the same file."""

CROP = ("crop_x", "crop_y", "crop_width", "crop_height")
BLOCK = 512  # pictures in memory at once, whatever the set's size

_log = logging.getLogger(__name__)


def load_pixels(
    manifest: Manifest, *, image_size: int, cache_dir: Path, progress: Progress | None = None
) -> np.ndarray:
    """(N, S, S, 3) uint8, 0-255, in the manifest's order; made at the first call, a memory map at the next ones.

    The key is the pictures' contents and the decoder, so runs with other labels, seeds or splits share it. DataError
    where a picture has changed or gone since the manifest was read, or the disk has no room.
    """
    hashes = manifest.table["content_hash"].to_numpy().astype(str)
    key = hashlib.sha256("\n".join([decoder(), str(image_size), *hashes]).encode()).hexdigest()[:32]
    file = cache_dir / "pixels" / f"{key}.npy"
    kept = _kept(file, (len(manifest), image_size, image_size, 3))
    if kept is None:
        _fill(file, manifest, image_size, progress)
        kept = np.load(file, mmap_mode="r", allow_pickle=False)
    os.utime(file)  # the age by which a full cache is trimmed
    return kept


def decoder() -> str:
    """What made the pixels; another one may make others of the same picture."""
    return f"{VERSION} Pillow {PIL.__version__}"


def _kept(file: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    """The array of an earlier call; None where there is none or the file is damaged, which is said."""
    if not file.exists():
        return None
    array = kept_array(file, shape=shape, dtype=np.uint8)
    if array is None:
        _log.warning("the kept pixels %s are damaged: the pictures are decoded again", file)
    return array


def _fill(file: Path, manifest: Manifest, size: int, progress: Progress | None) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    shape = (len(manifest), size, size, 3)
    _require_room(file.parent, math.prod(shape))
    handle, name = tempfile.mkstemp(dir=file.parent, suffix=".part")
    rows = list(manifest.table[["path", *CROP]].itertuples(index=False, name=None))
    try:
        # written, not mapped: where the disk fills up, a map dies of SIGBUS without a word
        with open(handle, "wb") as part, quiet_pillow(), ThreadPoolExecutor(os.cpu_count()) as pool:
            part.write(npy_header(shape, np.uint8))
            for start in range(0, len(rows), BLOCK):
                block = rows[start : start + BLOCK]
                part.write(np.stack(list(pool.map(lambda row: _decode_row(manifest.root, row, size), block))).data)
                if progress:
                    progress(start + len(block), len(rows))
        os.replace(name, file)
    except DataError as error:
        if not manifest.drawn:
            raise
        mend = f"{error.where} (emotion-mlflow cache clear: then the faces are drawn again)"
        raise DataError(error.expected, got=error.got, where=mend) from None
    finally:
        Path(name).unlink(missing_ok=True)


def _require_room(folder: Path, size: int) -> None:
    """DataError at once where the disk has not the bytes, instead of an error in an hour."""
    free = shutil.disk_usage(folder).free
    if free < size:
        needed = f"room on the disk for {size / 1e9:.3g} GB of decoded faces (--image-size, --limit, --cache-dir)"
        raise DataError(needed, got=f"{free / 1e9:.3g} GB", where=folder)


def _decode_row(root: Path, row: tuple[Any, ...], size: int) -> np.ndarray:
    path, *box = row
    return decode(root / path, crop=None if np.isnan(box[0]) else tuple(box), size=size)
