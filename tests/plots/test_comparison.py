from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from emotion_mlflow.comparison.values import NO_WINNER, Cell, Comparison, Disagreement, Row
from emotion_mlflow.plots.comparison import Compared, comparison_figures
from emotion_mlflow.plots.differences import difference_plot
from emotion_mlflow.plots.faces import FacesToShow
from emotion_mlflow.plots.sides import SIDE_STYLES

TWO = ("resnet50", "efficientnetb0")
LONG = ("emotion/12", "efficientnetb0", "runs:/0123456789abcdef0123456789abcdef")


def a_row(names, metric, *, difference, winner, better="higher"):
    return Row(
        section="Test faces",
        split="test",
        task="expression",
        metric=metric,
        label=f"Expression {metric}",
        values={name: Cell(value=0.5) for name in names},
        better=better,
        primary=True,
        between=names[:2],
        difference=difference,
        low=difference - 0.02,
        high=difference + 0.02,
        p=0.01,
        p_corrected=0.02,
        winner=winner,
    )


def a_comparison(names):
    rows = (
        a_row(names, "accuracy", difference=0.05, winner=names[0]),
        a_row(names, "ece", difference=0.03, winner=names[1], better="lower"),
        a_row(names, "macro_f1", difference=0.001, winner=NO_WINNER),
    )
    faces = tuple(
        Disagreement(face=f"face {row}", true="happy", answers=dict.fromkeys(names, "sad .91"), gap=0.9 - row / 10)
        for row in range(3)
    )
    told = dict.fromkeys(("data_name", "test_digest", "created", "command"), "x") | {"differing": {}}
    told |= dict.fromkeys(("sides", "tasks", "diagnosis", "recommendations", "warnings", "other_groups"), ())
    comparison = Comparison(
        rows=rows, disagreements=faces, faces=80, kind="versions", resamples=100, drawn=True, **told
    )
    # a comparison's names are its sides': only those are asked for here
    return replace(comparison, sides=tuple(type("Named", (), {"name": name})() for name in names))


@pytest.fixture
def compared(answers):
    def make(names=TWO):
        epochs = pd.DataFrame({"epoch": [1, 2, 3], "val/loss": [3.0, 2.0, 1.5], "train/loss": [2.9, 1.8, 1.0]})
        epochs["val/expression/macro_f1"] = [0.1, 0.3, 0.4]
        return [
            Compared(name=name, answers=answers, histories=[epochs, epochs + 0.01], best_epochs=[3, 2])
            for name in names
        ]

    return make


@pytest.fixture
def pictures():
    shown = {row: np.full((48, 48, 3), 90, np.uint8) for row in range(3)}
    return FacesToShow(ids=[f"face {row}" for row in range(80)], pictures=shown, thumbnails=True)


def test_every_figure_comes_from_answers_histories_and_rows(compared, pictures):
    made = comparison_figures(compared(), a_comparison(TWO), layout=None, faces=pictures)
    assert list(made) == [
        "differences",
        "learning_curves",
        "confusion_matrices",
        "roc_and_precision_recall",
        "reliability",
        "affect_scatter",
        "landmark_errors",
        "disagreements",
    ]


@pytest.mark.parametrize("names", [TWO, LONG], ids=["two", "three long names"])
def test_nothing_is_drawn_beyond_a_figure_s_border(compared, pictures, overhang, names):
    for name, picture in comparison_figures(compared(names), a_comparison(names), layout=None, faces=pictures).items():
        assert overhang(picture.figure) < 1, name


def test_every_side_is_named_on_every_figure_that_shows_sides(compared, pictures, words):
    made = comparison_figures(compared(), a_comparison(TWO), layout=None, faces=pictures)
    for name, picture in made.items():
        assert all(side in words(picture.figure) for side in TWO), name
        assert all(side in picture.alt for side in TWO), name


def test_text_alternatives_hold_the_main_numbers(compared):
    made = comparison_figures(compared(), a_comparison(TWO), layout=None, faces=None)
    assert (
        "Expression accuracy: resnet50 minus efficientnetb0 +0.050 [+0.030, +0.070], resnet50"
        in made["differences"].alt
    )
    told = "resnet50: validation loss 3.000 first, 1.500 last, over 3 epochs"
    assert told in made["learning_curves"].alt
    assert "found neutral 100%" in made["confusion_matrices"].alt


def test_the_curves_say_over_how_many_expressions_they_are_a_mean(compared, answers):
    sides = compared()
    known = answers.expression_true
    without = replace(answers, expression_true=np.where(known == 7, -1, known))
    for versions, told in (
        (sides, "the 8 expressions"),
        ([replace(one, answers=without) for one in sides], "the 7 exp"),
    ):
        picture = comparison_figures(versions, a_comparison(TWO), layout=None, faces=None)["roc_and_precision_recall"]
        assert told in picture.alt
        assert told in picture.caption


def test_landmarks_without_known_eyes_have_a_learning_curve(compared, words):
    sides = compared()
    for one in sides:
        for history in one.histories:
            history["val/landmarks/nme_box"] = [0.3, 0.2, 0.1]
    made = comparison_figures(sides, a_comparison(TWO), layout=None, faces=None)
    assert "NME (box)" in words(made["learning_curves"].figure)


def test_without_pictures_there_is_no_figure_of_faces(compared):
    ids = FacesToShow(ids=[f"face {row}" for row in range(80)], pictures=None)
    for faces in (None, ids):
        assert "disagreements" not in comparison_figures(compared(), a_comparison(TWO), layout=None, faces=faces)


def test_a_task_that_was_not_learnt_has_no_figure(compared):
    sides = [replace(side, answers=replace(side.answers, probabilities=None)) for side in compared()]
    made = comparison_figures(sides, a_comparison(TWO), layout=None, faces=None)
    assert list(made) == ["differences", "learning_curves", "affect_scatter", "landmark_errors"]


def test_runs_without_a_history_have_no_learning_curves(compared):
    sides = [replace(side, histories=[pd.DataFrame()], best_epochs=[0]) for side in compared()]
    assert "learning_curves" not in comparison_figures(sides, a_comparison(TWO), layout=None, faces=None)


def test_intervals_are_in_half_widths_and_the_better_side_is_right():
    rows = a_comparison(TWO).rows
    axes = difference_plot(rows, TWO).axes[0]
    intervals = [line.get_xdata() for line in axes.lines if len(line.get_xdata()) == 2][1:]
    # .05 +- .02: 1.5 to 3.5; a calibration error higher by .03 is worse: -2.5 to -.5
    assert intervals[0] == pytest.approx([1.5, 3.5])
    assert intervals[1] == pytest.approx([-2.5, -0.5])


def test_winners_are_told_by_shape_and_open_rows_are_rings(words):
    figure = difference_plot(a_comparison(TWO).rows, TWO)
    marks = [line for line in figure.axes[0].lines if len(np.atleast_1d(line.get_xdata())) == 1]
    assert [mark.get_marker() for mark in marks] == ["o", "s", "o"]
    assert [mark.get_markerfacecolor() == "white" for mark in marks] == [False, False, True]
    assert "winner: efficientnetb0" in words(figure)


def test_a_difference_far_out_does_not_squeeze_the_rest():
    sure = replace(a_row(TWO, "accuracy", difference=0.5, winner=TWO[0]), low=0.499, high=0.501)
    left, right = difference_plot([sure, a_comparison(TWO).rows[2]], TWO).axes[0].get_xlim()
    assert (left, right) == pytest.approx((-8.64, 8.64))


def test_sides_differ_in_shape_and_in_lightness_on_white():
    assert len({style.marker for style in SIDE_STYLES}) == len(SIDE_STYLES) == 6
    assert all(one.colour != other.colour for one, other in combinations(SIDE_STYLES, 2))
