import sys
import zipfile

import numpy as np
import pytest

from emotion_mlflow.config import ModelConfig
from emotion_mlflow.models.facts import BACKBONES, backbone_facts

pytestmark = pytest.mark.slow  # imports TensorFlow

SHAPE = np.array([0.25, 0.5, 0.75, 0.5], np.float32)
"""Mean places of two points."""
SIZE = 32


def make(backbone="mobilenetv3small", **config):
    import keras

    from emotion_mlflow.models.build import build

    keras.utils.set_random_seed(0)
    settings = {"image_size": SIZE, "batch_norm_momentum": 0.9} | config
    return build(ModelConfig(backbone=backbone, **settings), mean_shape=SHAPE, mean_affect=(0.1, -0.1))


@pytest.fixture(scope="module")
def parts_of():
    """A network of each backbone from scratch, made once."""
    made = {}

    def get(backbone):
        if backbone not in made:
            made[backbone] = make(backbone)
        return made[backbone]

    return get


@pytest.fixture(scope="module")
def small(parts_of):
    return parts_of("mobilenetv3small")


def pictures(faces=2, *, size=(SIZE, SIZE), seed=0):
    return np.random.default_rng(seed).integers(0, 256, (faces, *size, 3)).astype(np.float32)


def pooled(network, pixels):
    return np.asarray(network(pixels, training=False)).mean(axis=(1, 2))


def own_preprocessing(backbone):
    """`preprocess_input` of the module that the backbone is from."""
    import keras

    application = getattr(keras.applications, backbone_facts(backbone).application)
    return sys.modules[application.__module__].preprocess_input


def close(found, wanted):
    return np.allclose(found, wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max())


@pytest.mark.parametrize("backbone", BACKBONES)
def test_the_backbone_s_own_preprocessing_is_inside_the_graph(parts_of, backbone):
    parts = parts_of(backbone)
    pixels = pictures()
    found = np.asarray(parts.features(pixels, training=False))
    assert close(found, pooled(parts.trunk.network, own_preprocessing(backbone)(pixels.copy())))
    assert not close(found, pooled(parts.trunk.network, pixels / 255))


def test_a_frozen_backbone_s_features_come_on_one_scale_and_its_heads_have_no_norm_of_their_own():
    parts = make(train_backbone=False, batch_norm="frozen")
    scale = parts.features.layers[-1]
    found = np.asarray(scale(np.random.default_rng(0).normal(3, 50, (2, 576))))
    np.testing.assert_allclose([found.mean(axis=1), found.std(axis=1)], [[0, 0], [1, 1]], atol=1e-5)
    assert scale.weights == []
    assert [layer.name for layer in parts.heads.layers if "norm" in layer.name] == []
    plain = make(train_backbone=False, batch_norm="frozen", head_norm=False)
    assert plain.features.layers[-1].name == "pool"


def test_the_published_pixels_are_divided_by_255_whatever_the_backbone_wants():
    parts = make(pixels="unit")
    pixels = pictures()
    found = np.asarray(parts.features(pixels, training=False))
    assert close(found, pooled(parts.trunk.network, pixels / 255))
    assert not close(found, pooled(parts.trunk.network, pixels))


@pytest.mark.parametrize("backbone", BACKBONES)
def test_the_saved_network_answers_any_size_and_bit_for_bit_as_before(parts_of, backbone, tmp_path):
    import keras

    parts = parts_of(backbone)
    before = parts.answering()
    file = tmp_path / "network.keras"
    before.save(file)
    after = keras.saving.load_model(file, compile=False, safe_mode=True)
    for pixels in (pictures(2), pictures(2, size=(50, 40))):
        answers = {task: np.asarray(answer) for task, answer in after(pixels, training=False).items()}
        assert {task: (answer.shape, str(answer.dtype)) for task, answer in answers.items()} == {
            "expression": ((2, 8), "float32"),
            "valence": ((2,), "float32"),
            "arousal": ((2,), "float32"),
            "landmarks": ((2, 4), "float32"),
        }
        for task, answer in before(pixels, training=False).items():
            np.testing.assert_array_equal(answers[task], np.asarray(answer))
    with zipfile.ZipFile(file) as archive:
        assert b"emotion_mlflow" not in archive.read("config.json")  # it loads without this package


def test_whole_numbers_and_floats_get_the_same_answers(small):
    network = small.answering()
    pixels = pictures(2, size=(50, 40))
    as_bytes, as_floats = network(pixels.astype(np.uint8), training=False), network(pixels, training=False)
    for task in as_floats:
        np.testing.assert_array_equal(as_bytes[task], as_floats[task])


def test_a_picture_of_the_network_s_size_goes_through_unchanged(small):
    pixels = pictures()
    answers = small.answering()(pixels, training=False)
    outputs = small.whole(pixels, training=False)
    np.testing.assert_allclose(
        np.asarray(answers["valence"]), np.asarray(outputs["valence"])[:, 0].clip(-1, 1), rtol=1e-6
    )


def test_probabilities_sum_to_1_and_affect_stays_in_its_range(small):
    heads = {layer.name: layer for layer in small.heads.layers}
    kept = {task: heads[task].get_weights() for task in ("valence", "arousal")}
    for task, answer in (("valence", 3.0), ("arousal", -3.0)):
        heads[task].set_weights([np.zeros_like(kept[task][0]), np.array([answer])])
    answers = small.answering()(pictures(5), training=False)
    for task, weights in kept.items():
        heads[task].set_weights(weights)
    np.testing.assert_allclose(np.asarray(answers["expression"]).sum(axis=1), 1, atol=1e-6)
    assert np.asarray(answers["expression"]).min() > 0
    assert np.asarray(answers["valence"]).tolist() == [1.0] * 5
    assert np.asarray(answers["arousal"]).tolist() == [-1.0] * 5


@pytest.mark.parametrize(
    ("height", "width", "wanted"),
    [
        # shares (.25, .5) and (.75, .5); the centre of the first pixel is 0, so half a pixel less
        pytest.param(32, 32, [7.5, 15.5, 23.5, 15.5], id="the network's own size"),
        pytest.param(40, 80, [19.5, 19.5, 59.5, 19.5], id="wide"),
        pytest.param(100, 50, [12.0, 49.5, 37.0, 49.5], id="high"),
    ],
)
def test_landmarks_are_answered_in_pixels_of_the_input(small, height, width, wanted):
    layer = small.heads.get_layer("landmark_offsets")
    kept = layer.get_weights()
    layer.set_weights([np.zeros_like(array) for array in kept])  # so that every face has the mean shape
    answers = small.answering()(pictures(1, size=(height, width)), training=False)
    layer.set_weights(kept)
    assert np.asarray(answers["landmarks"])[0] == pytest.approx(wanted, abs=1e-4)


@pytest.mark.parametrize("tasks", [("expression",), ("valence", "landmarks")], ids="-".join)
def test_only_the_tasks_asked_for_are_answered(tasks):
    assert set(make(tasks=tasks).answering()(pictures(), training=False)) == set(tasks)


@pytest.mark.parametrize(("momentum", "moved"), [(0.5, 0.5), (0.9, 0.1)])
def test_the_batch_norm_s_momentum_is_the_one_set(momentum, moved):
    import keras

    from emotion_mlflow.models.backbones import norm_layers

    parts = make(batch_norm_momentum=momentum)
    first = norm_layers(parts.trunk.network)[0]
    before_norm = keras.Model(parts.trunk.network.input, first.input)
    batch_mean = np.asarray(before_norm(pictures(8))).mean(axis=(0, 1, 2))
    parts.features(pictures(8), training=True)
    np.testing.assert_allclose(np.asarray(first.moving_mean), moved * batch_mean, rtol=1e-3, atol=1e-5)


def test_still_and_moving_again_the_backbone_has_its_norms_as_configured(small):
    small.hold_backbone(still=True)
    assert small.trunk.network.trainable_variables == []
    assert small.heads.trainable_variables != []
    small.hold_backbone(still=False)
    assert len(small.trunk.network.trainable_variables) > 50


def test_a_probe_of_resnet50_s_file_has_the_features_of_conv4(shared):
    file = shared / "weights" / "resnet50_imagenet_partial_notop.weights.h5"
    parts = make("resnet50", weights=str(file), train_backbone=False)
    assert parts.features.output.shape == (None, 1024)  # conv4's channels; conv5 has 2,048
    assert parts.features.trainable_variables == []
    found = np.asarray(parts.features(pictures(1), training=False))
    conv4 = parts.trunk.network
    assert found.shape == (1, 1024)
    assert conv4.output.shape[-1] == 2048  # the trunk itself is whole
