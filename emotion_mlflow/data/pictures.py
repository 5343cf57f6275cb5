"""One picture file: is it whole, and which pixels does a network see. Used by readers, pixels, serving.

EXIF orientation is deliberately not applied: face boxes and landmarks are in the file's own pixels.
"""

import hashlib
import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from emotion_mlflow.errors import DataError

Box = tuple[int, int, int, int]
"""x, y, width, height of a face in the picture file, pixels."""

FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "GIF", "TIFF", "PPM")  # others have no place in a set of faces
MAX_BYTES = 100 * 2**20
MAX_PIXELS = 50_000_000
NO_PICTURE_HASH = 0
"""Perceptual hash of a picture too flat to have one."""

_HASH_SIDE = 32  # pixels a side that the hash looks at (pHash; Zauner 2010)
_FLAT = 2.0  # grey levels of standard deviation below which the hash would be rounding noise
_UNREADABLE = (
    OSError, SyntaxError, ValueError, EOFError, TypeError, IndexError, KeyError, OverflowError, MemoryError,
    RuntimeError, NotImplementedError, Image.DecompressionBombError, Image.DecompressionBombWarning,
)  # fmt: skip  # what Pillow's decoders raise on damaged files


@dataclass(frozen=True, slots=True)
class PictureFacts:
    """What a look at the file's bytes tells."""

    crop: Box | None
    """None: the whole picture, also where the box asked for was just that."""
    width: int
    """Of the face picture after the crop, pixels."""
    height: int
    content_hash: str
    """sha256 of bytes and crop, 32 hex digits."""
    picture_hash: int
    """64-bit perceptual hash, or NO_PICTURE_HASH."""


def inspect(path: Path, *, crop: Box | None = None) -> PictureFacts:
    """The facts of one face, its file read once. DataError: no picture, damaged, too large, box outside."""
    source = _bytes(path)
    with _opened(source, path) as picture:
        size = picture.size
        crop = _checked_crop(crop, size, path)
        grey = _grey(picture, crop)
    digest = hashlib.sha256(source)
    if crop is not None:
        digest.update(f"|{crop[0]},{crop[1]},{crop[2]},{crop[3]}".encode())
    width, height = size if crop is None else crop[2:]
    return PictureFacts(crop, width, height, digest.hexdigest()[:32], perceptual_hash(grey))


def decode(source: Path | bytes, *, crop: tuple[float, ...] | None, size: int) -> np.ndarray:
    """(size, size, 3) uint8 RGB, 0-255: the face as every network here is shown it, in training and served.

    `crop` is x, y, width, height in the file's pixels; what lies outside the picture is black. DataError as
    `inspect`.
    """
    where = source if isinstance(source, Path) else "the bytes given"
    content = _bytes(source) if isinstance(source, Path) else source
    with _opened(content, where) as picture:
        box = _checked_crop(None if crop is None else _box(crop), picture.size, where)
        face = picture.convert("RGB")
        if box is not None:
            face = face.crop(_corners(box))
        return np.asarray(face.resize((size, size), Image.Resampling.BILINEAR))


def perceptual_hash(grey: Image.Image) -> int:
    """The pHash of ImageHash's `phash`: which of the 8 x 8 lowest frequencies exceed their median.

    The first bit, the mean brightness, is the highest. NO_PICTURE_HASH where the picture is flat.
    """
    small = grey.resize((_HASH_SIDE, _HASH_SIDE), Image.Resampling.LANCZOS)
    pixels = np.asarray(small, dtype=np.float64)
    if pixels.std() < _FLAT:
        return NO_PICTURE_HASH
    cosines = _cosines()
    low = cosines @ pixels @ cosines.T
    bits = np.packbits(low > np.median(low))
    return int.from_bytes(bits.tobytes(), "big")


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Inside, a decompression bomb is an error and Pillow's other warnings are dropped.

    A picture that decodes whole is used however odd its EXIF block or palette is. Warning filters belong to
    the process, so one thread opens this around a whole pool of readers.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


@cache
def _cosines() -> np.ndarray:
    """(8, 32) rows of the discrete cosine transform, type II, unscaled."""
    frequency, position = np.arange(8)[:, None], np.arange(_HASH_SIDE)[None, :]
    return 2 * np.cos(np.pi * frequency * (2 * position + 1) / (2 * _HASH_SIDE))


def _bytes(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise DataError("a readable picture", got=_short(error), where=path) from error
    if len(content) > MAX_BYTES:
        raise DataError(f"a picture file of at most {MAX_BYTES >> 20} MiB", got="a larger one", where=path)
    if not content:
        raise DataError("a picture", got="an empty file", where=path)
    return content


@contextmanager
def _opened(content: bytes, where: object) -> Iterator[Image.Image]:
    """The picture, header read and size allowed; faults of decoding inside the block become DataError."""
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
            width, height = picture.size
            if width * height > MAX_PIXELS:
                raise DataError(_at_most(), got=f"{width} x {height}", where=where)
            if picture.mode in ("F", "I") or picture.mode.startswith("I;"):
                raise DataError("a picture of 8 bits a channel", got=f"mode {picture.mode}", where=where)
            yield picture
    except DataError:
        raise
    except _UNREADABLE as error:
        raise DataError("a whole picture", got=_short(error), where=where) from error


def _at_most() -> str:
    return f"a picture of at most {MAX_PIXELS // 10**6} million pixels"


def _short(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "a file that is none of " + ", ".join(FORMATS)
    return f"{getattr(error, 'strerror', None) or error or type(error).__name__}"[:160]


def _grey(picture: Image.Image, crop: Box | None) -> Image.Image:
    """The face in grey, every byte decoded; JPEG straight to grey and at the scale the hash needs."""
    if picture.format == "JPEG" and picture.mode in ("RGB", "L"):
        picture.draft("L", (2 * _HASH_SIDE,) * 2 if crop is None else picture.size)
    if picture.mode in ("P", "PA", "RGBA", "LA", "CMYK"):
        return _cut(picture.convert("RGB"), crop).convert("L")
    picture.load()
    return _cut(picture, crop).convert("L")


def _cut(picture: Image.Image, crop: Box | None) -> Image.Image:
    return picture if crop is None else picture.crop(_corners(crop))


def _corners(box: Box) -> tuple[int, int, int, int]:
    x, y, width, height = box
    return x, y, x + width, y + height


def _box(crop: tuple[float, ...]) -> Box:
    x, y, width, height = (round(value) for value in crop)
    return x, y, width, height


def _checked_crop(crop: Box | None, size: tuple[int, int], where: object) -> Box | None:
    """The box, None where it is the whole picture. At least half of it must lie in the picture."""
    if crop is None or crop == (0, 0, *size):
        return None
    x, y, width, height = crop
    if width < 1 or height < 1:
        raise DataError("a face box of at least 1 x 1 pixels", got=f"{width} x {height}", where=where)
    if width * height > MAX_PIXELS:  # before the crop allocates it
        raise DataError(_at_most(), got=f"a face box of {width} x {height}", where=where)
    inside_x = min(x + width, size[0]) - max(x, 0)
    inside_y = min(y + height, size[1]) - max(y, 0)
    if min(inside_x, inside_y) < 1 or 2 * inside_x * inside_y < width * height:
        raise DataError(
            f"a face box inside the {size[0]} x {size[1]} picture",
            got=f"{width} x {height} at {x}, {y}",
            where=where,
        )
    return crop
