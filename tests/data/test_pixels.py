import os
import shutil
import tempfile
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from emotion_mlflow.data.pixels import load_pixels
from emotion_mlflow.errors import DataError


@pytest.fixture
def pictures(make_manifest, tmp_path):
    """Three one-coloured pictures: red, green, blue."""
    for number, colour in enumerate([(255, 0, 0), (0, 255, 0), (0, 0, 255)]):
        Image.new("RGB", (48, 48), colour).save(tmp_path / f"{number}.png")
    return make_manifest([0, 1, 2], path=["0.png", "1.png", "2.png"])


def test_pixels_stand_in_the_manifest_s_order_as_rgb(pictures, tmp_path):
    pixels = load_pixels(pictures.rows([2, 0]), image_size=32, cache_dir=tmp_path / "cache")
    assert (pixels.shape, pixels.dtype) == ((2, 32, 32, 3), np.uint8)
    assert pixels[0, 5, 5].tolist() == [0, 0, 255]
    assert pixels[1, 5, 5].tolist() == [255, 0, 0]


def test_the_second_time_no_picture_is_opened(pictures, tmp_path):
    first = np.array(load_pixels(pictures, image_size=32, cache_dir=tmp_path / "cache"))
    for file in tmp_path.glob("*.png"):
        file.unlink()
    again = load_pixels(pictures, image_size=32, cache_dir=tmp_path / "cache")
    np.testing.assert_array_equal(again, first)
    assert isinstance(again, np.memmap)


def test_other_labels_find_the_same_pixels_and_other_sizes_or_contents_do_not(pictures, tmp_path):
    def files():
        return len(list((tmp_path / "cache" / "pixels").iterdir()))

    cache = tmp_path / "cache"
    load_pixels(pictures, image_size=32, cache_dir=cache)
    pictures.table["expression"] = np.array([3, 3, 3], np.int8)
    load_pixels(pictures, image_size=32, cache_dir=cache)
    assert files() == 1
    load_pixels(pictures, image_size=33, cache_dir=cache)
    assert files() == 2
    pictures.table["content_hash"] = ["a", "b", "c"]
    load_pixels(pictures, image_size=32, cache_dir=cache)
    assert files() == 3


@pytest.mark.parametrize("version", ["PIL.__version__", "emotion_mlflow.data.pixels.VERSION"])
def test_another_decoder_s_pixels_are_not_taken(pictures, tmp_path, monkeypatch, version):
    load_pixels(pictures, image_size=32, cache_dir=tmp_path / "cache")
    monkeypatch.setattr(version, "99")
    load_pixels(pictures, image_size=32, cache_dir=tmp_path / "cache")
    assert len(list((tmp_path / "cache" / "pixels").iterdir())) == 2


def test_only_the_face_s_box_is_shown(make_manifest, tmp_path):
    picture = np.zeros((40, 40, 3), np.uint8)
    picture[10:30, 5:25] = 200
    Image.fromarray(picture).save(tmp_path / "0.png")
    box = {"crop_x": 5.0, "crop_y": 10.0, "crop_width": 20.0, "crop_height": 20.0}
    manifest = make_manifest([0], path=["0.png"], **box)
    pixels = load_pixels(manifest, image_size=32, cache_dir=tmp_path / "cache")
    assert (pixels == 200).all()


def test_a_picture_that_has_gone_is_told_and_leaves_no_half_file(pictures, tmp_path):
    (tmp_path / "1.png").unlink()
    with pytest.raises(DataError, match=r"expected a readable picture; .*1\.png"):
        load_pixels(pictures, image_size=32, cache_dir=tmp_path / "cache")
    assert list((tmp_path / "cache" / "pixels").iterdir()) == []


def test_a_drawn_face_that_is_damaged_says_how_it_is_drawn_again(pictures, tmp_path):
    damaged = replace(pictures, drawn=True)
    (pictures.root / pictures.table["path"][1]).write_bytes(b"no picture")
    with pytest.raises(DataError, match="emotion-mlflow cache clear"):
        load_pixels(damaged, image_size=32, cache_dir=tmp_path / "cache")


def test_progress_is_told_in_faces(pictures, tmp_path):
    told = []
    load_pixels(
        pictures, image_size=32, cache_dir=tmp_path / "cache", progress=lambda done, of: told.append((done, of))
    )
    assert told == [(3, 3)]


def test_damaged_kept_pixels_are_made_again_and_said(pictures, tmp_path, caplog):
    first = np.array(load_pixels(pictures, image_size=32, cache_dir=tmp_path / "cache"))
    (file,) = (tmp_path / "cache/pixels").glob("*.npy")
    file.write_bytes(file.read_bytes()[:-5])
    np.testing.assert_array_equal(load_pixels(pictures, image_size=32, cache_dir=tmp_path / "cache"), first)
    assert "are damaged: the pictures are decoded again" in caplog.text


def test_an_odd_tag_in_a_picture_gives_no_warning(make_manifest, tmp_path):
    tags = Image.Exif()
    tags[270] = "text"
    Image.new("RGB", (48, 48), (255, 0, 0)).save(tmp_path / "0.tif", exif=tags)
    content = (tmp_path / "0.tif").read_bytes()
    place = content.index(b"\x0e\x01\x02\x00")  # tag 270, text
    (tmp_path / "0.tif").write_bytes(
        content[: place + 4] + b"\xff\xff\xff\x0f" + content[place + 8 :]
    )  # 268 million letters
    manifest = make_manifest([0], path=["0.tif"])
    assert load_pixels(manifest, image_size=32, cache_dir=tmp_path / "cache")[0, 5, 5].tolist() == [255, 0, 0]


def test_a_disk_that_fills_up_meanwhile_is_an_error_and_no_dead_process(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(
        tempfile, "mkstemp", lambda dir, suffix: (os.open("/dev/full", os.O_WRONLY), f"{dir}/x{suffix}")
    )
    with pytest.raises(OSError, match="No space left on device"):
        load_pixels(pictures, image_size=320, cache_dir=tmp_path / "cache")


def test_a_disk_without_room_for_all_faces_is_told_before_the_first_is_decoded(pictures, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=1000))
    words = r"expected room on the disk for 9.22e-06 GB of decoded faces .*; got 1e-06 GB in .*pixels"
    with pytest.raises(DataError, match=words):  # 3 faces of 32 x 32 x 3 bytes
        load_pixels(pictures, image_size=32, cache_dir=tmp_path / "cache")
    assert list((tmp_path / "cache" / "pixels").iterdir()) == []
