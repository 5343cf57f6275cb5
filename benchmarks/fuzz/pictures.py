"""Bad picture files: damaged ones of every kind Pillow writes, and crafted headers, bombs and odd modes."""

import io
import struct
import zlib
from collections.abc import Callable
from functools import cache

import numpy as np
from hypothesis import strategies as st
from PIL import Image

from benchmarks.fuzz.damage import damaged

SIDES = (0, 1, 2, 48, 65_535, 65_536, 100_000, 2**31 - 1, 2**32 - 1)
_MODES = {
    "JPEG": ("RGB", "L", "CMYK"), "PNG": ("RGB", "RGBA", "P", "LA", "1", "I;16"), "BMP": ("RGB", "P", "1"),
    "GIF": ("P", "L"), "WEBP": ("RGB", "RGBA"), "TIFF": ("RGB", "L", "CMYK", "F", "I;16"), "PPM": ("RGB", "L"),
    "ICO": ("RGBA",), "ICNS": ("RGBA",), "TGA": ("RGB",), "PCX": ("RGB",), "DDS": ("RGBA",), "SGI": ("RGB",),
    "EPS": ("RGB",), "PDF": ("RGB",), "JPEG2000": ("RGB",), "AVIF": ("RGB",),
}  # fmt: skip


@cache
def sources() -> tuple[bytes, ...]:
    """Small whole pictures: every format and mode above, progressive, with EXIF, animated, packed in several ways."""
    blocks = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    base = Image.fromarray(blocks).resize((48, 40), Image.Resampling.BICUBIC)
    found = [_saved(_in_mode(base, mode), kind) for kind, modes in _MODES.items() for mode in modes]
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "maker" * 20  # orientation, camera
    found += [_saved(base, "JPEG", exif=exif, progressive=True), _saved(base, "PNG", exif=exif)]
    found += [_saved(base, "TIFF", compression=packing) for packing in ("tiff_lzw", "jpeg", "tiff_deflate", "packbits")]
    frames = [base.rotate(angle) for angle in (0, 90, 180)]
    for kind in ("GIF", "PNG", "WEBP", "TIFF"):
        found.append(_saved(base, kind, save_all=True, append_images=frames))
    return tuple(found)


def face() -> bytes:
    """A picture that is fine."""
    return sources()[0]


def bad_pictures() -> st.SearchStrategy[bytes]:
    """File contents."""
    crafted = st.one_of(_pngs(), _gifs(), _bmps(), _ppms(), _tiffs())
    return st.one_of(damaged(sources()), damaged(sources()), crafted, st.binary(max_size=60))


def _in_mode(picture: Image.Image, mode: str) -> Image.Image:
    if mode == "I;16":
        return Image.fromarray(np.asarray(picture.convert("L"), np.uint16) * 257)
    return picture.convert(mode)


def _saved(picture: Image.Image, kind: str, **settings: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **settings)
    return buffer.getvalue()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@cache
def _zeros(size: int) -> bytes:
    return zlib.compress(bytes(size), 9)


@st.composite
def _pngs(draw: Callable) -> bytes:
    """Whole checksums around a header that lies, data that unpack to far more, and texts that do."""
    side = st.sampled_from(SIDES) | st.integers(0, 9000)
    depth = draw(st.sampled_from((1, 2, 4, 8, 16, 7, 0, 255)))
    header = struct.pack(
        ">IIBBBBB", draw(side), draw(side), depth, draw(st.integers(0, 7)), 0, draw(st.integers(0, 1)),
        draw(st.integers(0, 2)),
    )  # fmt: skip
    text = _zeros(draw(st.sampled_from((10, 1 << 26))))
    extra = {
        b"zTXt": b"name\0\0" + text, b"iCCP": b"name\0\0" + text, b"iTXt": b"name\0\1\0\0\0" + text,
        b"acTL": struct.pack(">II", draw(st.sampled_from((1, 2**31))), 0), b"tRNS": b"\0" * draw(st.integers(0, 300)),
        b"PLTE": b"\0" * draw(st.integers(0, 800)), b"eXIf": b"II*\0" + b"\xff" * 20, b"gAMA": b"\0\0",
        b"fcTL": b"\0" * 26,
    }  # fmt: skip
    chunks = [_chunk(b"IHDR", header)]
    chunks += [_chunk(kind, extra[kind]) for kind in draw(st.lists(st.sampled_from(sorted(extra)), max_size=3))]
    chunks += [_chunk(b"IDAT", _zeros(draw(st.sampled_from((0, 1000, 1 << 20, 1 << 27)))))]
    chunks += [_chunk(kind, extra[kind]) for kind in draw(st.lists(st.sampled_from(sorted(extra)), max_size=1))]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + (_chunk(b"IEND", b"") if draw(st.booleans()) else b"")


@st.composite
def _gifs(draw: Callable) -> bytes:
    side = st.sampled_from((0, 1, 48, 7000, 65_535))
    screen = struct.pack("<HHBBB", draw(side), draw(side), draw(st.sampled_from((0, 0x80, 0xF7))), 0, 0)
    block = b"," + struct.pack("<HHHHB", draw(side), draw(side), draw(side), draw(side), draw(st.integers(0, 255)))
    data = draw(st.binary(max_size=30))
    frames = (block + b"\x08" + bytes([len(data)]) + data) * draw(st.integers(0, 3))
    return b"GIF89a" + screen + bytes(6) + frames + b";"


@st.composite
def _bmps(draw: Callable) -> bytes:
    side = st.sampled_from((0, 1, -1, 48, -48, 7000, 100_000, 2**31 - 1, -(2**31)))
    depth, packing = draw(st.sampled_from((0, 1, 4, 8, 16, 24, 32, 64))), draw(st.integers(0, 6))
    offset, colours = draw(st.sampled_from((0, 14, 54, 2**31))), draw(st.sampled_from((0, 2, 256, 2**31)))
    info = struct.pack("<IiiHHIIiiII", 40, draw(side), draw(side), 1, depth, packing, 0, 0, 0, colours, 0)
    return b"BM" + struct.pack("<IHHI", 0, 0, 0, offset) + info + draw(st.binary(max_size=60))


def _ppms() -> st.SearchStrategy[bytes]:
    number = st.sampled_from(SIDES) | st.integers(-1, 300)
    kinds = st.sampled_from(("P1", "P2", "P3", "P4", "P5", "P6", "P7", "Pf", "PF", "P0"))
    return st.tuples(kinds, number, number, number, st.binary(max_size=40)).map(
        lambda part: f"{part[0]}\n{part[1]} {part[2]}\n{part[3]}\n".encode() + part[4]
    )


@st.composite
def _tiffs(draw: Callable) -> bytes:
    """One directory of tags whose types, counts and values are anyone's guess; it may point at itself."""
    number = st.sampled_from((0, 1, 2, 8, 48, 7000, 65_535, 100_000, 2**31, 2**32 - 1))
    names = st.sampled_from(
        (256, 257, 258, 259, 262, 273, 277, 278, 279, 284, 317, 320, 322, 323, 338, 339, 34_665, 530)
    )
    tags = {
        draw(names): (draw(st.integers(0, 14)), draw(number), draw(number)) for _ in range(draw(st.integers(0, 14)))
    }
    for name, value in ((256, 48), (257, 48), (258, 8), (262, 1), (277, 1), (273, 8), (279, 2304)):
        if draw(st.booleans()):
            tags[name] = (4, 1, value)
    entries = b"".join(struct.pack("<HHII", name, *tags[name]) for name in sorted(tags))
    after = struct.pack("<I", draw(st.sampled_from((0, 8, 2**31))))
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + after + bytes(draw(st.sampled_from((0, 3000))))
