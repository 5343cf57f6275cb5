import numpy as np
import pandas as pd
import pytest

from emotion_mlflow.data.check import check
from emotion_mlflow.data.read import read
from emotion_mlflow.errors import DataError


@pytest.fixture
def pictures(tmp_path, write_picture):
    """a.png to f.png in a folder, each its own picture."""
    for seed, name in enumerate("abcdef"):
        write_picture(tmp_path / f"{name}.png", seed=seed)
    return tmp_path


def rows(names, **columns):
    return [
        {"path": f"{name}.png", "expression": 1} | {key: cells[i] for key, cells in columns.items()}
        for i, name in enumerate(names)
    ]


def test_a_csv_table_needs_only_a_path_and_one_label(pictures, write_csv):
    table = write_csv(pictures / "mine.csv", [{"image": "a.png", "expression": "fear"}])
    manifest = read(table, cache_dir=None)
    assert (manifest.name, manifest.root, manifest.tasks()) == ("mine", pictures, ("expression",))
    assert manifest.table[["id", "path", "expression"]].to_numpy().tolist() == [["a", "a.png", 4]]


def test_every_documented_column_is_read(pictures, write_csv):
    row = {
        "id": "x7", "path": "a.png", "expression": 2, "valence": -0.5, "arousal": 0.25, "landmarks": "10;12;30;32",
        "face_x": 8, "face_y": 4, "face_width": 20, "face_height": 30, "identity": "ann", "source": "web", "note": "?",
    }  # fmt: skip
    manifest = read(write_csv(pictures / "mine.csv", [row]), cache_dir=None)
    found = manifest.table.loc[0]
    assert found[["id", "expression", "valence", "arousal", "identity", "source"]].tolist() == [
        "x7",
        2,
        -0.5,
        0.25,
        "ann",
        "web",
    ]
    assert found[["crop_x", "crop_y", "width", "height"]].tolist() == [8, 4, 20, 30]
    assert manifest.landmarks.tolist() == [[2, 8, 22, 28]]


def test_parquet_and_csv_read_alike(pictures, write_csv):
    one = rows("ab", valence=[0.5, ""], landmarks=["1;2;3;4", ""])
    table = pd.DataFrame(
        {
            "path": ["a.png", "b.png"],
            "expression": [1, 1],
            "valence": [0.5, np.nan],
            "landmarks": [[1.0, 2, 3, 4], None],
        }
    )
    table.to_parquet(pictures / "two.parquet")
    first = read(write_csv(pictures / "one.csv", one), cache_dir=None)
    second = read(pictures / "two.parquet", cache_dir=None)
    assert first.digest() == second.digest()
    assert first.labelled()["landmarks"].tolist() == [True, False]


@pytest.mark.parametrize(
    ("words", "part", "split"),
    [
        (["train", "validation", "train"], ["train", "validation", "train"], ["", "", ""]),
        (["train", "val", "TRAIN"], ["train", "validation", "train"], ["", "", ""]),
        (["train", "val", "test"], ["train", "train", "validation"], ["", "val", ""]),
        (["train", "test", "test"], ["train", "validation", "validation"], ["", "", ""]),
        (["test", "test", "test"], ["", "", ""], ["", "", ""]),
        (["", "", ""], ["", "", ""], ["", "", ""]),
    ],
)
def test_the_split_column_names_the_held_out_part(pictures, write_csv, words, part, split):
    manifest = read(write_csv(pictures / "mine.csv", rows("abc", split=words)), cache_dir=None)
    assert manifest.table["part"].tolist() == part
    assert manifest.table["split"].tolist() == split
    assert manifest.two_parts == ("validation" in part)


@pytest.mark.parametrize("changed", [{"split": ["train", "train", "test"]}, {"identity": ["ann", "ben", "ann"]}])
def test_other_sides_or_identities_are_the_same_faces_but_no_longer_cut_alike(pictures, write_csv, changed):
    columns = {"split": ["train", "val", "test"], "identity": ["ann", "ann", "ann"]}
    before = read(write_csv(pictures / "before.csv", rows("abc", **columns)), cache_dir=None)
    after = read(write_csv(pictures / "after.csv", rows("abc", **columns | changed)), cache_dir=None)
    assert after.digest() == before.digest()
    assert after.cut_digest() != before.cut_digest()
    assert before.rows([2, 0, 1]).cut_digest() == before.cut_digest()


def test_rows_at_fault_are_rejected_and_the_others_stay(pictures, write_csv):
    table = write_csv(
        pictures / "mine.csv", rows("abcd", id=["1", "1", "3", "4"], split=["train", "train", "", "test"])
    )
    with open(table, "a") as file:
        file.write("e.png,1\nf.png,1,6,train,too,many\n\n")
    manifest = read(table, cache_dir=None)
    assert manifest.table["id"].tolist() == ["1", "4"]
    assert sorted(manifest.rejected.to_numpy().tolist()) == [
        ["mine.csv", 3, "expected an id of its own; got 1, as mine.csv row 2 has"],
        ["mine.csv", 4, "expected a split train, validation, val or test; got none"],
        ["mine.csv", 6, "expected 4 columns; got 2"],
        ["mine.csv", 7, "expected 4 columns; got 6"],
    ]


def test_a_picture_in_two_splits_is_a_leak_and_not_a_second_row_of_one_id(pictures, write_csv):
    table = write_csv(pictures / "mine.csv", rows("abca", split=["train", "train", "test", "test"]))
    manifest = read(table, cache_dir=None)
    assert manifest.table["id"].tolist() == ["train/a.png", "b", "c", "validation/a.png"]
    assert check(manifest).leaks == 1


def test_words_for_nothing_are_no_identity_source_or_id(pictures, write_csv):
    columns = {name: ["NaN", "null"] for name in ("id", "identity", "source", "split")}
    manifest = read(write_csv(pictures / "mine.csv", rows("ab", **columns)), cache_dir=None)
    assert manifest.table[["id", "identity", "source"]].to_numpy().tolist() == [["a", "", ""], ["b", "", ""]]


def test_pictures_of_one_stem_keep_their_suffix_as_id(pictures, write_csv, write_picture):
    write_picture(pictures / "a.jpg", seed=9)
    table = write_csv(pictures / "mine.csv", [{"path": name, "expression": 0} for name in ("a.png", "a.jpg", "b.png")])
    assert read(table, cache_dir=None).table["id"].tolist() == ["a.png", "a.jpg", "b"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("expression,valence\n1,0\n", "expected a column path or image; got expression, valence"),
        ("path,identity\na.png,x\n", "expected a column expression, valence, arousal, landmarks; got path, identity"),
        ("path,image,expression\na.png,a.png,1\n", "expected one column path; got two"),
        ("", "expected a column path or image; got no columns"),
        ("path,expression\n", "expected at least one readable face; got none, 0 rejected"),
        (
            "path,expression\nz.png,1\n",
            "got none, 1 rejected, the first: mine.csv row 2: expected a file; got none there in z.png",
        ),
        ('path,expression\na.png,1\n"b.png,1\nc.png,1\n', "expected a readable csv table; got unexpected end of data"),
        ("path,expression\na.png," + "9" * 1_100_000, "expected a readable csv table; got field larger than"),
    ],
)
def test_a_table_that_cannot_be_used_says_why(pictures, content, words):
    (pictures / "mine.csv").write_text(content)
    with pytest.raises(DataError, match=words):
        read(pictures / "mine.csv", cache_dir=None)


def test_a_file_that_is_no_parquet_is_one_line(pictures):
    (pictures / "mine.parquet").write_bytes(b"PAR1 no PAR1")
    with pytest.raises(DataError, match="expected a readable Parquet table"):
        read(pictures / "mine.parquet", cache_dir=None)


def test_bytes_that_are_no_utf8_spoil_their_row_only(pictures):
    (pictures / "mine.csv").write_bytes(b"path,expression\na.png,1\n\xff\xfe.png,2\n")
    manifest = read(pictures / "mine.csv", cache_dir=None)
    assert (len(manifest), manifest.rejected["row"].tolist()) == (1, [3])
