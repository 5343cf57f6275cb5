from dataclasses import replace

import pytest

from emotion_mlflow.promotion.card import Subject, escaped, model_card
from emotion_mlflow.promotion.gates import Cost, Facts, Gate, Missing, Recall

FACTS = Facts(
    status="FINISHED",
    selected_on_test=False,
    clean=True,
    champion=None,
    cost=Cost(latency_ms=41.26, file_bytes=98_000_000.0, machine="here"),
    ece=0.0471,
    recalls=[Recall(expression="fear", faces=71, recall=0.25)],
    reload=Missing("not looked at"),
)
SUBJECT = Subject(
    model_name="emotion",
    version="3",
    tags={"backbone": "resnet50", "data_name": "faces", "tasks": "expression,valence", "weights": "w.h5"},
    params={"git/commit": "abc123", "model.image_size": "96"},
    metrics={
        "final/test/expression/macro_f1": 0.5531,
        "final/test/expression/macro_f1_low": 0.51,
        "final/test/expression/macro_f1_high": 0.59,
        "final/test/valence/ccc": 0.4,
        "final/val/valence/rmse": 0.3,
    },
    faces=1291,
)
GATE = Gate(name="ece", value=0.05, limit=0.15, passed=True, why="0.05 is within | 0.15")


def card(*, subject=SUBJECT, facts=FACTS, previous=None):
    told = {"alias": "champion", "run_id": "r1", "time": "2026-11-25T10:00:00+00:00"}
    return model_card(subject, facts, [GATE], previous=previous, **told)


def test_scores_stand_with_their_intervals_and_only_those_of_the_test_faces():
    text = card()
    assert "| expression macro f1 | 0.553 | [0.510, 0.590] |" in text
    assert "| valence ccc | 0.400 | not known |" in text
    assert "rmse" not in text


def test_recalls_costs_and_calibration_are_told():
    text = card()
    assert "| fear | 0.250 | 71 |" in text
    assert "machine that trained: 41.3 ms" in text
    assert "98,000,000 bytes" in text
    assert "0.047, on the test faces and no others" in text


def test_a_table_row_follows_its_head_at_once():
    lines = card().splitlines()
    for number, line in enumerate(lines):
        if line.startswith("|---"):
            assert lines[number - 1].startswith("|")
            assert lines[number + 1].startswith("|")


def test_what_is_forbidden_and_what_a_face_cannot_show_is_there():
    text = card()
    assert "people at work or in education: forbidden in the European Union by Article 5(1)(f)" in text
    assert "except for medical or safety reasons" in text
    assert "shows an expression, not what somebody feels" in text


@pytest.mark.parametrize(("previous", "words"), [("1", "after version 1"), (None, "the first one")])
def test_it_says_whom_it_followed(previous, words):
    assert f"became `@champion`, {words}." in card(previous=previous)


def test_drawn_faces_are_called_drawings():
    assert "drawings" not in card()
    assert "The faces are drawings" in card(subject=replace(SUBJECT, params={"data.data": "demo"}))


def test_without_expression_there_is_no_recall_and_no_calibration():
    text = card(facts=replace(FACTS, ece=None, recalls=None))
    assert "recall" not in text
    assert "calibration" not in text


def test_names_from_data_can_neither_mark_up_nor_break_the_table():
    text = card(subject=replace(SUBJECT, tags={"data_name": "a|b <img src=x>\n# c", "tasks": "valence"}))
    assert r"| data | a\|b \<img src=x\> \# c |" in text
    assert r"within \| 0.15" in text


def test_tasks_and_size_that_somebody_edited_are_escaped_too():
    tags, params = {"tasks": "valence,<b>x</b>"}, {"model.image_size": "<i>96</i>"}
    text = card(subject=replace(SUBJECT, tags=tags, params=params))
    assert "<b>" not in text
    assert "<i>" not in text


def test_a_card_that_would_be_too_long_for_the_registry_refers_to_the_run():
    told = {"alias": "champion", "previous": "1", "run_id": "r1", "time": "now"}
    text = model_card(SUBJECT, FACTS, [replace(GATE, why="so " * 300)] * 9, **told)
    assert len(text) <= 5000
    assert "in decision.json of the run below" in text
    assert text.endswith("Decided now, run r1.\n")


def test_even_a_name_without_end_leaves_a_card_that_fits():
    assert len(card(subject=replace(SUBJECT, tags={"data_name": "x" * 9000, "tasks": "valence"}))) == 5000


def test_escaping_leaves_plain_words_alone():
    assert escaped("resnet50 v1.2 (a)") == "resnet50 v1.2 (a)"
