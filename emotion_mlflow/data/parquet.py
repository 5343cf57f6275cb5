"""A Parquet table's columns as plain values, read without trusting it. Used by `tables`.

A file of a few kilobytes may claim billions of rows, or one text of a megabyte for each of them: what it would unpack
to is held against its own size first.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from emotion_mlflow.errors import DataError

_VALUES = 1_000_000, 8
"""Values of one column at most, and as many more for each byte of the file; AffectNet's landmarks take a tenth."""
_BYTES = 64 << 20, 50
"""Bytes that one column unpacks to, likewise."""

UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, NotImplementedError, OverflowError)
"""What pandas and Arrow raise on damaged files, beside OSError; Arrow's own errors are among these but for memory."""


def column_names(path: Path) -> list[str]:
    """DataError where the file is no Parquet table."""
    return list(_open(path).schema_arrow.names)


def read_columns(path: Path, known: Collection[str]) -> tuple[list[str], list[list[Any]]]:
    """Names of the columns that are `known`, or of all where none is, and the values of the known ones.

    DataError: damaged, not Parquet, or far larger unpacked than it is.
    """
    import pyarrow as pa

    file = _open(path)
    schema = file.schema_arrow
    names = [name for name in schema.names if name in known]
    if not names:
        return list(schema.names), []
    for name in names:
        if names.count(name) > 1:
            raise DataError(f"one column {name}", got="two", where=path)
    _require_sane(file, names, path)
    text = [name for name in names if _is_text(schema.field(name).type)]
    try:
        table = _open(path, text).read(columns=names)
        table.validate(full=True)  # else a damaged dictionary's places may lie outside it
        cells = [_cells(table[name], path) for name in names]
    except (pa.ArrowException, OSError, *UNREADABLE) as error:
        raise DataError("a readable Parquet table", got=error, where=path) from error
    return names, cells


def _open(path: Path, dictionaries: Collection[str] = ()) -> Any:
    """`dictionaries`: columns whose equal texts are kept once."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path, read_dictionary=list(dictionaries))
        file.schema_arrow.names  # noqa: B018  a damaged schema fails here
    except (pa.ArrowException, OSError, *UNREADABLE) as error:
        raise DataError("a readable Parquet table", got=error, where=path) from error
    return file


def _is_text(kind: Any) -> bool:
    import pyarrow as pa

    return any(
        asked(kind)
        for asked in (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
    )


def _require_sane(file: Any, names: Collection[str], path: Path) -> None:
    facts, size = file.metadata, path.stat().st_size
    for column in range(facts.num_columns):
        schema = file.schema.column(column)
        name, _, below = schema.path.partition(".")
        if name not in names:
            continue
        chunks = [facts.row_group(group).column(column) for group in range(facts.num_row_groups)]
        values = max(facts.num_rows, sum(chunk.num_values for chunk in chunks))
        unpacked = max(sum(chunk.total_uncompressed_size for chunk in chunks), values * max(schema.length or 0, 0))
        if values > _VALUES[0] + _VALUES[1] * size or unpacked > _BYTES[0] + _BYTES[1] * size:
            raise DataError(f"a column {name} that its {size} bytes can hold", got=f"{values} values", where=path)
        if below and schema.physical_type == "BYTE_ARRAY":
            raise DataError(f"numbers, or text, in column {name}", got="lists of text", where=path)


def _cells(column: Any, path: Path) -> list[Any]:
    """Python values; those of a dictionary are made once, not once a row."""
    import pyarrow as pa

    cells: list[Any] = []
    for chunk in column.chunks:
        if pa.types.is_dictionary(chunk.type):
            values = chunk.dictionary.to_pylist()
            places = chunk.indices.to_pylist()
            _require_short(values, places, path)
            cells += [None if place is None else values[place] for place in places]
        else:
            cells += chunk.to_pylist()
    return cells


def _require_short(values: list[Any], places: list[Any], path: Path) -> None:
    lengths = [len(value) if isinstance(value, str | bytes) else 0 for value in values]
    total = sum(lengths[place] for place in places if place is not None)
    if total > _BYTES[0] + _BYTES[1] * path.stat().st_size:
        raise DataError("texts that the file's size can hold", got=f"{total} characters", where=path)
