"""The 32 answers that are logged with a model."""

import pandas as pd
import pytest

from emotion_mlflow.errors import DataError
from emotion_mlflow.labels import EXPRESSIONS
from emotion_mlflow.reproduce import read_check, write_check


class Affect:
    """A model of valence and arousal alone, which answers by a picture's number of bytes."""

    def predict(self, context, pictures):
        return [{"valence": len(picture) / 1e6, "arousal": -0.5} for picture in pictures]


def test_a_task_that_was_not_learnt_has_no_column(tmp_path):
    write_check(Affect(), tmp_path / "predictions" / "check.parquet")
    table = read_check(tmp_path / "predictions" / "check.parquet")
    assert list(table.columns) == ["picture", "valence", "arousal"]
    assert table["valence"].tolist() == [len(picture) / 1e6 for picture in table["picture"]]


def test_the_pictures_are_the_same_32_drawn_faces_each_time(tmp_path):
    for name in ("one", "two"):
        write_check(Affect(), tmp_path / name)
    first, second = read_check(tmp_path / "one")["picture"], read_check(tmp_path / "two")["picture"]
    assert first.tolist() == second.tolist()
    assert first.nunique() == 32
    assert all(picture.startswith(b"\x89PNG") for picture in first)


@pytest.mark.parametrize("damage", ["absent", "no Parquet", "another table"])
def test_a_table_that_is_none_is_told_in_one_line(tmp_path, damage):
    file = tmp_path / "check.parquet"
    if damage == "no Parquet":
        file.write_bytes(b"PAR1 and no more")
    elif damage == "another table":
        pd.DataFrame({"id": ["a"]}).to_parquet(file)
    with pytest.raises(DataError, match="picture" if damage == "another table" else "a table of answers"):
        read_check(file)


@pytest.mark.slow
def test_a_training_logs_its_saved_model_s_own_answers(trained, tmp_path):
    table = read_check(trained.file("predictions/check.parquet", tmp_path))
    probabilities = [f"probability_{name}" for name in EXPRESSIONS]
    assert list(table.columns) == ["picture", "expression", "valence", "arousal", *probabilities, "landmarks"]
    assert len(table) == 32
    assert table[probabilities].sum(axis=1).tolist() == pytest.approx([1] * 32, abs=1e-5)
    named = table[probabilities].idxmax(axis=1).str.removeprefix("probability_")
    assert named.tolist() == table["expression"].tolist()
    assert table["landmarks"].map(len).unique().tolist() == [136]
