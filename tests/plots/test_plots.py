from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.text import Text
from PIL import Image

from emotion_mlflow.plots import FacesToShow, figures, save_all

EXPRESSION = {"confusion_matrix", "roc_curves", "precision_recall_curves", "reliability_diagram"}
AFFECT = {"affect_scatter", "valence_density", "arousal_density"}
HISTORY = {"learning_curves", "learning_curves_details", "learning_rate"}
NOTHING = {"history": None, "layout": None, "best_epoch": None, "faces": None}


@pytest.fixture(scope="module")
def made(answers, history):
    return figures(answers, history=history, layout=None, best_epoch=2, faces=None)


def test_every_task_and_the_history_have_their_figures(made):
    assert set(made) == EXPRESSION | AFFECT | {"landmark_errors"} | HISTORY


def test_faces_to_show_add_worst_and_best(answers):
    shown = FacesToShow(ids=[str(row) for row in range(80)], pictures=None)
    made = figures(answers, **{**NOTHING, "faces": shown})
    assert {"worst_faces_expression", "best_faces_landmarks"} < set(made)


@pytest.mark.parametrize(
    ("unlearnt", "left"),
    [
        (("valence", "arousal", "landmarks"), EXPRESSION),
        (("probabilities", "landmarks"), AFFECT),
        (("probabilities", "arousal", "landmarks"), {"valence_density"}),
        (("probabilities", "valence", "arousal"), {"landmark_errors"}),
        (("probabilities", "valence", "arousal", "landmarks"), set()),
    ],
    ids=["expression only", "affect only", "valence only", "landmarks only", "nothing"],
)
def test_a_task_that_was_not_learnt_has_no_figure(answers, unlearnt, left):
    assert set(figures(replace(answers, **dict.fromkeys(unlearnt)), **NOTHING)) == left


def test_a_task_without_one_labelled_face_has_no_figure(answers):
    nan = np.full(80, np.nan)
    unlabelled = replace(
        answers,
        expression_true=np.full(80, -1),
        valence_true=nan,
        landmarks_true=np.zeros((80, 0)),
    )
    assert set(figures(unlabelled, **NOTHING)) == {"arousal_density"}


def test_unlabelled_faces_are_left_out_of_the_count(answers, words):
    expression = np.where(np.arange(80) < 30, -1, answers.expression_true)
    made = figures(replace(answers, expression_true=expression), **NOTHING)
    assert "n = 50 faces" in words(made["confusion_matrix"])


def test_pngs_are_a_thousand_pixels_wide(made, tmp_path):
    chosen = {name: made[name] for name in ("learning_rate", "landmark_errors")}
    paths = save_all(tmp_path / "figures", chosen)
    assert [path.name for path in paths] == ["learning_rate.png", "landmark_errors.png"]
    for path in paths:
        with Image.open(path) as picture:
            assert (picture.format, picture.width) == ("PNG", 1000)
            assert picture.convert("RGB").getpixel((999, 0)) == (255, 255, 255)


def test_no_letter_is_smaller_than_ten_points(made):
    sizes = {text.get_fontsize() for figure in made.values() for text in figure.findobj(Text) if text.get_text()}
    assert min(sizes) >= 10


def test_everything_drawn_lies_inside_its_figure(made, overhang):
    assert {name: pixels for name in made if (pixels := overhang(made[name])) >= 0} == {}


def test_figures_leave_nothing_behind_in_pyplot(made):
    assert made
    assert plt.get_fignums() == []
