import base64
import hashlib
import io
import json
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from emotion_mlflow.config import ModelConfig
from emotion_mlflow.errors import ModelError
from emotion_mlflow.labels import EXPRESSIONS, PIXEL_CENTRE, TASKS

pytestmark = pytest.mark.slow  # imports MLflow and TensorFlow

SIZE = 32
POINTS = 5


def picture(width=40, height=30, *, mode="RGB", seed=0):
    blocks = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(blocks).resize((width, height), Image.Resampling.BICUBIC).convert(mode)


def file_bytes(kind="PNG", **settings):
    buffer = io.BytesIO()
    picture(**settings).save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Network and card of a small model as a training leaves them."""
    import keras

    from emotion_mlflow.models.backbones import norm_layers
    from emotion_mlflow.models.build import build

    keras.utils.set_random_seed(0)
    config = ModelConfig(backbone="mobilenetv3small", image_size=SIZE, batch_norm_momentum=0.01)
    shape = np.linspace(0.2, 0.8, 2 * POINTS)
    parts = build(config, mean_shape=shape, mean_affect=(0.0, 0.0))
    # norms that know pictures, so that answers differ from face to face
    parts.features(np.random.default_rng(1).uniform(0, 255, (16, SIZE, SIZE, 3)), training=True)
    assert norm_layers(parts.trunk.network)
    offsets = parts.heads.get_layer("landmark_offsets")
    offsets.set_weights([array / 100 for array in offsets.get_weights()])  # so that it hardly leaves the mean shape
    folder = tmp_path_factory.mktemp("saved")
    network, card = folder / "network.keras", folder / "card.json"
    parts.answering().save(network)
    told = {
        "format": 1, "expressions": list(EXPRESSIONS), "tasks": list(TASKS), "image_size": SIZE, "pixels": "raw",
        "landmark_points": POINTS, "landmark_layout": "points5",
        "network_sha256": hashlib.sha256(network.read_bytes()).hexdigest(),
    }  # fmt: skip
    card.write_text(json.dumps(told))
    return network, card


@pytest.fixture(scope="module")
def model(saved):
    from emotion_mlflow.serving.model import AffectModel

    return AffectModel().load(*saved)


def faces(count, *, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, SIZE, SIZE, 3), dtype=np.uint8)


@pytest.mark.parametrize("form", ["bytes", "base64", "base64 in lines", "pixels", "nested lists"])
def test_a_picture_comes_as_bytes_base64_or_pixels(form):
    from emotion_mlflow.serving.model import read_picture

    content = file_bytes()
    forms = {
        "bytes": content,
        "base64": base64.b64encode(content).decode(),
        "base64 in lines": base64.encodebytes(content).decode(),
        "pixels": np.asarray(picture()),
        "nested lists": np.asarray(picture()).tolist(),
    }
    read = read_picture(forms[form], 0)
    assert (read.mode, read.size) == ("RGB", (40, 30))
    np.testing.assert_array_equal(np.asarray(read), np.asarray(picture()))


@pytest.mark.parametrize(
    ("item", "words"),
    [
        pytest.param(b"", "expected an image file's bytes; got 0 other bytes in item 3", id="no bytes"),
        pytest.param(b"text", "expected an image file's bytes; got 4 other bytes in item 3", id="other bytes"),
        pytest.param(file_bytes()[:60], "expected an image file's bytes; got 60 other bytes in item 3", id="cut short"),
        pytest.param("not base64!", "expected base64 of an image file; got other text in item 3", id="other text"),
        pytest.param("grüße", "expected base64 of an image file; got other text in item 3", id="text beyond ASCII"),
        pytest.param("aGFsbG8=", "expected an image file's bytes; got 5 other bytes in item 3", id="base64 of text"),
        pytest.param([[1, 2], [3]], "expected pixels (height, width, 3) of 0-255; got something else", id="ragged"),
        pytest.param(np.zeros((4, 4)), "expected pixels (height, width, 3) of 0-255; got something else", id="grey"),
        pytest.param(np.zeros((0, 4, 3)), "expected pixels (height, width, 3) of 0-255; got something", id="empty"),
        pytest.param(np.full((4, 4, 3), 256), "expected pixels (height, width, 3) of 0-255; got", id="256"),
        pytest.param(np.full((4, 4, 3), -1), "expected pixels (height, width, 3) of 0-255; got", id="below 0"),
        pytest.param(np.full((4, 4, 3), np.nan), "expected pixels (height, width, 3) of 0-255; got", id="NaN"),
        pytest.param([[["a"] * 3]], "expected pixels (height, width, 3) of 0-255; got something else", id="letters"),
        pytest.param(None, "expected pixels (height, width, 3) of 0-255; got something else", id="nothing"),
        pytest.param({"image": 1}, "expected pixels (height, width, 3) of 0-255; got something else", id="a mapping"),
    ],
)
def test_what_is_no_picture_is_told_in_one_line_with_its_number(item, words):
    from emotion_mlflow.serving.model import read_picture

    with pytest.raises(ValueError) as caught:
        read_picture(item, 3)
    assert str(caught.value).startswith(words)
    assert str(caught.value).endswith("in item 3")
    assert "\n" not in str(caught.value)


def test_a_picture_of_too_many_pixels_is_refused_by_its_header():
    from emotion_mlflow.serving.model import read_picture

    buffer = io.BytesIO()
    Image.new("1", (8000, 7000)).save(buffer, "PNG")
    with pytest.raises(ValueError, match=r"expected at most 50000000 pixels; got \(8000, 7000\) in item 0"):
        read_picture(buffer.getvalue(), 0)


def test_damaged_files_of_every_kind_are_told_as_no_picture():
    from emotion_mlflow.serving.model import read_picture

    rng, refused = np.random.default_rng(0), Counter()
    for kind in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"):
        whole = file_bytes(kind)
        for _ in range(60):
            damaged = bytearray(whole[: rng.integers(8, len(whole))])
            damaged[rng.integers(4, len(damaged))] ^= 1 << rng.integers(8)
            try:
                read_picture(bytes(damaged), 0)
            except ValueError as error:
                refused[kind] += 1
                assert str(error).startswith("expected "), (kind, bytes(damaged))  # noqa: PT017
    assert len(refused) == 7
    assert min(refused.values()) >= 30, refused  # of 60 cut short each


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        ("JPEG", "RGB"), ("JPEG", "L"), ("JPEG", "CMYK"), ("PNG", "RGB"), ("PNG", "RGBA"), ("PNG", "LA"), ("PNG", "P"),
        ("PNG", "1"), ("GIF", "P"), ("BMP", "RGB"), ("WEBP", "RGB"), ("TIFF", "RGB"),
    ],
)  # fmt: skip
@pytest.mark.parametrize(("width", "height"), [(40, 30), (224, 224), (20, 20)])
def test_a_served_picture_has_the_pixels_that_training_saw(kind, mode, width, height):
    from emotion_mlflow.data.pictures import decode
    from emotion_mlflow.serving.model import fit_picture, read_picture

    content = file_bytes(kind, mode=mode, width=width, height=height)
    served = np.asarray(fit_picture(read_picture(content, 0), SIZE))
    trained = decode(content, crop=None, size=SIZE)
    assert served.dtype == trained.dtype == np.uint8
    np.testing.assert_array_equal(served, trained)


def test_an_exif_turn_is_left_alone_in_training_and_serving_alike():
    from emotion_mlflow.data.pictures import decode
    from emotion_mlflow.serving.model import fit_picture, read_picture

    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    buffer = io.BytesIO()
    picture(40, 30).save(buffer, "JPEG", exif=exif)
    read = read_picture(buffer.getvalue(), 0)
    assert read.size == (40, 30)
    served = np.asarray(fit_picture(read, SIZE))
    np.testing.assert_array_equal(served, decode(buffer.getvalue(), crop=None, size=SIZE))


def test_a_picture_of_16_bits_a_channel_is_refused_as_training_does():
    from emotion_mlflow.serving.model import read_picture

    buffer = io.BytesIO()
    Image.fromarray(np.full((8, 8), 40_000, np.uint16)).save(buffer, "PNG")
    with pytest.raises(ValueError, match="expected 8 bits a channel; got mode I;16 in item 0"):
        read_picture(buffer.getvalue(), 0)


def told(item):
    return item if isinstance(item, dict) else item.model_dump(exclude_none=True)


def test_an_answer_has_name_probabilities_affect_and_landmarks_in_the_picture_s_own_pixels(model):
    small, large = (told(each) for each in model.predict(None, [np.asarray(picture(SIZE, SIZE)), file_bytes()]))
    assert set(small) == {"expression", "probabilities", "valence", "arousal", "landmarks"}
    assert small["expression"] == max(small["probabilities"], key=small["probabilities"].get)
    assert list(small["probabilities"]) == list(EXPRESSIONS)
    assert sum(small["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert np.shape(small["landmarks"]) == (POINTS, 2)
    # the same shares of 32 x 32 and of 40 x 30 pixels: the mean shape is nearly all that this model knows
    shares = [
        (np.array(answer["landmarks"]) + PIXEL_CENTRE) / size for answer, size in ((small, [32, 32]), (large, [40, 30]))
    ]
    np.testing.assert_allclose(shares[0], np.linspace(0.2, 0.8, 10).reshape(5, 2), atol=2e-3)
    np.testing.assert_allclose(shares[1], np.linspace(0.2, 0.8, 10).reshape(5, 2), atol=2e-3)


def test_no_pictures_have_no_answers(model):
    assert model.predict(None, []) == []


def test_a_face_s_answer_does_not_depend_on_its_neighbours(model):
    first, second = faces(5), faces(5, seed=1)
    second[2] = first[2]
    for task, values in model.answer(first).items():
        np.testing.assert_array_equal(values[2], model.answer(second)[task][2])
        assert not np.array_equal(values[1], values[2])  # faces do differ


def test_a_face_s_answer_is_the_same_in_a_filled_up_batch_and_in_a_full_one(model):
    many = faces(11)
    by_four, at_once = model.answer(many, batch_size=4), model.answer(many, batch_size=11)
    again = model.answer(many[[8, 9, 10, 0]], batch_size=4)
    for task, values in by_four.items():
        assert len(values) == 11
        np.testing.assert_array_equal(values[8:11], again[task][:3])  # its last batch had one place to fill up
        np.testing.assert_allclose(values, at_once[task], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param({"expressions": [EXPRESSIONS[1], EXPRESSIONS[0], *EXPRESSIONS[2:]]}, "label order", id="labels"),
        pytest.param({"network_sha256": "0" * 64}, "digest of network", id="another network"),
        pytest.param({"pixels": "caffe"}, "preprocessing", id="preprocessing"),
        pytest.param({"pixels": "unit"}, "preprocessing", id="published pixels"),
        pytest.param({"landmark_points": 68}, "landmark layout ibug68; got points5", id="landmark points"),
        pytest.param(
            {"landmark_points": 68, "landmark_layout": "ibug68"}, "landmark numbers 136; got 10", id="landmark width"
        ),
        pytest.param({"landmark_layout": "ibug68"}, "landmark layout points5; got ibug68", id="landmark layout"),
        pytest.param({"image_size": 64}, "image size 64; got 32", id="image size"),
        pytest.param({"tasks": ["expression"]}, "tasks", id="tasks"),
        pytest.param({"format": 2}, "format", id="format"),
    ],
)
def test_a_card_that_does_not_fit_its_network_is_refused(saved, tmp_path, change, words):
    from emotion_mlflow.evaluate import load_saved
    from emotion_mlflow.serving.model import AffectModel

    network, card = saved
    other = tmp_path / "card.json"
    other.write_text(json.dumps(json.loads(card.read_text()) | change))
    with pytest.raises(ValueError, match=f"expected {words}.*in the saved model"):
        AffectModel().load(network, other)
    with pytest.raises(ModelError) as caught:
        load_saved(network, other)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("card", ["", "[]", "{}", '{"format": 1}', '"text"'])
def test_a_damaged_card_is_told_in_one_line(saved, tmp_path, card):
    from emotion_mlflow.evaluate import load_saved

    other = tmp_path / "card.json"
    other.write_text(card)
    with pytest.raises(ModelError, match="expected a saved model of ours; got ") as caught:
        load_saved(saved[0], other)
    assert "\n" not in str(caught.value)


def test_a_damaged_network_is_told_by_its_digest(saved, tmp_path):
    from emotion_mlflow.evaluate import load_saved

    other = tmp_path / "network.keras"
    other.write_bytes(saved[0].read_bytes()[:-100])
    with pytest.raises(ModelError, match="digest of network"):
        load_saved(other, saved[1])


def test_the_served_file_s_own_lists_are_the_package_s():
    """It imports nothing of the package, so it repeats them."""
    from emotion_mlflow.data import pictures
    from emotion_mlflow.models.facts import BACKBONES
    from emotion_mlflow.serving import model as served

    assert (served.EXPRESSIONS, served.TASKS, served.PIXEL_CENTRE) == (EXPRESSIONS, TASKS, PIXEL_CENTRE)
    assert served.FORMATS == pictures.FORMATS
    assert {facts.pixels for facts in BACKBONES.values()} | {"unit"} == set(served.PREPROCESSING)


def test_a_card_with_a_null_is_refused_in_one_line(saved, tmp_path):
    from emotion_mlflow.evaluate import load_saved

    network, card = saved
    (tmp_path / "card.json").write_text(json.dumps(json.loads(card.read_text()) | {"landmark_points": None}))
    with pytest.raises(ModelError, match="expected a saved model of ours; got int"):
        load_saved(network, tmp_path / "card.json")


def test_an_odd_tag_in_a_picture_gives_no_warning():
    from emotion_mlflow.serving.model import read_picture

    tags = Image.Exif()
    tags[270] = "text"
    buffer = io.BytesIO()
    picture().save(buffer, "TIFF", exif=tags)
    content = buffer.getvalue()
    place = content.index(b"\x0e\x01\x02\x00")  # tag 270, text; then its length
    assert read_picture(content[: place + 4] + b"\xff\xff\xff\x0f" + content[place + 8 :], 0).size == (40, 30)
