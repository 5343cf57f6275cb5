"""Any CSV or Parquet table of faces -> faces to be read. AffectNet's csv lists are such tables.

Columns, by name (others are ignored; docs/DATA.md has examples):

| column | what |
|---|---|
| `path` or `image` | the picture, relative to the table's folder; must lie inside it |
| `id` | optional; unique. Else the path without its suffix |
| `expression` | 0-7 or a name of ours (labels.EXPRESSIONS); empty, -2, 8, 9, 10: no label |
| `valence`, `arousal` | -1..1; empty, NaN, -2: no label |
| `landmarks` | x0;y0;x1;y1;... or a list column, pixels of the picture file; empty: no label |
| `face_x`, `face_y`, `face_width`, `face_height` | the face's box, the same pixels; empty: whole picture |
| `identity`, `source` | optional words |
| `split` | optional: `train`, `validation` or `val`, `test`; for every row or for none |

`path` and one column of labels are needed. With `test` rows, those are the set's held-out part, and
`validation` rows are used as the val split as they stand; without, `validation` is the held-out part.
"""

import csv
import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from emotion_mlflow.data import values
from emotion_mlflow.data.assembly import Answer, Face, Findings, Refusal
from emotion_mlflow.data.folder import Folder
from emotion_mlflow.errors import DataError

OTHER_NAMES = {"image": "path", "subDirectory_filePath": "path", "facial_landmarks": "landmarks"}
LABEL_COLUMNS = ("expression", "valence", "arousal", "landmarks")
BOX_COLUMNS = ("face_x", "face_y", "face_width", "face_height")
TABLE_SUFFIXES = (".csv", ".parquet")

_KNOWN = ("path", "id", *LABEL_COLUMNS, *BOX_COLUMNS, "identity", "source", "split")
_SPLITS = {"train": "train", "training": "train", "validation": "val", "val": "val", "test": "test"}
_LONGEST_CELL = 1_000_000  # characters
_SUFFIXES = 20  # a table with more kinds of pictures is nonsense; then every file counts


@dataclass(frozen=True, slots=True)
class Rows:
    """A table's known columns, and its rows with the number an editor shows (the header is row 1)."""

    columns: dict[str, int]
    rows: list[tuple[int, Sequence[Any]]]
    refused: list[Refusal]

    def cell(self, row: Sequence[Any], column: str) -> Any:
        """None where the table has no such column."""
        place = self.columns.get(column)
        return None if place is None else row[place]


def table_findings(folder: Folder, file: str) -> Findings:
    """The faces of one table whose paths are relative to `folder`. DataError: a needed column is absent."""
    rows = read_rows(folder, file)
    splits, refused, two_parts = _splits(rows, file)
    faces = [
        row_face(rows, row, number=number, file=file, folder=folder, part=part, split=split)
        for (number, row), (part, split) in zip(rows.rows, splits, strict=True)
        if part is not None
    ]
    return Findings(
        faces=faces,
        refused=[*rows.refused, *refused],
        two_parts=two_parts,
        tables=(file,),
        suffixes=suffixes(rows),
    )


def read_rows(folder: Folder, file: str, *, header: Sequence[str] | None = None) -> Rows:
    """The table `file` of the folder. `header` names the columns of a csv whose first row is no header."""
    folder.files(posixpath.dirname(file))  # listed before it is read: a table that changes meanwhile is read again
    path = Path(folder.full(file))
    if path.suffix.lower() == ".parquet":
        columns, rows, refused = _parquet(path)
    else:
        columns, rows, refused = _csv(path, file, header)
    places: dict[str, int] = {}
    for place, column in enumerate(columns):
        known = OTHER_NAMES.get(column, column)
        if known in places:
            raise DataError(f"one column {known}", got="two", where=path)
        if known in _KNOWN:
            places[known] = place
    if "path" not in places:
        raise DataError("a column path or image", got=", ".join(columns)[:200] or "no columns", where=path)
    if not any(column in places for column in LABEL_COLUMNS):
        raise DataError("a column " + ", ".join(LABEL_COLUMNS), got=", ".join(columns)[:200], where=path)
    return Rows(places, rows, refused)


def header_of(path: Path) -> list[str]:
    """The column names, or a headerless csv's first row. DataError where the file cannot be read."""
    if path.suffix.lower() == ".parquet":
        from emotion_mlflow.data.parquet import column_names

        return column_names(path)
    try:
        with open(path, newline="", encoding="utf-8-sig", errors="replace") as file:
            return [cell.strip() for cell in next(csv.reader(file, strict=True), [])]
    except (OSError, csv.Error) as error:
        raise DataError("a readable csv table", got=error, where=path) from error


def row_face(
    rows: Rows,
    row: Sequence[Any],
    *,
    number: int,
    file: str,
    folder: Folder,
    part: str = "",
    split: str = "",
    places: Sequence[str] = ("",),
) -> Face:
    """One row as a face; its picture lies under the first of `places` (folders) that has it."""
    path = values.text(rows.cell(row, "path"))
    stem = posixpath.splitext(path)[0]
    own = values.word(rows.cell(row, "id"))
    box = ",".join(values.text(rows.cell(row, column)) for column in BOX_COLUMNS if column in rows.columns)
    return Face(
        id=own or stem,
        long_id=own or "/".join(filter(None, (split or part, f"{path}@{box}" if box.strip(",") else path))),
        file=file,
        row=number,
        part=part,
        split=split,
        identity=values.word(rows.cell(row, "identity")),
        source=values.word(rows.cell(row, "source")),
        answer=partial(_answer, rows, row, folder, path, places),
    )


def suffixes(rows: Rows) -> frozenset[str]:
    """How the pictures' names end: other files beside them may change without the set being read again."""
    found = {posixpath.splitext(values.text(rows.cell(row, "path")))[1] for _, row in rows.rows}
    return frozenset(found) if 0 < len(found) <= _SUFFIXES else frozenset({""})


def _answer(rows: Rows, row: Sequence[Any], folder: Folder, path: str, places: Sequence[str]) -> Answer:
    where = _find(folder, path, places)
    box = tuple(rows.cell(row, column) for column in BOX_COLUMNS)
    return Answer(
        path=where,
        crop=values.face_box(box, where=path),
        labels=values.Labels(
            values.expression(rows.cell(row, "expression"), where=path),
            values.affect(rows.cell(row, "valence"), name="valence", where=path),
            values.affect(rows.cell(row, "arousal"), name="arousal", where=path),
            values.landmarks(rows.cell(row, "landmarks"), where=path),
        ),
    )


def _find(folder: Folder, path: str, places: Sequence[str]) -> str:
    if not path:
        raise DataError("a picture's path", got="an empty cell")
    for place in places:
        if folder.has(place + path):
            return folder.locate(place + path)
    return folder.locate(places[0] + path)


def _csv(
    path: Path, name: str, header: Sequence[str] | None
) -> tuple[list[str], list[tuple[int, Sequence[Any]]], list[Refusal]]:
    """Read by hand for the sake of line numbers; a row of another length is refused, not guessed at.

    Strict: else a stray quote makes one cell of all the rows to the next one, or to the end.
    """
    csv.field_size_limit(_LONGEST_CELL)
    rows: list[tuple[int, Sequence[Any]]] = []
    refused = []
    try:
        with open(path, newline="", encoding="utf-8-sig", errors="replace") as file:
            reader = csv.reader(file, strict=True)
            columns = [cell.strip() for cell in next(reader, [])]
            if header is not None and not set(columns) & {*_KNOWN, *OTHER_NAMES} and len(columns) == len(header):
                rows.append((1, columns))
                columns = list(header)
            for row in reader:
                if len(row) == len(columns):
                    rows.append((reader.line_num, row))
                elif row:
                    reason = f"expected {len(columns)} columns; got {len(row)}"
                    refused.append(Refusal(name, reader.line_num, reason))
    except (OSError, csv.Error) as error:
        raise DataError("a readable csv table", got=error, where=path) from error
    return columns, rows, refused


def _parquet(path: Path) -> tuple[list[str], list[tuple[int, Sequence[Any]]], list[Refusal]]:
    """Known columns only; row 1 is the header, as in a csv."""
    from emotion_mlflow.data.parquet import read_columns

    columns, cells = read_columns(path, {*_KNOWN, *OTHER_NAMES})
    return columns, list(enumerate(zip(*cells, strict=True), start=2)), []


def _splits(rows: Rows, file: str) -> tuple[list[tuple[str | None, str]], list[Refusal], bool]:
    """(part, split) of every row, part None where the row is refused; and whether the set has two parts."""
    words = [values.word(rows.cell(row, "split")).lower() for _, row in rows.rows]
    if not any(words):
        return [("", "")] * len(words), [], False
    kinds = [_SPLITS.get(word) for word in words]
    present = {kind for kind in kinds if kind}
    two_parts = len(present) > 1
    held_out = "test" if "test" in present else "val"
    found: list[tuple[str | None, str]] = []
    refused = []
    for (number, _), word, kind in zip(rows.rows, words, kinds, strict=True):
        if kind is None:
            found.append((None, ""))
            refused.append(
                Refusal(file, number, f"expected a split train, validation, val or test; got {word or 'none'}")
            )
        elif not two_parts:
            found.append(("", ""))
        elif kind == held_out:
            found.append(("validation", ""))
        else:
            found.append(("train", "val" if kind == "val" else ""))
    return found, refused, two_parts
