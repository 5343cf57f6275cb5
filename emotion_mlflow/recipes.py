"""Training presets: each a function of the backbone that returns a whole RunConfig. Used by the command line.

`resolve` turns `auto` into the recipe, weights and tasks that a set of faces calls for; any field can be overridden.
"""

from collections.abc import Callable
from dataclasses import replace

from emotion_mlflow.config import AUTO, AugmentConfig, DataConfig, ModelConfig, RunConfig, TrainingConfig
from emotion_mlflow.errors import ConfigError
from emotion_mlflow.labels import TASKS
from emotion_mlflow.models.facts import backbone_facts

VALIDATED_ON_TEST = "published"


def published(backbone: str) -> RunConfig:
    """The published report's settings (its table `Two networks`), faults included: /255 for both, validation = test.

    Where the report is silent or ambiguous the reading taken is: the set cut 80/20, all layers trained, BatchNorm
    live, the plateau watching `val_loss`, plain linear heads, tasks expression, valence and arousal, as in its loss,
    Gaussian noise of 5 grey levels, contrast around the picture's mean, borders reflected. Ours, not the report's, is
    the start of the heads: small normal weights, and valence and arousal at their training mean. Where expression is
    not learnt the best epoch is by `val/loss`. A backbone that the report does not have takes EfficientNetB0's rate
    and schedule.

    Command: `emotion-mlflow train --recipe published --backbone resnet50 --data FOLDER --weights FILE`.
    At 64 pixels and 4 epochs on 4,000 real faces, test accuracy .30 (ResNet50 file) and .25 (EfficientNetB0 file), both
    collapsed; at 48 pixels and 3 epochs on 1,600 faces, collapsed too, both together take 6 minutes on two cores: runs
    of 2026-11-25 in docs/RESULTS.md. At 224 pixels and 50 epochs not yet measured.
    """
    reported = backbone_facts(backbone).published
    return RunConfig(
        recipe="published",
        data=DataConfig(selected_on_test=True),
        model=ModelConfig(
            backbone=backbone,
            weights="imagenet",
            tasks=("expression", "valence", "arousal"),
            image_size=224,
            pixels="unit",
            head_norm=False,
            dropout=0.0,
        ),
        augment=AugmentConfig(flip=0.5, rotation=15.0, contrast=(0.8, 1.2), brightness=30.0, noise=5.0),
        training=TrainingConfig(
            epochs=50,
            batch_size=32,
            optimizer="adam",
            learning_rate=1e-3 if reported == "resnet50" else 1e-4,
            schedule="none" if reported == "resnet50" else "plateau",
            early_stopping="val/expression/accuracy",
            patience=10,
            affect_loss="mse",
        ),
    )


def improved(backbone: str) -> RunConfig:
    """The same task done properly: right pixels, warm-up, AdamW with cosine, class weights, geometric augmentation.

    Command: `emotion-mlflow train --recipe improved --backbone resnet50 --data FOLDER --weights FILE`.
    At 64 pixels on 8,433 real faces, test accuracy .74 (ResNet50 file, 4 epochs, 24 minutes on two cores) and .69
    (EfficientNetB0 file, 6 epochs, 9 minutes): runs of 2026-11-25 in docs/RESULTS.md; at 224 pixels not yet measured.
    """
    start = published(backbone)
    return replace(
        start,
        recipe="improved",
        data=DataConfig(),
        model=replace(
            start.model,
            pixels="backbone",
            head_norm=True,
            dropout=0.2,
            batch_norm=backbone_facts(backbone).fine_tuned_norm,
            batch_norm_momentum=0.9,
        ),
        augment=AugmentConfig(
            flip=0.5, rotation=10.0, zoom=0.1, shift=0.05, contrast=(0.8, 1.2), brightness=20.0, erase=0.2
        ),
        training=TrainingConfig(
            epochs=12,
            warmup_epochs=1,
            learning_rate=3e-4,
            class_weights="sqrt_inverse",
            affect_loss="ccc",
            label_smoothing=0.1,
            clip_norm=5.0,
            patience=0,
        ),
    )


def probe(backbone: str) -> RunConfig:
    """The backbone frozen, heads trained on its cached features of each face and its mirror image.

    Command: `emotion-mlflow train --recipe probe --backbone resnet50 --data FOLDER --weights FILE`.
    3 minutes on two cores: features 134 s (ResNet50) or 58 s (EfficientNetB0), kept for later runs, and heads 6 s (see
    docs/PERFORMANCE.md); test accuracy .65 (ResNet50 file) and .46 (EfficientNetB0 file) on 8,433 real faces, runs of
    2026-11-28 in docs/RESULTS.md, three seeds each.
    """
    start = improved(backbone)
    return replace(
        start,
        recipe="probe",
        model=replace(
            start.model, image_size=96, train_backbone=False, batch_norm="frozen", components=512, dropout=0.0
        ),
        augment=AugmentConfig(flip=0.5),
        training=replace(
            start.training, epochs=50, warmup_epochs=0, batch_size=1024, learning_rate=1e-3, weight_decay=1e-2
        ),
    )


def demo(backbone: str) -> RunConfig:
    """A network from scratch on the drawn faces.

    Command: `emotion-mlflow train --backbone resnet50`. Both backbones, evaluated and compared, take 6 minutes on two
    cores: test accuracy .74 (ResNet50) and .68 (EfficientNetB0), runs of 2026-11-28 in docs/RESULTS.md.
    """
    start, facts = improved(backbone), backbone_facts(backbone)
    return replace(
        start,
        recipe="demo",
        model=replace(
            start.model,
            weights="none",
            batch_norm="live",
            image_size=facts.scratch_size,
            still_residuals=True,
        ),
        augment=AugmentConfig(flip=0.5),
        training=replace(
            start.training,
            epochs=facts.scratch_epochs,
            warmup_epochs=0,
            learning_rate=facts.scratch_learning_rate,
            weight_decay=1e-3,
            clip_norm=1.0,
            ramp=0.1,
            label_smoothing=0.0,
            class_weights="none",
            affect_loss="mse",
            valence_weight=0.5,
            arousal_weight=0.5,
        ),
    )


RECIPES: dict[str, Callable[[str], RunConfig]] = {
    "published": published,
    "improved": improved,
    "probe": probe,
    "demo": demo,
}


def resolve(recipe: str, backbone: str, *, drawn: bool, labelled: tuple[str, ...]) -> RunConfig:
    """The recipe's config with `auto` decided for these faces.

    `auto` is the recipe `demo` on the drawn faces, and `demo` means `improved` elsewhere; weights are `none` on the
    drawn faces and `imagenet` elsewhere; tasks are those that have labels (`published` keeps to its three).
    """
    backbone_facts(backbone)
    if recipe not in (AUTO, *RECIPES):
        raise ConfigError(f"a recipe of auto, {', '.join(RECIPES)}", got=recipe, where="--recipe")
    name = "demo" if recipe == AUTO else recipe
    config = RECIPES["improved" if name == "demo" and not drawn else name](backbone)
    tasks = labelled
    if name == VALIDATED_ON_TEST:
        tasks = tuple(task for task in config.model.tasks if task in labelled)
    if not tasks:
        raise ConfigError(f"labels for one of {', '.join(config.model.tasks)}", got="none", where="the data")
    weights = "none" if drawn else "imagenet"
    return with_tasks(replace(config, model=replace(config.model, weights=weights)), tasks)


def with_tasks(config: RunConfig, tasks: tuple[str, ...]) -> RunConfig:
    """The config for these tasks; where the score that picks the best epoch is of another, `val/loss` picks it."""
    task, training = config.training.early_stopping.split("/")[1], config.training
    if task in TASKS and task not in tasks:
        training = replace(training, early_stopping="val/loss")
    return replace(config, model=replace(config.model, tasks=tasks), training=training)
