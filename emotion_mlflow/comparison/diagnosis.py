"""What went well or wrong in a training, in plain words, from its history and its answers. Used by the comparison."""

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd

from emotion_mlflow.comparison.material import Material
from emotion_mlflow.comparison.values import Finding
from emotion_mlflow.labels import EXPRESSIONS
from emotion_mlflow.metrics.expression import kappa as kappa_of_answers
from emotion_mlflow.metrics.expression import predicted_labels
from emotion_mlflow.metrics.suite import lower_is_better

COLLAPSED_SHARE = 0.5
"""Share of faces with one and the same answer above which a model that is no better than chance is called collapsed."""
UNUSED_SHARE = 0.005
"""Share of faces below which an expression counts as never answered; more than half of them: collapsed."""
ONE_CLASS_F1 = 0.06
"""Macro F1 of 8 classes that a constant answer does not pass: 2 p / (1 + p) / 8 for a class of share p up to .3."""
LEARNT = 0.3
"""Training accuracy from which chance on validation faces in the last epoch is a collapse, and not a slow beginning."""
CHANCE_KAPPA = 0.02
"""Agreement with the truth that is no better than a constant answer's."""
OVERFITTING_GAP = 0.15
"""Training accuracy above validation accuracy."""
DIVERGED_FACTOR = 2.0
"""Last validation loss over the lowest one."""
TRAINING_ROSE = 1.2
"""Last training loss over the lowest one from which the training itself diverged, and did not overfit."""
STILL_RISING = 0.01
"""Gain of the watched score over the last quarter of the epochs from which a training had not converged."""


def diagnose(side: str, material: Material) -> list[Finding]:
    """Every finding about one version; `healthy` where there is none but learning-rate steps and early stopping."""
    found = [*_collapse(material), *_risen(material), *_overfitting(material), *_convergence(material)]
    if not len(material.history):
        found.append(("not_diagnosed", "not diagnosed: the run has no history"))
    found = found or [("healthy", "learnt without a fault that its history shows")]
    found += [*_rate_steps(material), *_early_stop(material)]
    return [Finding(side=side, version=material.candidate.name, kind=kind, text=text) for kind, text in found]


def predicted_shares(material: Material) -> np.ndarray | None:
    """(8,) share of test faces that each expression is answered for; None where expression was not learnt."""
    probabilities = material.answers.probabilities
    if probabilities is None or not len(probabilities):
        return None
    return np.bincount(probabilities.argmax(axis=1), minlength=len(EXPRESSIONS)) / len(probabilities)


def collapse(material: Material) -> str | None:
    """How the saved model's answers collapsed, in words; None where they did not."""
    shares = predicted_shares(material)
    if shares is None:
        return None
    kappa = _agreement(material)
    agrees = f"kappa {kappa:.3f}"
    if shares.max() > COLLAPSED_SHARE and kappa < CHANCE_KAPPA:
        return f"answers {EXPRESSIONS[int(shares.argmax())]} for {shares.max():.1%} of the test faces ({agrees})"
    true = material.answers.expression_true
    present = np.bincount(true[true >= 0], minlength=len(EXPRESSIONS)) > 0
    unused = present & (shares < UNUSED_SHARE)
    if 2 * unused.sum() <= present.sum():
        return None
    used = " and ".join(EXPRESSIONS[label] for label in np.argsort(-shares) if shares[label] >= UNUSED_SHARE)
    return f"answers nothing but {used}: {unused.sum()} of {present.sum()} expressions are never answered ({agrees})"


def _agreement(material: Material) -> float:
    """Cohen's kappa of the answers to the test faces."""
    true, probabilities = material.answers.pair("expression")
    return kappa_of_answers(true, predicted_labels(probabilities))


def _collapse(material: Material) -> Iterator[tuple[str, str]]:
    if (told := collapse(material)) is not None:
        yield "collapsed", f"collapsed: {told}"
    elif material.answers.probabilities is not None and _agreement(material) < CHANCE_KAPPA:
        yield (
            "at_chance",
            f"at chance: its expressions agree with the truth no better (kappa {_agreement(material):.3f})",
        )
    f1, accuracy = (
        _column(material.history, f"{name}") for name in ("val/expression/macro_f1", "val/expression/accuracy")
    )
    learnt = _column(material.history, "train/expression/accuracy")
    if len(f1) and len(learnt) and f1[-1] < ONE_CLASS_F1 and learnt[-1] > LEARNT:
        yield (
            "collapsed",
            f"collapsed on validation faces as it learnt: in its last epoch accuracy {accuracy[-1]:.3f} and macro F1 "
            f"{f1[-1]:.3f} there, as one answer for every face would have, with {learnt[-1]:.3f} on training faces",
        )


def _risen(material: Material) -> list[tuple[str, str]]:
    """A validation loss that rose: divergence where the training loss rose with it, else overfitting."""
    losses, learnt = (_column(material.history, f"{split}/loss") for split in ("val", "train"))
    if len(losses) < 2 or losses.min() <= 0 or losses[-1] < DIVERGED_FACTOR * losses.min():
        return []
    best = int(losses.argmin()) + 1
    told = f"validation loss {losses.min():.3g} at its lowest (epoch {best}), {losses[-1]:.3g} at the end"
    if not len(learnt) or learnt[-1] > TRAINING_ROSE * learnt.min():
        return [("diverged", f"diverged: {told}")]
    told += f" with a training loss of {learnt[-1]:.3g}"
    train, val = (_column(material.history, f"{split}/expression/accuracy") for split in ("train", "val"))
    if len(train) and len(val):
        told += f"; accuracy there {train[-1]:.3f} on training faces, {val[-1]:.3f} on validation faces"
    return [("overfitting", f"overfitting as it went on: {told}")]


def _overfitting(material: Material) -> list[tuple[str, str]]:
    train, val = (material.metrics.get(f"final/{split}/expression/accuracy") for split in ("train", "val"))
    if train is None or val is None or train - val < OVERFITTING_GAP:
        return []
    return [("overfitting", f"overfitting: accuracy {train:.3f} on training faces, {val:.3f} on validation faces")]


def _convergence(material: Material) -> list[tuple[str, str]]:
    """The score that picked the best epoch was still rising when the epochs ran out."""
    name = material.params.get("training.early_stopping", "val/selection_score")
    scores = _column(material.history, name) * (-1 if lower_is_better(name) else 1)
    if collapse(material) or not len(scores) or material.metrics.get("stopped_early"):
        return []
    if material.best_epoch < len(scores) - len(scores) // 10:
        return []
    before = scores[: -max(1, len(scores) // 4)].max(initial=-math.inf)
    gained = scores.max() - before
    if gained < STILL_RISING:
        return []
    spelled = "the validation score" if name == "val/selection_score" else name
    how = f"gained {gained:.3f} in its last quarter" if math.isfinite(gained) else "had one epoch only"
    return [("not_converged", f"not converged: {spelled} {how} of {len(scores)} epochs, and was rising")]


def _rate_steps(material: Material) -> list[tuple[str, str]]:
    steps = rate_steps(material.history)
    if len(steps) < 2 or material.params.get("training.schedule") == "cosine":  # a setting, not a finding
        return []
    told = ", ".join(f"{rate:.3g} from epoch {epoch}" for epoch, rate in steps)
    return [("learning_rate", f"learning rate {told}")]


def rate_steps(history: pd.DataFrame) -> list[tuple[int, float]]:
    """(epoch, learning rate) wherever the rate changed."""
    rates = _column(history, "learning_rate")
    epochs = _column(history, "epoch")
    return [
        (int(epoch), float(rate))
        for position, (epoch, rate) in enumerate(zip(epochs, rates, strict=True))
        if position == 0 or rate != rates[position - 1]
    ]


def _early_stop(material: Material) -> list[tuple[str, str]]:
    if not material.metrics.get("stopped_early"):
        return []
    watched, patience = (material.params.get(f"training.{name}", "?") for name in ("early_stopping", "patience"))
    return [
        (
            "stopped_early",
            f"stopped early after epoch {len(material.history)}: {watched} brought nothing better for {patience} "
            f"epochs after epoch {material.best_epoch}",
        )
    ]


def _column(history: pd.DataFrame, name: str) -> np.ndarray:
    return history[name].to_numpy(float) if name in history else np.zeros(0)
