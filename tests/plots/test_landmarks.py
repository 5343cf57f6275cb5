import numpy as np
import pytest

from emotion_mlflow.labels import IBUG_68, landmark_layout
from emotion_mlflow.plots.landmarks import landmark_errors

ERRORS = np.array([0.02, 0.06, 0.10, np.nan])


def test_the_error_curve_states_nme_failures_and_area(words):
    # area (1 - .02/.08 + 1 - .06/.08 + 0) / 3; one of three faces is above .08
    text = words(landmark_errors(ERRORS, IBUG_68))
    assert "Landmark errors, NME 0.0600, n = 3 faces" in text
    assert "AUC up to 0.08: 0.333" in text
    assert "failure above 0.08: 33.3% of faces, above 0.10: 0.0%" in text


@pytest.mark.parametrize(("width", "ground"), [(136, "outer eye corners' distance"), (8, "size of the points' box")])
def test_the_axis_names_what_the_error_is_divided_by(words, width, ground):
    assert f"mean point error / {ground}" in words(landmark_errors(ERRORS, landmark_layout(width)))


def test_errors_of_another_ground_have_another_name(words):
    assert "NME (box) 0.0600" in words(landmark_errors(ERRORS, landmark_layout(8)))


def test_faces_beyond_the_axis_are_counted(words, overhang):
    figure = landmark_errors(np.array([0.5, 0.7]), IBUG_68)
    assert "2 faces beyond 0.4" in words(figure)
    assert overhang(figure) < 0


def test_the_curve_rises_in_steps_at_each_error():
    line = landmark_errors(ERRORS, IBUG_68).axes[0].lines[0]
    assert line.get_drawstyle() == "steps-post"
    assert line.get_ydata() == pytest.approx([0, 1 / 3, 2 / 3, 1, 1])
    assert line.get_xdata() == pytest.approx([0, 0.02, 0.06, 0.10, 0.16])


@pytest.mark.parametrize(("scale", "reach"), [(0.03, 0.16), (0.15, 0.3)])
def test_the_axis_reaches_the_curve_and_the_legend_stands_beside_it(scale, reach):
    errors = scale * np.linspace(0.2, 2.0, 400)
    axes = landmark_errors(errors, IBUG_68).axes[0]
    assert axes.get_xlim()[1] == pytest.approx(reach)
    curve, legend = axes.lines[0], axes.get_legend()
    axes.figure.canvas.draw()
    box = legend.get_window_extent()
    points = axes.transData.transform(np.column_stack([curve.get_xdata(), curve.get_ydata()]))
    assert not any(box.contains(x, y) for x, y in points)
