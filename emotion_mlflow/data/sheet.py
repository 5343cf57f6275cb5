"""A contact sheet: faces with their labels and landmarks drawn, to be looked at. Used by `data show`."""

import math

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from emotion_mlflow.data.manifest import Manifest
from emotion_mlflow.data.pictures import decode, quiet_pillow
from emotion_mlflow.labels import EXPRESSIONS, PIXEL_CENTRE

_PAPER, _INK, _FAINT = (255, 255, 255), (20, 20, 20), (105, 105, 105)
_POINT, _RIM = (
    (255, 220, 0),
    (0, 60, 140),
)  # yellow with a blue rim: seen on light and on dark skin, and by anyone
_GAP = 6  # pixels between cells


def contact_sheet(manifest: Manifest, *, rows: int = 4, columns: int = 8, cell: int = 160) -> Image.Image:
    """RGB sheet of at most rows x columns faces, evenly from the whole manifest, each `cell` pixels wide.

    Under each face: expression, valence and arousal, id; a missing label is a dash. DataError where a picture
    has changed or gone since the manifest was read.
    """
    shown = np.unique(np.linspace(0, len(manifest) - 1, min(rows * columns, len(manifest))).round().astype(int))
    size = max(10, cell // 11)
    fonts = (ImageFont.load_default(size), ImageFont.load_default(max(9, size - 2)))
    foot = 3 * size + 10
    wide = min(columns, len(shown))
    high = math.ceil(len(shown) / wide)
    sheet = Image.new("RGB", (wide * (cell + _GAP) + _GAP, high * (cell + foot + _GAP) + _GAP), _PAPER)
    for place, face in enumerate(shown):
        corner = (_GAP + place % wide * (cell + _GAP), _GAP + place // wide * (cell + foot + _GAP))
        sheet.paste(_face(manifest, int(face), cell), corner)
        _caption(ImageDraw.Draw(sheet), manifest, int(face), (corner[0], corner[1] + cell + 2), cell, fonts)
    return sheet


def _face(manifest: Manifest, face: int, cell: int) -> Image.Image:
    """The face picture with its landmarks, drawn twice as large and halved, so that dots are round."""
    row = manifest.table.iloc[face]
    box = tuple(float(row[name]) for name in ("crop_x", "crop_y", "crop_width", "crop_height"))
    with quiet_pillow():
        pixels = decode(manifest.root / row["path"], crop=None if math.isnan(box[0]) else box, size=2 * cell)
    picture = Image.fromarray(pixels)
    draw = ImageDraw.Draw(picture)
    scale = np.array([2 * cell / row["width"], 2 * cell / row["height"]])
    radius = max(1.5, cell / 55)
    for x, y in (manifest.landmarks[face].reshape(-1, 2) + PIXEL_CENTRE) * scale:
        if math.isfinite(x + y):
            draw.circle((x, y), radius + 1.5, fill=_RIM)
            draw.circle((x, y), radius, fill=_POINT)
    return picture.resize((cell, cell), Image.Resampling.LANCZOS)


def _caption(
    draw: ImageDraw.ImageDraw,
    manifest: Manifest,
    face: int,
    corner: tuple[int, int],
    cell: int,
    fonts: tuple[ImageFont.FreeTypeFont | ImageFont.ImageFont, ...],
) -> None:
    row = manifest.table.iloc[face]
    large, small = fonts
    step = int(large.getbbox("Ag")[3]) + 1
    expression = EXPRESSIONS[row["expression"]] if row["expression"] >= 0 else "–"
    lines = (
        (expression, large, _INK),
        (f"v {_signed(row['valence'])}  a {_signed(row['arousal'])}", small, _INK),
        (_fitted(draw, str(row["id"]), small, cell), small, _FAINT),
    )
    for number, (line, font, colour) in enumerate(lines):
        draw.text((corner[0], corner[1] + number * step), line, font=font, fill=colour)


def _signed(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:+.2f}"


def _fitted(
    draw: ImageDraw.ImageDraw, word: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int
) -> str:
    """The word's end where it is wider than the cell: ids differ at the end."""
    if draw.textlength(word, font=font) <= width:
        return word
    while len(word) > 1 and draw.textlength("…" + word, font=font) > width:
        word = word[1:]
    return "…" + word
