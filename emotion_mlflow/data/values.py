"""One cell or label file's value -> a label, with a reason where it cannot be one. Used by every reader."""

import math
from dataclasses import dataclass

import numpy as np

from emotion_mlflow.data.pictures import Box
from emotion_mlflow.errors import DataError
from emotion_mlflow.labels import AFFECT_HIGH, AFFECT_LOW, EXPRESSIONS, NOT_ANNOTATED, UNSCORED_EXPRESSIONS

NO_EXPRESSION = -1

_MISSING = frozenset({"", "nan", "na", "n/a", "null", "none"})
_NAMES = {name: code for code, name in enumerate(EXPRESSIONS)}
_ROUNDING = 1e-6  # a label stored as float32 may lie this far outside its range
_FAR = 1e5  # pixels; a landmark beyond it is a broken number, not a point


@dataclass(frozen=True, slots=True)
class Labels:
    """The labels of one face."""

    expression: int
    """0-7, or NO_EXPRESSION."""
    valence: float
    """-1..1, NaN: no label."""
    arousal: float
    landmarks: np.ndarray | None
    """(2K,) float64 in the picture file's pixels; None: no label."""

    @property
    def empty(self) -> bool:
        """No task has a label."""
        unlabelled = self.expression == NO_EXPRESSION and self.landmarks is None
        return unlabelled and math.isnan(self.valence) and math.isnan(self.arousal)


def is_missing(cell: object) -> bool:
    """Nothing is written there: None, NaN, empty, or one of the usual words for it."""
    if cell is None:
        return True
    if isinstance(cell, str):
        return cell.strip().lower() in _MISSING
    return isinstance(cell, (float, np.floating)) and bool(np.isnan(cell))


def text(cell: object) -> str:
    """The cell as it is written, "" where nothing is."""
    return "" if cell is None or (isinstance(cell, float) and math.isnan(cell)) else str(cell).strip()


def word(cell: object) -> str:
    """The cell as a name, "" where it is missing."""
    return "" if is_missing(cell) else text(cell)


def number(cell: object, *, name: str, where: object) -> float:
    """The cell as a finite number, NaN where it is missing. DataError where it is neither."""
    if is_missing(cell):
        return math.nan
    try:
        if isinstance(cell, str) and "_" in cell:  # Python reads 1_0 as ten; no data file means that
            raise ValueError
        value = float(cell)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        raise DataError(f"a number for {name}", got=repr(cell)[:60], where=where) from None
    if math.isinf(value):
        raise DataError(f"a finite number for {name}", got=value, where=where)
    return value


def expression(cell: object, *, where: object) -> int:
    """0-7 from a code or a name of ours; NO_EXPRESSION where it is missing, -2, 8, 9 or 10."""
    if isinstance(cell, str) and cell.strip().lower() in _NAMES:
        return _NAMES[cell.strip().lower()]
    if isinstance(cell, str) and not is_missing(cell) and cell.strip()[:1].isalpha():
        raise DataError("0-7 or " + ", ".join(EXPRESSIONS), got=repr(cell)[:60], where=where)
    code = number(cell, name="expression", where=where)
    if math.isnan(code) or code in (NOT_ANNOTATED, *UNSCORED_EXPRESSIONS):
        return NO_EXPRESSION
    if not code.is_integer() or not 0 <= code < len(EXPRESSIONS):
        raise DataError(f"an expression 0-{len(EXPRESSIONS) - 1}", got=f"{code:g}", where=where)
    return int(code)


def affect(cell: object, *, name: str, where: object) -> float:
    """-1..1, NaN where it is missing or AffectNet's -2. DataError outside the range."""
    value = number(cell, name=name, where=where)
    if math.isnan(value) or value == NOT_ANNOTATED:
        return math.nan
    if not AFFECT_LOW - _ROUNDING <= value <= AFFECT_HIGH + _ROUNDING:
        raise DataError(f"{name} in {AFFECT_LOW:g}..{AFFECT_HIGH:g}", got=f"{value:g}", where=where)
    return min(max(value, AFFECT_LOW), AFFECT_HIGH)


def landmarks(cell: object, *, where: object) -> np.ndarray | None:
    """(2K,) float64 x0, y0, x1, y1, ... from ';'-joined text, a list or an array; None where missing."""
    if is_missing(cell):
        return None
    try:
        points = np.array(
            cell.strip().strip(";").split(";") if isinstance(cell, str) else _plain(cell), dtype=np.float64
        )
    except (TypeError, ValueError, OverflowError):
        raise DataError("landmark numbers", got=repr(cell)[:60], where=where) from None
    points = points.ravel()
    if (np.isnan(points) | (points == NOT_ANNOTATED)).all():
        return None
    if points.size % 2:
        raise DataError("an even number of landmark numbers", got=points.size, where=where)
    if not (np.abs(points) < _FAR).all():
        raise DataError("landmarks in pixels", got="a number that is not finite or far too large", where=where)
    return points


def face_box(cells: tuple[object, object, object, object], *, where: object) -> Box | None:
    """x, y, width, height in whole pixels; None where all four are missing."""
    names = ("face_x", "face_y", "face_width", "face_height")
    x, y, width, height = (number(cell, name=name, where=where) for cell, name in zip(cells, names, strict=True))
    known = [not math.isnan(value) for value in (x, y, width, height)]
    if not any(known):
        return None
    if not all(known) or max(abs(x), abs(y), abs(width), abs(height)) > _FAR:
        raise DataError("face_x, face_y, face_width and face_height in pixels", got=repr(cells)[:80], where=where)
    return round(x), round(y), round(width), round(height)


def _plain(cell: object) -> object:
    """Lists of lists, which Parquet gives as arrays of arrays, as nested lists."""
    if isinstance(cell, np.ndarray) and cell.dtype == object:
        return [_plain(item) for item in cell]
    return cell
