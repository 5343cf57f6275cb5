import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emotion_mlflow.data import values
from emotion_mlflow.errors import DataError
from emotion_mlflow.labels import EXPRESSIONS


@pytest.mark.parametrize(
    ("cell", "code"),
    [("3", 3), ("3.0", 3), (3, 3), (np.int64(7), 7), (" Happy ", 1), ("contempt", 7), (0.0, 0)],
)
def test_an_expression_is_a_code_or_a_name(cell, code):
    assert values.expression(cell, where="x") == code


@pytest.mark.parametrize("cell", ["", "nan", None, math.nan, "8", 9, "10", "-2", "None"])
def test_a_missing_expression_is_masked(cell):
    assert values.expression(cell, where="x") == values.NO_EXPRESSION


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("42", "expected an expression 0-7; got 42 in row"),
        (-1, "expected an expression 0-7; got -1 in row"),  # codes shifted by one, more likely than no label
        ("2.5", "got 2.5"),
        ("1_0", "expected a number for expression; got '1_0'"),
        ("glad", "expected 0-7 or neutral, happy, sad, surprise, fear, disgust, anger, contempt; got 'glad'"),
        ("inf", "got 'inf'"),
        ([1], "expected a number for expression"),
    ],
)
def test_an_impossible_expression_says_why(cell, words):
    with pytest.raises(DataError) as error:
        values.expression(cell, where="row")
    assert words in str(error.value)


@pytest.mark.parametrize(("cell", "value"), [("-0.176846", -0.176846), (1, 1.0), ("1.0000001", 1.0), ("-1", -1.0)])
def test_affect_is_a_number_in_its_range(cell, value):
    assert values.affect(cell, name="valence", where="x") == value


@pytest.mark.parametrize("cell", ["", "-2", -2.0, "NaN", None])
def test_missing_affect_is_not_a_number(cell):
    assert math.isnan(values.affect(cell, name="valence", where="x"))


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("3.0", r"expected valence in -1\.\.1; got 3"),
        ("abc", "expected a number for valence; got 'abc'"),
        ("-inf", "finite"),
    ],
)
def test_impossible_affect_says_why(cell, words):
    with pytest.raises(DataError, match=words):
        values.affect(cell, name="valence", where="x")


@pytest.mark.parametrize(
    "cell",
    ["1;2.5;-3;4", "1;2.5;-3;4;", [1, 2.5, -3, 4], np.array([[1, 2.5], [-3, 4]]), [np.array([1, 2.5]), [-3, 4]]],
    ids=["text", "text with an end", "list", "pairs", "nested"],
)
def test_landmarks_come_as_text_or_as_lists(cell):
    assert values.landmarks(cell, where="x").tolist() == [1, 2.5, -3, 4]


@pytest.mark.parametrize("cell", ["", None, math.nan, [], "nan;nan", -2, "-2", [-2.0] * 136, "-2;nan"])
def test_missing_landmarks_are_none(cell):
    assert values.landmarks(cell, where="x") is None


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("1;2;3", "expected an even number of landmark numbers; got 3"),
        ("1;two", "expected landmark numbers; got '1;two'"),
        ("1;nan", "not finite"),
        ("1;1e9", "far too large"),
        ([[1, 2], [3]], "expected landmark numbers"),
    ],
)
def test_impossible_landmarks_say_why(cell, words):
    with pytest.raises(DataError, match=words):
        values.landmarks(cell, where="x")


def test_a_face_box_is_whole_pixels_or_absent():
    assert values.face_box(("1.6", "2", "30", "40"), where="x") == (2, 2, 30, 40)
    assert values.face_box(("", None, math.nan, "nan"), where="x") is None
    with pytest.raises(DataError, match="face_x, face_y, face_width and face_height"):
        values.face_box(("1", "2", "30", ""), where="x")


cells = st.one_of(st.text(max_size=12), st.floats(), st.integers(), st.none(), st.binary(max_size=4), st.booleans())


@settings(deadline=None)  # the machine may be busy
@given(cells)
def test_whatever_a_cell_holds_is_a_label_missing_or_refused(cell):
    try:
        code = values.expression(cell, where="x")
        assert code in range(-1, len(EXPRESSIONS))
    except DataError:
        pass
    try:
        value = values.affect(cell, name="arousal", where="x")
        assert math.isnan(value) or -1 <= value <= 1
    except DataError:
        pass
    try:
        points = values.landmarks(cell, where="x")
        assert points is None or (points.size % 2 == 0 and np.isfinite(points).all())
    except DataError:
        pass


@settings(deadline=None)  # the machine may be busy
@given(st.floats(-1, 1))
def test_affect_written_as_text_is_read_back_to_the_last_bit(value):
    assert values.affect(repr(value), name="valence", where="x") == value


@settings(deadline=None)  # the machine may be busy
@given(st.lists(st.floats(-500, 500), min_size=1, max_size=70).map(lambda points: points + points))
def test_landmarks_written_as_text_are_read_back_to_the_last_bit(points):
    assert values.landmarks(";".join(map(repr, points)), where="x").tolist() == points
