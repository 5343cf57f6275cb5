"""Every face decoded once: a (N, S, S, 3) uint8 array on disk, mapped into memory. Used by the job and `evaluate`."""

import hashlib
import logging
import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from emotion_mlflow.data.manifest import Manifest
from emotion_mlflow.data.npy import kept_array
from emotion_mlflow.data.pictures import decode, quiet_pillow
from emotion_mlflow.errors import DataError

Progress = Callable[[int, int], None]

CROP = ("crop_x", "crop_y", "crop_width", "crop_height")
BLOCK = 512  # pictures in memory at once, whatever the set's size

_log = logging.getLogger(__name__)


def load_pixels(
    manifest: Manifest, *, image_size: int, cache_dir: Path, progress: Progress | None = None
) -> np.ndarray:
    """(N, S, S, 3) uint8, 0-255, in the manifest's order; made at the first call, a memory map at the next ones.

    The key is the pictures' contents, so runs with other labels, seeds or splits share it. DataError where a
    picture has changed or gone since the manifest was read.
    """
    hashes = manifest.table["content_hash"].to_numpy().astype(str)
    key = hashlib.sha256("\n".join([str(image_size), *hashes]).encode()).hexdigest()[:32]
    file = cache_dir / "pixels" / f"{key}.npy"
    kept = _kept(file, (len(manifest), image_size, image_size, 3))
    if kept is None:
        _fill(file, manifest, image_size, progress)
        kept = np.load(file, mmap_mode="r", allow_pickle=False)
    os.utime(file)  # the age by which a full cache is trimmed
    return kept


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
    handle, name = tempfile.mkstemp(dir=file.parent, suffix=".part")
    os.close(handle)
    try:
        array = np.lib.format.open_memmap(name, mode="w+", dtype=np.uint8, shape=(len(manifest), size, size, 3))
        rows = list(manifest.table[["path", *CROP]].itertuples(index=False, name=None))
        with quiet_pillow(), ThreadPoolExecutor(os.cpu_count()) as pool:
            for start in range(0, len(rows), BLOCK):
                block = rows[start : start + BLOCK]
                pictures = pool.map(lambda row: _decode_row(manifest.root, row, size), block)
                array[start : start + len(block)] = np.stack(list(pictures))
                if progress:
                    progress(start + len(block), len(rows))
        array.flush()
        del array
        os.replace(name, file)
    except DataError as error:
        if not manifest.drawn:
            raise
        mend = f"{error.where} (emotion-mlflow cache clear: then the faces are drawn again)"
        raise DataError(error.expected, got=error.got, where=mend) from None
    finally:
        Path(name).unlink(missing_ok=True)


def _decode_row(root: Path, row: tuple[Any, ...], size: int) -> np.ndarray:
    path, *box = row
    return decode(root / path, crop=None if np.isnan(box[0]) else tuple(box), size=size)
