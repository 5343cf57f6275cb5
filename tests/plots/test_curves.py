import pandas as pd
import pytest
from matplotlib.axes import Axes

from emotion_mlflow.plots.curves import detail_curves, learning_curves, learning_rate_curve, spelled


def titles(figure) -> list[str]:
    return [axes.get_title(loc="left") for axes in figure.axes]


def test_learning_curves_show_the_scores_the_history_has(history):
    assert titles(learning_curves(history, best_epoch=2)) == [
        "Loss (lower is better)",
        "Expression accuracy (higher is better)",
        "Valence CCC (higher is better)",
    ]


def test_what_learning_curves_leave_out_is_in_the_details(history):
    assert titles(detail_curves(history, best_epoch=2)) == ["Expression loss (lower is better)"]


def test_a_history_of_headline_scores_only_has_no_details(history):
    assert detail_curves(history[["epoch", "learning_rate", "train/loss", "val/loss"]], best_epoch=2) is None


def test_the_kept_epoch_is_named_with_its_values(history, words):
    text = words(learning_curves(history, best_epoch=2))
    assert "kept: epoch 2" in text
    assert "epoch (val at epoch 2: 2.500)" in text
    assert "epoch (val at epoch 2: 0.500)" in text


def test_a_score_that_is_never_defined_is_said_to_be_so(history, words):
    text = words(learning_curves(history, best_epoch=2))
    assert "epoch (val at epoch 2: not defined)\nval not defined in 3 of 3 epochs" in text


def test_without_a_kept_epoch_none_is_marked(history, words):
    assert "kept" not in words(learning_curves(history, best_epoch=None))


def drawn(axes: Axes, number: int) -> tuple[list[float], list[float]]:
    x, y = axes.lines[number].get_data()
    return list(x), list(y)


def test_lines_hold_the_histories_values(history):
    loss = learning_curves(history, best_epoch=None).axes[0]
    assert drawn(loss, 0) == ([1, 2, 3], [3.0, 2.0, 1.0])
    assert drawn(loss, 1) == ([1, 2, 3], [3.1, 2.5, 2.6])


@pytest.mark.parametrize(("rates", "scale"), [([1e-3, 1e-5], "log"), ([1e-3, 5e-4], "linear"), ([1e-3, 0.0], "linear")])
def test_the_learning_rate_is_logarithmic_where_it_spans_decades(rates, scale):
    figure = learning_rate_curve(pd.DataFrame({"epoch": [1, 2], "learning_rate": rates}))
    assert figure.axes[0].get_yscale() == scale


def test_one_epoch_makes_readable_curves(history, overhang):
    assert overhang(learning_curves(history.iloc[:1], best_epoch=1)) < 0


def test_metric_names_are_spelled_out():
    assert spelled("expression/macro_f1") == "Expression macro F1"
    assert spelled("landmarks/nme_box") == "Landmarks NME (box)"
