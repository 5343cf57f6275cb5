from dataclasses import replace

import numpy as np
import pytest

from emotion_mlflow import cache
from emotion_mlflow.config import ModelConfig

pytestmark = pytest.mark.slow  # imports TensorFlow

SIZE = 32
CONTENTS = np.array(["a" * 32, "b" * 32, "c" * 32])


def make(*, weights="none", seed=0, **config):
    import keras

    from emotion_mlflow.models.build import build

    keras.utils.set_random_seed(seed)
    settings = {"backbone": "mobilenetv3small", "image_size": SIZE, "train_backbone": False, "weights": str(weights)}
    return build(ModelConfig(**settings, **config), mean_shape=np.full(4, 0.5), mean_affect=(0.0, 0.0))


@pytest.fixture(scope="module")
def weights_files(tmp_path_factory):
    """Two files of whole, different weights."""
    from emotion_mlflow.models.backbones import load_trunk, norm_layers

    folder = tmp_path_factory.mktemp("weights")
    trunk = load_trunk("mobilenetv3small", weights="none", image_size=SIZE)
    files = []
    for number in (1, 2):
        for layer in norm_layers(trunk.network):
            layer.momentum = 0.01
        # norms that know the pictures, so that features differ from face to face
        trunk.network(np.random.default_rng(number).uniform(0, 255, (16, SIZE, SIZE, 3)), training=True)
        files.append(folder / f"{number}.weights.h5")
        trunk.network.save_weights(files[-1])
    return files


@pytest.fixture(scope="module")
def parts(weights_files):
    return make(weights=weights_files[0])


def pixels():
    return np.random.default_rng(0).integers(0, 256, (3, SIZE, SIZE, 3), dtype=np.uint8)


def compute(parts, cache_dir, *, faces=None, contents=CONTENTS, progress=None):
    from emotion_mlflow.features import compute_features

    return compute_features(
        parts, pixels() if faces is None else faces, contents=contents, cache_dir=cache_dir, progress=progress
    )


def files(folder):
    return sorted((folder / "features").rglob("*.npy"))


def test_a_face_has_its_own_features_and_those_of_its_mirror_image(parts, tmp_path):
    features = compute(parts, tmp_path)
    assert (features.shape, features.dtype) == ((3, 2, 576), np.float32)
    own = np.asarray(parts.features(pixels().astype(np.float32), training=False))
    np.testing.assert_allclose(features[:, 0], own, rtol=1e-4, atol=1e-5)
    mirrored = compute(parts, tmp_path, faces=pixels()[:, :, ::-1], contents=np.array(["d" * 32, "e" * 32, "f" * 32]))
    np.testing.assert_array_equal(features[:, 1], mirrored[:, 0])
    np.testing.assert_array_equal(features[:, 0], mirrored[:, 1])
    assert np.abs(features[:, 0] - features[:, 1]).max() > 0.01


def test_the_second_time_the_network_is_not_asked(parts, tmp_path):
    first = compute(parts, tmp_path)
    without = replace(parts, features=None)  # would fail at the first picture
    np.testing.assert_array_equal(compute(without, tmp_path), first)
    assert len(files(tmp_path)) == 1
    np.testing.assert_array_equal(compute(without, tmp_path, contents=CONTENTS[::-1]), first[::-1])
    with pytest.raises(AttributeError):
        compute(without, tmp_path, contents=np.array(["d" * 32, *CONTENTS[1:]]))


def test_a_face_has_the_same_numbers_in_whatever_company(parts, tmp_path):
    together = compute(parts, tmp_path / "together")
    alone = [
        compute(parts, tmp_path / "alone", faces=pixels()[[row]], contents=CONTENTS[[row]])[0] for row in (2, 0, 1)
    ]
    np.testing.assert_array_equal(together[[2, 0, 1]], alone)
    np.testing.assert_array_equal(compute(parts, tmp_path / "alone"), together)
    assert len(files(tmp_path / "alone")) == 3


def test_only_faces_that_are_new_are_computed(parts, tmp_path):
    told = []
    compute(parts, tmp_path, faces=pixels()[:2], contents=CONTENTS[:2])
    compute(parts, tmp_path, progress=lambda done, of: told.append((done, of)))
    assert told == [(1, 1)]


def test_heads_with_other_settings_find_the_same_file(parts, weights_files, tmp_path):
    compute(parts, tmp_path)
    compute(make(weights=weights_files[0], dropout=0.5, tasks=("valence",), seed=3), tmp_path)
    assert len(files(tmp_path)) == 1


@pytest.mark.parametrize("other", ["weights", "pixels", "size", "contents"])
def test_other_weights_pixels_sizes_or_faces_do_not(parts, weights_files, tmp_path, other):
    compute(parts, tmp_path)
    if other == "contents":
        compute(parts, tmp_path, contents=np.array(["a" * 32, "b" * 32, "d" * 32]))
    elif other == "size":
        compute(replace(parts, config=replace(parts.config, image_size=40)), tmp_path)
    elif other == "pixels":
        compute(replace(parts, config=replace(parts.config, pixels="unit")), tmp_path)
    else:
        compute(make(weights=weights_files[1]), tmp_path)
    assert len(files(tmp_path)) == 2


@pytest.mark.parametrize("library", ["keras", "tensorflow", "PIL"])
def test_another_release_s_features_are_not_taken(parts, tmp_path, monkeypatch, library):
    compute(parts, tmp_path)
    monkeypatch.setattr(f"{library}.__version__", "99.0")
    compute(parts, tmp_path)
    assert len(files(tmp_path)) == 2


def test_random_weights_are_told_apart_by_their_values(tmp_path):
    compute(make(seed=0), tmp_path)
    compute(make(seed=0), tmp_path)
    assert len(files(tmp_path)) == 1
    compute(make(seed=1), tmp_path)
    assert len(files(tmp_path)) == 2


def test_progress_is_told_in_faces(parts, tmp_path):
    told = []
    compute(parts, tmp_path, progress=lambda done, of: told.append((done, of)))
    assert told == [(3, 3)]


def test_damaged_kept_features_are_computed_again_and_said(parts, tmp_path, caplog):
    first = compute(parts, tmp_path)
    (file,) = files(tmp_path)
    file.write_bytes(file.read_bytes()[:-4])
    np.testing.assert_array_equal(compute(parts, tmp_path), first)
    assert "are damaged: they are computed again" in caplog.text


def test_a_full_cache_gives_up_features_which_are_computed_again_without_a_word(parts, tmp_path, caplog):
    first = compute(parts, tmp_path)
    cache.trim(tmp_path, limit_gb=0.0)
    assert cache.sizes(tmp_path)["features"] == 0
    np.testing.assert_array_equal(compute(parts, tmp_path), first)
    assert caplog.text == ""


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_features_that_could_not_be_kept_leave_no_half_file(parts, tmp_path, monkeypatch, error):
    def half(file, array, **options):
        file.write(b"half")
        raise error

    monkeypatch.setattr(np, "save", half)
    with pytest.raises(type(error)):
        compute(parts, tmp_path)
    assert list((tmp_path / "features").rglob("*.part")) == []


def test_a_damaged_list_of_faces_is_passed_over_and_said(parts, tmp_path, caplog):
    first = compute(parts, tmp_path)
    (file,) = files(tmp_path)
    file.with_suffix(".txt").write_bytes(b"\xff\xfe")
    np.testing.assert_array_equal(compute(parts, tmp_path), first)
    assert "are damaged: they are computed again" in caplog.text


def correlated(rows, width):
    rng = np.random.default_rng(3)
    mixing = rng.normal(size=(width, width)) * np.linspace(0.1, 2, width)
    return (rng.normal(size=(rows, width)) @ mixing + rng.normal(size=width)).astype(np.float32)


@pytest.mark.parametrize("count", [3, 12])
def test_components_are_those_of_scikit_learn_with_a_mean_variance_of_one(count, monkeypatch):
    from sklearn.decomposition import PCA

    from emotion_mlflow.features import principal_components

    monkeypatch.setattr("emotion_mlflow.features.SCATTER_ROWS", 64)  # so that the last rows are a part of it
    features = correlated(500, 12)
    kernel, bias = principal_components(features, count)
    assert (kernel.shape, kernel.dtype, bias.shape, bias.dtype) == ((12, count), np.float32, (count,), np.float32)
    found = features @ kernel + bias
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-4)
    assert found.var(axis=0).mean() == pytest.approx(1, rel=1e-3)
    wanted = PCA(count).fit_transform(features)
    wanted /= np.sqrt(wanted.var(axis=0).mean())
    np.testing.assert_allclose(np.abs(found), np.abs(wanted), atol=2e-3)


def test_fewer_faces_than_components_give_finite_ones():
    from emotion_mlflow.features import principal_components

    for features in (correlated(4, 12), np.ones((4, 12), np.float32)):
        kernel, bias = principal_components(features, 8)
        found = features @ kernel + bias
        assert np.abs(found).max() < 10


def test_the_whole_network_sees_the_components_that_its_heads_learn_from(weights_files, tmp_path):
    from emotion_mlflow.features import reduce_features

    parts = make(weights=weights_files[0], components=2)
    features = compute(parts, tmp_path)
    train, val = reduce_features(parts, features[:2], features[2:])
    assert (train.shape, val.shape) == ((2, 2, 2), (1, 2, 2))
    from_pixels = parts.whole(pixels().astype(np.float32), training=False)
    for heads_input, rows in ((train, slice(0, 2)), (val, slice(2, 3))):
        answers = parts.heads(heads_input[:, 0], training=False)
        for task, values in answers.items():
            np.testing.assert_allclose(from_pixels[task][rows], values, rtol=1e-3, atol=1e-4)
    assert np.ptp(np.asarray(from_pixels["expression"]), axis=0).max() > 1e-3
    assert not [w for w in parts.whole.trainable_weights if "components" in w.path]


def test_without_components_heads_see_the_features_themselves(parts, tmp_path):
    from emotion_mlflow.features import reduce_features

    features = compute(parts, tmp_path)
    train, val = reduce_features(parts, features[:2], features[2:])
    np.testing.assert_array_equal(np.concatenate([train, val]), features)


def test_components_are_at_most_the_features(weights_files):
    assert make(weights=weights_files[0], components=5000).heads.input.shape[-1] == 576


def test_half_precision_s_features_are_others(weights_files, tmp_path):
    import keras

    compute(make(weights=weights_files[0]), tmp_path)
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        compute(make(weights=weights_files[0]), tmp_path)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert len(files(tmp_path)) == 2
