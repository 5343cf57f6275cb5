"""`.npy` files read without trusting them: AffectNet's small label files, and our own caches' arrays.

Nothing is unpickled, and no header's claim is believed before the file's own size bears it out.
"""

import io
import math
import sys
import tokenize
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike

from emotion_mlflow.errors import DataError

MAX_BYTES = 64 * 1024
"""A face's label file; (136,) float64 with its header takes 1,216 bytes."""

_MAGIC = b"\x93NUMPY"
_REFUSED = (ValueError, SyntaxError, TypeError, KeyError, OverflowError, MemoryError, RecursionError)


def read_npy(path: str) -> np.ndarray:
    """The file's array of numbers or text, any shape. DataError: something else, damaged or too large."""
    try:
        with open(path, "rb", buffering=0) as file:
            content = file.read(MAX_BYTES + 1) or b""
    except (OSError, ValueError) as error:
        raise DataError("a readable npy file", got=error.__class__.__name__, where=path) from error
    if len(content) > MAX_BYTES:
        raise DataError(f"a label file of at most {MAX_BYTES >> 10} KiB", got="a larger one", where=path)
    return parse_npy(content, where=path)


def parse_npy(content: bytes, *, where: object) -> np.ndarray:
    """The array in `content`, a read-only view of it. DataError as `read_npy`."""
    start = _data_start(content, where)
    dtype, fortran, shape = _header(content[:start])
    if dtype is None or dtype.kind not in "fiubUS":
        raise DataError("an npy file of numbers or text", got="another header or Python objects", where=where)
    claimed = math.prod(shape) * dtype.itemsize
    if claimed != len(content) - start:
        raise DataError(
            f"an npy file with the {claimed} bytes its header claims", got=len(content) - start, where=where
        )
    if claimed == 0:
        return _empty(shape, dtype, where)
    flat = np.frombuffer(content, dtype=dtype, offset=start)
    if dtype.kind == "U" and (flat.view(dtype.str[0] + "u4") > sys.maxunicode).any():
        raise DataError("an npy file of numbers or text", got="bytes that are no text", where=where)
    return flat.reshape(shape, order="F" if fortran else "C")


def read_label(path: str) -> object:
    """A single value: number or text. DataError where the file holds more than one."""
    array = read_npy(path)
    if array.size != 1:
        raise DataError("one label", got=f"an array of shape {array.shape}", where=path)
    return _item(array.ravel(), path)


def read_landmarks(path: str) -> object:
    """(2K,) numbers, or the text of a 0-d array."""
    array = read_npy(path)
    return _item(array.ravel(), path) if array.size == 1 else array.ravel()


def kept_array(file: Path, *, shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray | None:
    """The array of this very shape and type that `np.save` wrote, mapped, not read; None where it is anything else.

    The header is not read but compared, byte by byte, with the one that NumPy writes for such an array.
    """
    kind, expected = np.dtype(dtype), npy_header(shape, dtype)
    try:
        with file.open("rb") as stored:
            fine = stored.read(len(expected)) == expected
        if not fine or file.stat().st_size != len(expected) + math.prod(shape) * kind.itemsize:
            return None
        return np.memmap(file, dtype=kind, mode="r", offset=len(expected), shape=shape)
    except (OSError, ValueError):
        return None


def npy_header(shape: tuple[int, ...], dtype: DTypeLike) -> bytes:
    """What `np.save` writes before the numbers of such an array."""
    header = io.BytesIO()
    facts = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, facts)
    return header.getvalue()


def _empty(shape: tuple[int, ...], dtype: np.dtype, where: object) -> np.ndarray:
    if dtype.itemsize == 0:
        return np.zeros((), "<U1")
    try:
        return np.zeros(shape)
    except ValueError as error:
        raise DataError("an npy file of numbers or text", got="a shape too large for any array", where=where) from error


def _item(array: np.ndarray, path: str) -> object:
    try:
        value = array[0].item()
        return value.decode("ascii") if isinstance(value, bytes) else value
    except ValueError as error:  # bytes that are not ASCII
        raise DataError("a label", got="bytes that are no text", where=path) from error


def _data_start(content: bytes, where: object) -> int:
    """Where the header ends, by its own length field (NumPy's format versions 1 to 3)."""
    if content[:6] != _MAGIC or len(content) < 12 or content[6] not in (1, 2, 3):
        raise DataError("an npy file", got="other bytes" if content else "an empty file", where=where)
    wide = content[6] > 1
    length = int.from_bytes(content[8 : 12 if wide else 10], "little")
    start = (12 if wide else 10) + length
    if start > len(content) or length > 4096:
        raise DataError("an npy header", got="a truncated or oversized one", where=where)
    return start


@lru_cache(maxsize=512)  # a set of 290,000 faces has a dozen different headers
def _header(head: bytes) -> tuple[np.dtype | None, bool, tuple[int, ...]]:
    """Type, order and shape; type None where the header is not one NumPy writes for plain arrays."""
    import ast

    try:
        fields = ast.literal_eval(head[12 if head[6] > 1 else 10 :].decode("utf-8").strip())
        if not isinstance(fields, dict) or not isinstance(fields["descr"], str):
            return None, False, ()
        shape = fields["shape"]
        if not isinstance(shape, tuple) or not all(type(size) is int and size >= 0 for size in shape) or len(shape) > 8:
            return None, False, ()
        return np.dtype(fields["descr"]), bool(fields["fortran_order"]), shape
    except (*_REFUSED, tokenize.TokenError):
        return None, False, ()
