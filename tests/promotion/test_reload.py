import io
import math

import pandas as pd
import pytest
from PIL import Image

from emotion_mlflow.labels import EXPRESSIONS
from emotion_mlflow.promotion.gates import Missing
from emotion_mlflow.promotion.reload import compare, reload
from emotion_mlflow.reproduce import PICTURES, read_check, write_check


def png(width=100, height=50):
    buffer = io.BytesIO()
    Image.new("RGB", (width, height)).save(buffer, "PNG")
    return buffer.getvalue()


def logged(**columns):
    """A check of one picture, 100 x 50 pixels."""
    base = {"picture": [png()], "expression": ["happy"], "valence": [0.5], "landmarks": [[1.0, 2.0, 3.0, 4.0]]}
    return pd.DataFrame(base | {f"probability_{name}": [0.125] for name in EXPRESSIONS} | columns)


def told(**changes):
    answer = {"expression": "happy", "probabilities": dict.fromkeys(EXPRESSIONS, 0.125), "valence": 0.5}
    return [answer | {"arousal": None, "landmarks": [[1.0, 2.0], [3.0, 4.0]]} | changes]


def test_the_same_answers_differ_by_nothing():
    found = compare(logged(), told())
    assert (found.pictures, found.largest) == (1, 0.0)


@pytest.mark.parametrize(
    ("changes", "task", "largest"),
    [
        ({"valence": 0.75}, "valence", 0.25),
        ({"probabilities": dict.fromkeys(EXPRESSIONS, 0.625)}, "expression", 0.5),
        ({"landmarks": [[1.0, 2.0], [3.0, 14.0]]}, "landmarks", 0.1),  # 10 pixels of a side of 100
        ({"valence": math.nan}, "valence", math.inf),
        ({"valence": None}, "valence", math.inf),
        ({"arousal": 0.0}, "arousal", math.inf),
        ({"landmarks": [[1.0, 2.0]]}, "landmarks", math.inf),
        ({"probabilities": None}, "expression", math.inf),
    ],
    ids=["valence", "expression", "landmarks", "nan", "lost", "more than logged", "fewer points", "lost expression"],
)
def test_the_largest_difference_and_its_task_are_told(changes, task, largest):
    found = compare(logged(), told(**changes))
    assert (found.task, found.largest) == (task, pytest.approx(largest))


def test_fewer_answers_than_pictures_are_no_reproduction():
    assert compare(logged(), []) == Missing("the model gave 0 answers for 1 pictures")


def test_a_check_without_answers_proves_nothing():
    assert isinstance(compare(logged()[["picture"]], [{}]), Missing)


@pytest.mark.parametrize(("check", "pictures"), [(logged(), 1), (logged().drop(columns="picture"), 0)])
def test_fewer_than_32_pictures_are_not_enough(tmp_path, check, pictures):
    assert reload(tmp_path, check) == Missing(f"the run logged answers to {pictures} pictures, not to 32")


@pytest.mark.slow
def test_a_folder_that_is_no_model_is_told_in_one_line(tmp_path):
    found = reload(tmp_path, pd.concat([logged()] * PICTURES))
    assert found.why.startswith("the model does not load in a clean process: ")
    assert "\n" not in found.why


@pytest.mark.slow
def test_a_real_model_reproduces_its_answers_in_a_clean_process(trained, tmp_path):
    from emotion_mlflow.evaluate import load_saved
    from emotion_mlflow.tracking.registry import CARD_FILE, NETWORK_FILE

    folder = trained.model(tmp_path)
    model = load_saved(folder / "artifacts" / NETWORK_FILE, folder / "artifacts" / CARD_FILE)
    write_check(model, tmp_path / "check.parquet")
    found = reload(folder, read_check(tmp_path / "check.parquet"))
    assert found.pictures == 32
    assert found.largest < 1e-4
