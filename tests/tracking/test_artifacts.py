"""How much of people's faces a figure may show."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest

from emotion_mlflow.errors import ConfigError
from emotion_mlflow.labels import EXPRESSIONS
from emotion_mlflow.metrics.suite import Answers
from emotion_mlflow.tracking.artifacts import confusion, faces_to_show, how_to_show, per_class, per_source

HERE = ["sqlite:///mlflow.db", "sqlite:////tmp/mlflow.db", "file:///tmp/runs"]
ELSEWHERE = ["http://127.0.0.1:5000", "https://mlflow.example", "databricks", "postgresql+psycopg://host/base"]


@dataclass
class Set:
    """As much of a manifest as decides."""

    drawn: bool = False
    table: Any = None
    layout: Any = None


@pytest.mark.parametrize("uri", HERE)
def test_auto_is_thumbnails_with_a_store_on_this_machine(uri):
    assert how_to_show("auto", Set(), uri, "/here/mlruns/1/artifacts") == "thumbnails"


@pytest.mark.parametrize("uri", ELSEWHERE)
def test_auto_shows_nobody_on_a_server(uri):
    assert how_to_show("auto", Set(), uri, "/here/mlruns/1/artifacts") == "none"


@pytest.mark.parametrize(
    ("place", "how"),
    [
        ("/here/mlruns/1/artifacts", "thumbnails"),
        ("file:///here/mlruns/1/artifacts", "thumbnails"),
        ("s3://bucket/1/artifacts", "none"),
        ("mlflow-artifacts:/1", "none"),
    ],
)
def test_auto_shows_nobody_where_a_store_here_keeps_its_artifacts_elsewhere(place, how):
    assert how_to_show("auto", Set(), HERE[0], place) == how


@pytest.mark.parametrize("uri", [HERE[0], ELSEWHERE[0]])
def test_drawn_faces_are_shown_whole_everywhere(uri):
    assert how_to_show("auto", Set(drawn=True), uri, "s3://faces") == "full"


@pytest.mark.parametrize("asked", ["thumbnails", "none"])
def test_what_is_asked_for_holds_everywhere(asked):
    found = {how_to_show(asked, Set(drawn=drawn), uri, "") for drawn in (True, False) for uri in HERE + ELSEWHERE}
    assert found == {asked}


def test_anything_else_is_a_mistake():
    with pytest.raises(ConfigError, match="expected one of auto, thumbnails, none; got full in --show-faces"):
        how_to_show("full", Set(), HERE[0], "")


@pytest.mark.parametrize(("how", "side"), [("full", 96), ("thumbnails", 64)])
def test_pictures_are_as_large_as_the_choice_allows(how, side):
    shown = faces_to_show(scored(), people(), np.zeros((8, 96, 96, 3), np.uint8), how=how)
    assert {picture.shape for picture in shown.pictures.values()} == {(side, side, 3)}


def test_none_means_ids_and_no_picture_at_all():
    shown = faces_to_show(scored(), people(), np.zeros((8, 96, 96, 3), np.uint8), how="none")
    assert shown.pictures is None
    assert shown.ids == [f"face-{number}" for number in range(8)]


def people():
    ids = [f"face-{number}" for number in range(8)]
    return Set(table=pd.DataFrame({"id": ids, "width": 200, "height": 200}))


def scored():
    from emotion_mlflow.evaluate import Scored

    nobody = np.full(8, np.nan)
    answers = Answers(
        expression_true=np.arange(8),
        probabilities=np.full((8, 8), 1 / 8),
        valence_true=nobody,
        arousal_true=nobody,
        landmarks_true=np.empty((8, 0)),
    )
    return Scored(split="test", answers=answers, scores={}, intervals={}, faces={})


def two_sources():
    """Four faces: the press pictures are both right; of the web pictures one is, the other has no label."""
    probabilities = np.full((4, 8), 0.02)
    probabilities[np.arange(4), [1, 2, 1, 1]] = 0.86
    nothing = np.full(4, np.nan)
    answers = Answers(
        expression_true=np.array([1, 2, 1, -1]),
        probabilities=probabilities,
        valence_true=nothing,
        arousal_true=nothing,
        landmarks_true=np.empty((4, 0)),
    )
    return answers, Set(table=pd.DataFrame({"source": ["press", "press", "web", "web"]}))


def test_each_source_is_scored_on_its_own_labelled_faces():
    table = per_source(*two_sources())
    accuracy = table[table["metric"] == "expression/accuracy"]
    assert accuracy[["source", "faces", "value"]].to_numpy().tolist() == [["press", 2, 1.0], ["web", 1, 1.0]]


def test_each_class_is_told_in_label_order_from_labelled_faces():
    table = per_class(two_sources()[0])
    assert table["name"].tolist()[:3] == ["neutral", "happy", "sad"]
    assert table["support"].tolist() == [0, 2, 1, 0, 0, 0, 0, 0]
    assert table["f1"].tolist()[1:3] == [1.0, 1.0]
    # the three labelled faces are ranked without a fault; a class without a face has no curve
    assert table["roc_auc"].tolist()[1:3] == [1.0, 1.0]
    assert table["average_precision"].tolist()[1:3] == [1.0, 1.0]
    assert np.isnan(table["roc_auc"][0])


def test_confusions_have_truth_in_rows_and_answers_in_columns_of_labelled_faces():
    answers = two_sources()[0]
    answers.expression_true[2] = 4
    table = confusion(answers)
    assert (table.index.name, list(table.columns)) == ("true", list(EXPRESSIONS))
    assert table.loc["happy", "happy"] == table.loc["sad", "sad"] == table.loc[EXPRESSIONS[4], "happy"] == 1
    assert table.to_numpy().sum() == 3
