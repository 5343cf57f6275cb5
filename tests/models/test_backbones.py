import numpy as np
import pytest

from emotion_mlflow.errors import WeightsError
from emotion_mlflow.models.facts import BACKBONES, backbone_facts

pytestmark = pytest.mark.slow  # imports TensorFlow

RESNET_FILE = "resnet50_imagenet_partial_notop.weights.h5"
EFFICIENTNET_FILE = "efficientnetb0_transplanted_notop.weights.h5"
CONV5_NORMS = [
    "conv5_block1_0_bn", "conv5_block1_1_bn", "conv5_block1_2_bn", "conv5_block1_3_bn",
    "conv5_block2_1_bn", "conv5_block2_2_bn", "conv5_block2_3_bn",
    "conv5_block3_1_bn", "conv5_block3_2_bn", "conv5_block3_3_bn",
]  # fmt: skip


def load(name="mobilenetv3small", *, weights="none"):
    from emotion_mlflow.models.backbones import load_trunk

    return load_trunk(name, weights=str(weights), image_size=32)


def norms(trunk):
    from emotion_mlflow.models.backbones import norm_layers

    return norm_layers(trunk.network)


@pytest.fixture(scope="module")
def weights_file(tmp_path_factory):
    """MobileNetV3Small's weights as if trained but for its last norm, which still stands at its start."""
    trunk = load()
    rng = np.random.default_rng(0)
    for layer in norms(trunk)[:-1]:
        gamma, beta, mean, variance = layer.get_weights()
        layer.set_weights([gamma, beta + 0.1, mean + rng.normal(size=mean.shape), variance * 1.5])
    file = tmp_path_factory.mktemp("weights") / "small.weights.h5"
    trunk.network.save_weights(file)
    return file


@pytest.mark.parametrize("name", BACKBONES)
def test_a_backbone_s_stages_are_its_layers_in_order_and_another_network_s_file_is_refused(name, tmp_path):
    import keras

    other = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    file = tmp_path / "other.weights.h5"
    other.save_weights(file)
    with pytest.raises(WeightsError) as caught:
        load(name, weights=file)
    assert str(caught.value).startswith(f"expected a weights file that fits {name}; got ")
    assert "\n" not in str(caught.value)

    trunk = load(name)
    order = [layer.name for layer in trunk.network.layers]
    places = [order.index(stage) for stage in backbone_facts(name).stages]
    assert places == sorted(places)
    # from scratch nothing is loaded, so every norm counts as untrained and features come from the whole network
    assert (trunk.weights, trunk.weights_digest, trunk.deepest_stage) == ("none", "none", None)
    assert len(trunk.untrained_norms) == trunk.norms == len(norms(trunk)) > 0


def test_the_name_digest_and_gap_of_a_weights_file_are_told(weights_file):
    import hashlib

    trunk = load(weights=weights_file)
    assert trunk.weights == "small.weights.h5"
    assert trunk.weights_digest == hashlib.sha256(weights_file.read_bytes()).hexdigest()[:32]
    assert trunk.untrained_norms == (norms(trunk)[-1].name,)
    # the only untrained norm stands behind the last block
    assert trunk.deepest_stage == "expanded_conv_10_add"


@pytest.mark.parametrize("frozen", [True, False])
def test_norms_with_nothing_loaded_are_never_frozen(weights_file, frozen):
    from emotion_mlflow.models.backbones import set_batch_norm

    trunk = load(weights=weights_file)
    count = set_batch_norm(trunk, frozen=frozen, momentum=0.7)
    still = [layer.name for layer in norms(trunk) if not layer.trainable]
    assert len(still) == count == (trunk.norms - 1 if frozen else 0)
    assert norms(trunk)[-1].name not in still
    assert {layer.momentum for layer in norms(trunk)} == {0.7}


def test_from_scratch_frozen_freezes_nothing():
    from emotion_mlflow.models.backbones import set_batch_norm

    assert set_batch_norm(load(), frozen=True, momentum=0.9) == 0


def damaged(kind, whole, folder):
    file = folder / "bad.weights.h5"
    if kind == "absent":
        return folder / "absent.weights.h5"
    if kind == "a folder":
        return folder
    if kind == "named otherwise":
        file = folder / "weights.h5"
        file.write_bytes(whole.read_bytes())
    elif kind == "no HDF5":
        file.write_text("not a weights file")
    elif kind == "cut short":
        file.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    elif kind == "empty":
        file.write_bytes(b"")
    elif kind == "NaN":
        trunk = load()
        layer = norms(trunk)[0]
        layer.set_weights([np.full_like(array, np.nan) for array in layer.get_weights()])
        trunk.network.save_weights(file)
    return file


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("absent", "expected imagenet, none, or a .weights.h5 file that exists; got"),
        ("a folder", "expected imagenet, none, or a .weights.h5 file that exists; got"),
        ("named otherwise", "expected a file named *.weights.h5, as Keras saves weights; got weights.h5 in --weights"),
        ("no HDF5", "expected a weights file that fits mobilenetv3small; got"),
        ("cut short", "expected a weights file that fits mobilenetv3small; got"),
        ("empty", "expected a weights file that fits mobilenetv3small; got"),
        ("NaN", "expected weights that are finite numbers; got NaN or infinity in"),
    ],
)
def test_a_weights_file_that_cannot_be_used_is_told_in_one_line(kind, words, weights_file, tmp_path):
    with pytest.raises(WeightsError) as caught:
        load(weights=damaged(kind, weights_file, tmp_path))
    assert str(caught.value).startswith(words)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", BACKBONES)
def test_a_file_of_the_network_itself_is_taken_and_one_with_another_preprocessing_refused(name, tmp_path):
    import keras

    from emotion_mlflow.models.backbones import load_weights

    network = load(name).network
    file = tmp_path / "own.weights.h5"
    network.save_weights(file)
    load_weights(network, file, name)
    # two more: Keras' EfficientNetB0 scales pixels once more with imagenet weights, and has one Rescaling anyway
    end = keras.layers.Rescaling(2.0)(keras.layers.Rescaling(2.0)(network.output))
    keras.Model(network.input, end).save_weights(tmp_path / "other.weights.h5")
    with pytest.raises(WeightsError, match=f"expected a weights file that fits {name}; got . Rescaling layers for "):
        load_weights(network, tmp_path / "other.weights.h5", name)


def test_imagenet_weights_that_cannot_be_downloaded_name_the_ways_out(tmp_path, monkeypatch, capsys):
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody listens there
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setattr("keras.src.backend.config._KERAS_DIR", str(tmp_path))  # where no earlier download lies
    with pytest.raises(WeightsError) as caught:
        load(weights="imagenet")
    start = "expected ImageNet weights that can be downloaded, or --weights none, or --weights FILE; got"
    assert str(caught.value).startswith(start)
    assert str(caught.value).endswith("Connection refused in mobilenetv3small")  # the cause, not cut off by an address
    assert "\n" not in str(caught.value)
    assert capsys.readouterr().out == ""  # `--json` has stdout for itself


def test_resnet50_s_file_has_ten_untrained_norms_and_is_whole_to_the_end_of_conv4(shared):
    from emotion_mlflow.models.backbones import set_batch_norm

    trunk = load("resnet50", weights=shared / "weights" / RESNET_FILE)
    assert sorted(trunk.untrained_norms) == CONV5_NORMS
    assert trunk.deepest_stage == "conv4_block6_out"
    # 1 at the start, 3 in each of 16 blocks, 4 beside the first block of each stage
    assert trunk.norms == 53
    assert set_batch_norm(trunk, frozen=True, momentum=0.9) == 43


def test_efficientnetb0_s_file_is_whole(shared):
    from emotion_mlflow.models.backbones import set_batch_norm

    trunk = load("efficientnetb0", weights=shared / "weights" / EFFICIENTNET_FILE)
    assert trunk.untrained_norms == ()
    assert trunk.deepest_stage is None
    assert set_batch_norm(trunk, frozen=True, momentum=0.9) == trunk.norms == 49


def test_one_backbone_s_real_file_does_not_fit_another(shared):
    with pytest.raises(WeightsError, match="expected a weights file that fits mobilenetv3small; got"):
        load(weights=shared / "weights" / EFFICIENTNET_FILE)


@pytest.mark.parametrize(
    "lie", ["external link", "linked group", "external storage", "virtual", "endless", "a layer gone", "complex"]
)
def test_a_weights_file_that_lies_is_refused(weights_file, tmp_path, lie):
    import h5py

    file, outside = tmp_path / "lie.weights.h5", tmp_path / "secret.h5"
    file.write_bytes(weights_file.read_bytes())
    place = "layers/conv2d/vars/0"
    with h5py.File(file, "r+") as stored:
        shape = stored[place].shape
        with h5py.File(outside, "w") as secret:
            secret["numbers"] = np.full(shape, 7.0, np.float32)
        del stored[place]
        if lie == "external link":
            stored[place] = h5py.ExternalLink(str(outside), "numbers")
        elif lie == "linked group":
            del stored["layers/conv2d"]
            stored["layers/conv2d"] = h5py.ExternalLink(str(outside), "/")
        elif lie == "external storage":
            stored.create_dataset(place, shape, "<f4", external=[(str(outside), 0, int(np.prod(shape)) * 4)])
        elif lie == "virtual":
            layout = h5py.VirtualLayout(shape, "<f4")
            layout[...] = h5py.VirtualSource(str(outside), "numbers", shape=shape)
            stored.create_virtual_dataset(place, layout)
        elif lie == "endless":
            stored.create_dataset(place, (10**6, 10**6), "f4", chunks=(64, 64))
        elif lie == "complex":
            stored.create_dataset(place, data=np.ones(shape, "c8"))
        else:
            del stored["layers/conv2d"]
    # Keras refuses all but the last, of which NumPy only warns
    words = "imaginary" if lie == "complex" else "could not be loaded|Not allowed"
    with pytest.raises(WeightsError, match=f"fits mobilenetv3small; got .*({words})"):
        load(weights=file)
