from dataclasses import replace

import numpy as np
import pytest

from emotion_mlflow.comparison.diagnosis import collapse, diagnose
from emotion_mlflow.comparison.rows import rates_in_words
from emotion_mlflow.metrics.suite import suite


def kinds(one):
    return [finding.kind for finding in diagnose("resnet50", one)]


def texts(one):
    return " | ".join(finding.text for finding in diagnose("resnet50", one))


@pytest.fixture
def collapsed(material):
    """Answers fear (4) for every face."""
    one = material(1, "resnet50")
    probabilities = np.full((len(one.ids), 8), 0.05)
    probabilities[:, 4] = 0.65
    answers = replace(one.answers, probabilities=probabilities)
    return replace(
        one, answers=answers, metrics={f"final/test/{name}": value for name, value in suite(answers).items()}
    )


def test_one_class_for_every_face_is_called_a_collapse_with_class_and_share(collapsed):
    assert "collapsed: answers fear for 100.0% of the test faces (kappa 0.000)" in texts(collapsed)


def test_a_skewed_set_that_is_answered_well_is_no_collapse(material):
    one = material(1, "resnet50", right=0.9)
    happy = one.answers.expression_true == 1
    truth = np.where(happy, 1, 0)
    probabilities = np.where(np.arange(8) == truth[:, None], 0.93, 0.01)
    answers = replace(one.answers, expression_true=truth, probabilities=probabilities)
    skewed = replace(one, answers=answers, metrics={f"final/test/{k}": v for k, v in suite(answers).items()})
    assert collapse(skewed) is None


def test_a_training_without_faults_is_healthy(material):
    assert kinds(material(1, "resnet50")) == ["healthy"]


def test_losses_that_rose_on_both_kinds_of_faces_are_called_divergence_with_their_figures(material, history):
    one = material(1, "resnet50", history=history(**{"val/loss": [1.5, 1.2, 3.1], "train/loss": [2.0, 1.5, 1.9]}))
    assert "diverged: validation loss 1.2 at its lowest (epoch 2), 3.1 at the end" in texts(one)


def test_a_validation_loss_that_rose_while_training_went_on_is_called_overfitting(material, history):
    """As the published EfficientNetB0: training loss 2.2 to .18, validation loss 1.5 to 3.1."""
    columns = {
        "train/loss": [2.2, 1.0, 0.18],
        "val/loss": [1.9, 1.5, 3.1],
        "train/expression/accuracy": [0.3, 0.6, 0.96],
        "val/expression/accuracy": [0.3, 0.4, 0.364],
    }
    one = material(1, "efficientnetb0", history=history(**columns))
    assert kinds(one) == ["overfitting"]
    assert "validation loss 1.5 at its lowest (epoch 2), 3.1 at the end with a training loss of 0.18" in texts(one)
    assert "accuracy there 0.960 on training faces, 0.364 on validation faces" in texts(one)


def test_a_run_without_a_history_is_not_called_healthy(material, history):
    one = material(1, "resnet50", history=history().iloc[:0])
    assert kinds(one) == ["not_diagnosed"]


def test_a_gap_between_training_and_validation_is_called_overfitting(material):
    one = material(
        1, "resnet50", metrics={"final/train/expression/accuracy": 0.97, "final/val/expression/accuracy": 0.5}
    )
    assert "accuracy 0.970 on training faces, 0.500 on validation faces" in texts(one)


def test_a_score_that_still_rose_is_called_not_converged(material, history):
    one = material(
        1, "resnet50", history=history(**{"val/selection_score": [0.3, 0.4, 0.5]}), metrics={"best_epoch": 3}
    )
    assert "not_converged" in kinds(one)


def test_convergence_is_judged_by_the_column_that_picked_the_epoch(material, history):
    columns = {"val/selection_score": [0.3, 0.4, 0.5], "val/loss": [1.5, 1.2, 0.9]}
    params = {"training.early_stopping": "val/loss"}
    one = material(1, "resnet50", history=history(**columns), metrics={"best_epoch": 3}, params=params)
    assert "not converged: val/loss gained 0.300 in its last quarter of 3 epochs" in texts(one)
    columns["val/loss"] = [1.5, 0.9, 0.9]
    level = material(1, "resnet50", history=history(**columns), metrics={"best_epoch": 3}, params=params)
    assert "not_converged" not in kinds(level)


def test_an_early_stop_names_what_it_watched(material):
    params = {"training.early_stopping": "val/expression/accuracy", "training.patience": "10"}
    one = material(1, "resnet50", metrics={"stopped_early": 1.0}, params=params)
    assert "val/expression/accuracy brought nothing better for 10 epochs after epoch 2" in texts(one)


def test_learning_rate_drops_are_told_with_their_epochs(material, history):
    one = material(1, "resnet50", history=history(learning_rate=[1e-4, 5e-5, 5e-5]))
    assert "learning rate 0.0001 from epoch 1, 5e-05 from epoch 2" in texts(one)


@pytest.mark.parametrize(
    ("rates", "schedule", "words"),
    [
        ([1e-3] * 3, "none", "0.001 constant"),
        ([1e-4, 1e-4, 5e-5], "plateau", "0.0001, 5e-05 (from epoch 3)"),
        ([3e-4, 1e-4, 3e-6], "cosine", "0.0003 to 3e-06, cosine"),
    ],
)
def test_the_learning_rate_is_told_in_words(material, history, rates, schedule, words):
    one = material(1, "resnet50", history=history(learning_rate=rates), params={"training.schedule": schedule})
    assert rates_in_words(one) == words


def test_the_rate_of_the_warm_up_is_told_apart(material, history):
    params = {"training.schedule": "cosine", "training.warmup_epochs": "1"}
    one = material(1, "resnet50", history=history(learning_rate=[1e-3, 3e-4, 3e-6]), params=params)
    assert rates_in_words(one) == "0.001 for 1 epoch, then 0.0003 to 3e-06, cosine"


def test_answers_of_two_expressions_only_are_a_collapse_too(material):
    one = material(1, "resnet50")
    label = np.where(np.arange(len(one.ids)) % 2, 1, 3)  # happy and surprise by turns
    probabilities = np.where(np.arange(8) == label[:, None], 0.65, 0.05)
    assert collapse(replace(one, answers=replace(one.answers, probabilities=probabilities))).startswith(
        "answers nothing but happy and surprise: 6 of 8 expressions are never answered"
    )


def test_the_published_collapse_is_recognised_in_the_history(material, history):
    """Real faces, recipe published, ResNet50: the last epoch's figures."""
    columns = {
        "val/expression/macro_f1": [0.050, 0.099, 0.029],
        "val/expression/accuracy": [0.248, 0.297, 0.126],
        "train/expression/accuracy": [0.495, 0.615, 0.677],
    }
    told = texts(material(1, "resnet50", history=history(**columns)))
    assert "in its last epoch accuracy 0.126 and macro F1 0.029 there" in told
    assert "with 0.677 on training faces" in told


def answering(one, label):
    """The material with these answers."""
    probabilities = np.where(np.arange(8) == np.asarray(label)[:, None], 0.65, 0.05)
    return replace(one, answers=replace(one.answers, probabilities=probabilities))


def test_the_published_resnet50_is_called_collapsed(material, history):
    """Its tables: training accuracy .16, validation .125, losses 2.26; here neutral for 86 %, the rest by turns."""
    columns = {
        "train/loss": [2.26] * 3,
        "val/loss": [2.26] * 3,
        "train/expression/accuracy": [0.16] * 3,
        "val/expression/accuracy": [0.125] * 3,
        "val/expression/macro_f1": [0.03] * 3,
    }
    one = material(1, "resnet50", history=history(**columns))
    rows = np.arange(len(one.ids))
    one = answering(one, np.where(rows % 7 < 6, 0, rows % 8))
    assert kinds(one) == ["collapsed"]
    assert "collapsed: answers neutral for 8" in texts(one)


def test_answers_at_chance_that_are_spread_are_no_collapse_and_not_healthy(material, history):
    columns = {"val/expression/macro_f1": [0.1] * 3, "val/expression/accuracy": [0.13] * 3}
    one = material(1, "resnet50", history=history(**columns))
    assert kinds(answering(one, np.arange(len(one.ids)) % 8)) == ["at_chance"]
