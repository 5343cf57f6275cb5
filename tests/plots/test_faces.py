from dataclasses import replace

import numpy as np
import pytest

from emotion_mlflow.errors import DataError
from emotion_mlflow.metrics.suite import Answers
from emotion_mlflow.plots.faces import (
    FaceChoice,
    FacesToShow,
    choose_faces,
    face_faults,
    face_figures,
    faces_grid,
    rows_to_load,
    shortened,
)


def three_faces(**other) -> Answers:
    """True class neutral with p .9, .2 and .6; valence off by 0, .3 and .1, arousal by 0, .4 and 0."""
    probabilities = np.zeros((3, 8))
    probabilities[:, 0], probabilities[:, 1] = [0.9, 0.2, 0.6], [0.1, 0.8, 0.4]
    made = Answers(
        expression_true=np.zeros(3, int),
        probabilities=probabilities,
        valence_true=np.zeros(3),
        arousal_true=np.zeros(3),
        valence=np.array([0, 0.3, 0.1]),
        arousal=np.array([0, 0.4, 0]),
        landmarks_true=np.tile([0.0, 0, 8, 0, 0, 8, 8, 8], (3, 1)),
    )
    return replace(made, **other)


def test_faults_are_doubt_distance_and_nme():
    # one of four points is off by 4 pixels in a box of 8 x 8: mean 1, NME 1/8
    landmarks = np.tile([0.0, 0, 8, 0, 0, 8, 8, 8], (3, 1))
    landmarks[2, 0] = 4
    faults = face_faults(three_faces(landmarks=landmarks), layout=None)
    assert faults["expression"] == pytest.approx([0.1, 0.8, 0.4])
    assert faults["affect"] == pytest.approx([0, 0.5, 0.1])
    assert faults["landmarks"] == pytest.approx([0, 0, 0.125])


def test_faces_without_a_label_are_never_chosen():
    choices = choose_faces(three_faces(expression_true=np.array([0, -1, 0]), valence=None, arousal=None), layout=None)
    assert choices == (FaceChoice("expression", "worst", (2,)), FaceChoice("expression", "best", (0,)))


def test_a_task_without_any_label_is_left_out():
    unlabelled = three_faces(expression_true=np.full(3, -1), valence=None)
    assert [choice.task for choice in choose_faces(unlabelled, layout=None)] == ["affect", "affect"]


def test_worst_faces_come_worst_first_and_no_face_is_in_both():
    worst, best = choose_faces(three_faces(valence=None, arousal=None), layout=None, count=2)
    assert (worst.rows, best.rows) == ((1, 2), (0,))


def test_each_picture_is_asked_for_once():
    assert rows_to_load(three_faces(), layout=None, count=1) == [0, 1]


def pictures(side: int) -> dict[int, np.ndarray]:
    return {row: np.full((side, side, 3), 60 * row, np.uint8) for row in range(3)}


def test_full_pictures_carry_id_truth_answer_and_measure(words):
    shown = FacesToShow(ids=["a", "b", "c"], pictures=pictures(8))
    made = face_figures(three_faces(), shown, layout=None, count=1)
    assert list(made) == [
        "worst_faces_expression",
        "best_faces_expression",
        "worst_faces_affect",
        "best_faces_affect",
    ]
    assert "b\ntrue: neutral\nanswer: happy 0.80\np(true class) 0.200" in words(made["worst_faces_expression"])
    assert "b\ntrue: v +0.00, a +0.00\nanswer: v +0.30, a +0.40\ndistance 0.500" in words(made["worst_faces_affect"])


def test_with_privacy_none_no_figure_holds_a_picture(answers, words, overhang):
    ids = [f"face-{row:03d}-{'x' * 60}" for row in range(80)]
    made = face_figures(answers, FacesToShow(ids=ids, pictures=None), layout=None)
    assert len(made) == 6
    assert not any(axes.images for figure in made.values() for axes in figure.axes)
    # a picture's own points draw its face, so they are left out too
    assert not any(line.get_marker() in "ox" for line in made["worst_faces_landmarks"].axes[0].lines)
    assert "no pictures: --show-faces none" in words(made["worst_faces_landmarks"])
    assert overhang(made["worst_faces_expression"]) < 0


def test_a_picture_larger_than_a_thumbnail_is_refused():
    shown = FacesToShow(ids=["a", "b", "c"], pictures=pictures(65), thumbnails=True)
    with pytest.raises(DataError, match="expected thumbnails of at most 64 pixels; got 65 in Worst faces"):
        face_figures(three_faces(), shown, layout=None, count=1)


def test_thumbnails_are_drawn_and_said_to_be_reduced(words):
    shown = FacesToShow(ids=["a", "b", "c"], pictures=pictures(64), thumbnails=True)
    figure = face_figures(three_faces(), shown, layout=None, count=1)["worst_faces_expression"]
    assert figure.axes[0].images[0].get_array().shape == (64, 64, 3)
    assert "reduced pictures" in words(figure)


def test_landmarks_move_with_the_reduced_picture():
    # the face picture is 16 wide and 8 high, the thumbnail 4 by 4: x / 4, y / 2, by the edges of the first pixel
    points = np.tile([0.0, 0, 8, 0, 0, 8, 8, 8], (3, 1))
    answers = three_faces(probabilities=None, valence=None, arousal=None, landmarks=points)
    shown = FacesToShow(ids=list("abc"), pictures=pictures(4), sizes=np.tile([16, 8], (3, 1)), thumbnails=True)
    axes = face_figures(answers, shown, layout=None, count=1)["worst_faces_landmarks"].axes[0]
    assert axes.lines[0].get_xdata().tolist() == [-0.375, 1.625, -0.375, 1.625]
    assert axes.lines[0].get_ydata().tolist() == [-0.25, -0.25, 3.75, 3.75]


def test_the_shown_words_are_not_read_as_formulas(overhang):
    figure = faces_grid([np.zeros((4, 4, 3), np.uint8)], ["$x_1$"], ["sad"], ["happy"], notes=[""], title="t")
    assert overhang(figure) < 0
    assert not figure.axes[0].xaxis.label.get_parse_math()


@pytest.mark.parametrize(
    ("identifier", "shown"),
    [("000123", "000123"), ("a" * 30 + "end", "…" + "a" * 16 + "end"), ("脸", "\\u8138"), ("a\nb", "a\\nb")],
    ids=["short", "long", "letters the font lacks", "line break"],
)
def test_an_id_is_shown_by_its_end(identifier, shown):
    assert shortened(identifier) == shown
