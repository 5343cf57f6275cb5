import re

import pytest

from emotion_mlflow.config import AugmentConfig, RunConfig
from emotion_mlflow.errors import ConfigError
from emotion_mlflow.jobs.request import TrainRequest
from emotion_mlflow.labels import TASKS
from emotion_mlflow.models.facts import BACKBONES
from emotion_mlflow.recipes import RECIPES, demo, improved, probe, published, resolve

REPORTED = [
    # backbone, learning rate, schedule: the report's table `Two networks`
    pytest.param("resnet50", 1e-3, "none", id="resnet50"),
    pytest.param("efficientnetb0", 1e-4, "plateau", id="efficientnetb0"),
]


@pytest.mark.parametrize(("backbone", "rate", "schedule"), REPORTED)
def test_published_is_the_report_s_table(backbone, rate, schedule):
    config = published(backbone)
    training, model = config.training, config.model
    assert (model.image_size, model.weights, model.tasks) == (224, "imagenet", ("expression", "valence", "arousal"))
    assert (training.optimizer, training.learning_rate, training.schedule) == ("adam", rate, schedule)
    assert (training.batch_size, training.epochs, training.warmup_epochs) == (32, 50, 0)
    assert (training.early_stopping, training.patience) == ("val/expression/accuracy", 10)
    assert (training.plateau_factor, training.plateau_patience) == (0.5, 5)
    assert (training.affect_loss, training.task_weighting) == ("mse", "fixed")
    assert [getattr(training, f"{task}_weight") for task in model.tasks] == [1.0, 1.0, 1.0]
    assert (training.label_smoothing, training.class_weights, training.clip_norm) == (0.0, "none", 0.0)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_published_divides_by_255_trains_all_layers_and_validates_on_the_test_faces(backbone):
    config = published(backbone)
    assert config.model.pixels == "unit"
    assert config.model.train_backbone
    assert config.model.batch_norm == "live"
    assert (config.model.head_norm, config.model.dropout) == (False, 0.0)
    assert config.data.selected_on_test


@pytest.mark.parametrize("backbone", BACKBONES)
def test_published_changes_pictures_as_reported_and_in_no_other_way(backbone):
    changes = published(backbone).augment
    assert (changes.flip, changes.rotation, changes.contrast, changes.brightness) == (0.5, 15.0, (0.8, 1.2), 30.0)
    assert changes.noise > 0  # "Gaussian noise", its size is not said
    assert (changes.zoom, changes.shift, changes.erase) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_improved_has_right_pixels_warm_up_and_landmark_moving_changes(backbone):
    config = improved(backbone)
    assert config.model.pixels == "backbone"
    assert 0 < config.training.warmup_epochs < config.training.epochs
    assert (config.training.optimizer, config.training.schedule) == ("adamw", "cosine")
    assert config.training.class_weights != "none"
    assert min(config.augment.flip, config.augment.rotation, config.augment.zoom, config.augment.shift) > 0


@pytest.mark.parametrize("backbone", BACKBONES)
def test_published_without_expression_picks_its_epoch_by_the_loss(backbone):
    config = resolve("published", backbone, drawn=False, labelled=("valence", "arousal"))
    assert config.training.early_stopping == "val/loss"
    asked = TrainRequest(backbone=backbone, recipe="published", tasks=("valence",))
    assert asked.config(drawn=False, labelled=TASKS, name="faces").training.early_stopping == "val/loss"
    with_it = resolve("published", backbone, drawn=False, labelled=TASKS)
    assert with_it.training.early_stopping == "val/expression/accuracy"


@pytest.mark.parametrize("backbone", BACKBONES)
def test_only_published_is_chosen_on_the_test_faces(backbone):
    chosen = {name: recipe(backbone).data.selected_on_test for name, recipe in RECIPES.items()}
    assert chosen == {"published": True, "improved": False, "probe": False, "demo": False}


@pytest.mark.parametrize("backbone", BACKBONES)
def test_probe_trains_heads_alone_and_changes_faces_by_mirroring_only(backbone):
    config = probe(backbone)
    assert not config.model.train_backbone
    assert config.augment == AugmentConfig(flip=0.5)
    assert config.training.warmup_epochs == 0


@pytest.mark.parametrize("backbone", BACKBONES)
def test_demo_starts_from_scratch_on_small_pictures(backbone):
    config = demo(backbone)
    assert config.model.weights == "none"
    assert config.model.image_size <= 64
    # the default momentum of .99 would leave validation at chance
    assert config.model.batch_norm_momentum <= 0.9


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_a_whole_config_that_bears_its_name_and_backbone(name, backbone):
    config = RECIPES[name](backbone)
    assert isinstance(config, RunConfig)
    assert (config.recipe, config.model.backbone) == (name, backbone)


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_says_what_it_costs_and_reaches(name):
    text = RECIPES[name].__doc__
    assert "Command: `emotion-mlflow train" in text
    assert re.search(r"\d+\s+minutes", text)
    assert re.search(r"test\s+accuracy\s+\.\d\d \(ResNet50.*\.\d\d\s+\(EfficientNetB0", text, re.DOTALL)
    assert re.search(r"runs\s+of\s+2\d{3}-\d\d-\d\d in docs/RESULTS\.md", text)


@pytest.mark.parametrize(
    ("recipe", "drawn", "resolved"),
    [
        ("auto", True, "demo"),
        ("auto", False, "improved"),
        ("demo", True, "demo"),
        ("demo", False, "improved"),
        ("improved", True, "improved"),
        ("probe", True, "probe"),
        ("published", True, "published"),
        ("published", False, "published"),
    ],
)
def test_auto_and_demo_mean_demo_on_drawn_faces_and_improved_elsewhere(recipe, drawn, resolved):
    assert resolve(recipe, "resnet50", drawn=drawn, labelled=TASKS).recipe == resolved


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("recipe", ["auto", *RECIPES])
@pytest.mark.parametrize(("drawn", "weights"), [(True, "none"), (False, "imagenet")])
def test_weights_are_none_on_drawn_faces_and_imagenet_elsewhere(recipe, backbone, drawn, weights):
    assert resolve(recipe, backbone, drawn=drawn, labelled=TASKS).model.weights == weights


@pytest.mark.parametrize(
    ("recipe", "labelled", "tasks"),
    [
        ("improved", TASKS, TASKS),
        ("improved", ("valence", "landmarks"), ("valence", "landmarks")),
        ("probe", ("landmarks",), ("landmarks",)),
        ("published", TASKS, ("expression", "valence", "arousal")),
        ("published", ("expression", "landmarks"), ("expression",)),
    ],
)
def test_tasks_are_those_with_labels_and_published_keeps_to_its_three(recipe, labelled, tasks):
    assert resolve(recipe, "resnet50", drawn=False, labelled=labelled).model.tasks == tasks


def test_published_without_a_label_of_its_tasks_is_refused():
    with pytest.raises(ConfigError) as caught:
        resolve("published", "resnet50", drawn=False, labelled=("landmarks",))
    assert str(caught.value) == "expected labels for one of expression, valence, arousal; got none in the data"


def test_a_wrong_recipe_lists_the_right_ones():
    with pytest.raises(ConfigError) as caught:
        resolve("best", "resnet50", drawn=False, labelled=TASKS)
    assert str(caught.value) == "expected a recipe of auto, published, improved, probe, demo; got best in --recipe"


def test_a_wrong_backbone_lists_the_right_ones():
    with pytest.raises(ConfigError) as caught:
        resolve("auto", "resnet5", drawn=False, labelled=TASKS)
    assert str(caught.value) == f"expected a backbone of {', '.join(BACKBONES)}; got resnet5 in --backbone"
