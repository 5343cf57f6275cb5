import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emotion_mlflow.data.parquet import column_names, read_columns
from emotion_mlflow.errors import DataError

KNOWN = {"path", "expression", "landmarks"}


def written(tmp_path, columns, names=None):
    table = pa.Table.from_arrays(list(columns.values()) if names is None else columns, names=names or list(columns))
    pq.write_table(table, tmp_path / "faces.parquet", compression="zstd")
    return tmp_path / "faces.parquet"


def test_known_columns_come_as_plain_values_in_order(tmp_path):
    columns = {
        "path": pa.array(["a.png", None, "a.png"]),
        "other": pa.array([1, 2, 3]),
        "landmarks": pa.array([[1.0, 2.0], None, [3.0, 4.0]]),
    }
    names, cells = read_columns(written(tmp_path, columns), KNOWN)
    assert names == ["path", "landmarks"]
    assert cells == [["a.png", None, "a.png"], [[1.0, 2.0], None, [3.0, 4.0]]]


def test_a_small_file_of_endless_rows_is_refused(tmp_path):
    file = written(tmp_path, {"path": pa.nulls(3_000_000, pa.string())})
    assert file.stat().st_size < 20_000
    with pytest.raises(DataError, match="bytes can hold; got 3000000 values"):
        read_columns(file, KNOWN)


def test_a_small_file_with_one_endless_list_is_refused(tmp_path):
    lists = pa.ListArray.from_arrays(pa.array([0, 3_000_000], pa.int32()), pa.array(np.zeros(3_000_000)))
    with pytest.raises(DataError, match=r"a column landmarks that its .* bytes can hold"):
        read_columns(written(tmp_path, {"landmarks": lists}), KNOWN)


def test_a_long_text_repeated_in_every_row_is_refused(tmp_path):
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * 200, pa.int32()), pa.array(["x" * 900_000]))
    with pytest.raises(DataError, match="got 180000000 characters"):
        read_columns(written(tmp_path, {"path": texts}), KNOWN)


def test_lists_of_text_are_refused(tmp_path):
    with pytest.raises(DataError, match="lists of text"):
        read_columns(written(tmp_path, {"landmarks": pa.array([["1", "2"]])}), KNOWN)


def test_places_outside_a_damaged_dictionary_are_refused(tmp_path):
    file = tmp_path / "faces.parquet"
    pq.write_table(pa.table({"path": ["a.png", "b.png", "b.png"]}), file, compression="none")
    whole, refused = file.read_bytes(), 0
    footer = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    for place in range(footer):  # in the footer some bits make Arrow abort
        for bit in range(8):
            file.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :])
            try:
                read_columns(file, KNOWN)
            except DataError:
                refused += 1
    assert refused > footer


def test_a_column_twice_is_refused(tmp_path):
    file = written(tmp_path, [pa.array(["a"]), pa.array(["b"])], ["path", "path"])
    with pytest.raises(DataError, match="expected one column path; got two"):
        read_columns(file, KNOWN)


def test_a_file_that_is_no_parquet_is_refused(tmp_path):
    (tmp_path / "faces.parquet").write_bytes(b"PAR1 not at all PAR1")
    with pytest.raises(DataError, match="a readable Parquet table"):
        column_names(tmp_path / "faces.parquet")
