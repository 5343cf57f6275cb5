"""The published comparison's figures, for a column beside ours. They are of other data: never tested against ours.

Source: the tables of that report (docs/RECIPES.md says what its recipe is).
"""

from collections.abc import Mapping

FIGURES: Mapping[str, Mapping[str, float | str]] = {
    "epochs": {"resnet50": 27, "efficientnetb0": 33},
    "seconds_per_epoch_training": {"resnet50": 30, "efficientnetb0": 14},
    "seconds_per_epoch_validation": {"resnet50": 30, "efficientnetb0": 14},
    "parameters": {"resnet50": 25e6, "efficientnetb0": 5.3e6},
    "train/loss": {"resnet50": 2.26, "efficientnetb0": 0.18},
    "val/loss": {"resnet50": 2.26, "efficientnetb0": 3.10},
    "train/expression/accuracy": {"resnet50": 0.16, "efficientnetb0": "> 0.96"},
    "expression/accuracy": {"resnet50": 0.125, "efficientnetb0": 0.364},
    "valence/mae": {"resnet50": 0.35, "efficientnetb0": 0.33},
    "arousal/mae": {"resnet50": 0.35, "efficientnetb0": 0.32},
    "valence/rmse": {"resnet50": 0.50, "efficientnetb0": 0.437},
    "arousal/rmse": {"resnet50": 0.40, "efficientnetb0": 0.369},
    "valence/corr": {"efficientnetb0": 0.445},
    "arousal/corr": {"efficientnetb0": 0.377},
    "valence/sagr": {"efficientnetb0": 0.715},
    "arousal/sagr": {"efficientnetb0": 0.740},
    "valence/ccc": {"resnet50": "very low", "efficientnetb0": 0.412},
    "arousal/ccc": {"resnet50": "very low", "efficientnetb0": 0.339},
    "expression/macro_f1": {"efficientnetb0": 0.364},
    "expression/kappa": {"efficientnetb0": 0.273},
    "expression/alpha": {"efficientnetb0": 0.273},
    "expression/roc_auc": {"efficientnetb0": 0.746},
    "expression/pr_auc": {"efficientnetb0": 0.343},
    "learning_rate": {
        "resnet50": "0.001 constant",
        "efficientnetb0": "0.0001, 5e-05, 2.5e-05, 1.25e-05, 6.25e-06",
    },
}
"""By the name our rows have; validation and final scores came from the same pictures there, so both stand beside."""

SCORE_ORDER = (
    "expression/accuracy",
    "valence/mae",
    "arousal/mae",
    "valence/rmse",
    "arousal/rmse",
    "valence/corr",
    "arousal/corr",
    "valence/sagr",
    "arousal/sagr",
    "valence/ccc",
    "arousal/ccc",
    "expression/macro_f1",
    "expression/kappa",
    "expression/alpha",
    "expression/roc_auc",
    "expression/pr_auc",
)
"""The report's order; what it left out follows in a section of its own."""
