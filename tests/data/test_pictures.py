import io
import struct
import zlib

import imagehash
import numpy as np
import pytest
from PIL import Image

from emotion_mlflow.data.pictures import MAX_PIXELS, NO_PICTURE_HASH, decode, inspect, quiet_pillow
from emotion_mlflow.errors import DataError


def png_claiming(width, height):
    """A PNG of a few bytes whose header claims any size."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


def differing_bits(one, two):
    return (int(one) ^ int(two)).bit_count()


@pytest.mark.parametrize(("name", "bits"), [("a.png", 0), ("a.jpg", 4)])
def test_the_picture_hash_is_imagehash_s(tmp_path, write_picture, name, bits):
    for seed in range(5):
        path = write_picture(tmp_path / name, seed=seed, side=224)
        theirs = int(str(imagehash.phash(Image.open(path))), 16)
        assert differing_bits(inspect(path).picture_hash, theirs) <= bits


def test_the_same_picture_recompressed_is_near_and_another_is_far(tmp_path, write_picture):
    first = inspect(write_picture(tmp_path / "a.png", seed=1, side=224))
    again = inspect(write_picture(tmp_path / "a.jpg", seed=1, side=200))
    other = inspect(write_picture(tmp_path / "b.png", seed=2, side=224))
    assert differing_bits(first.picture_hash, again.picture_hash) <= 4
    assert differing_bits(first.picture_hash, other.picture_hash) > 12
    assert first.content_hash != again.content_hash


def test_a_flat_picture_has_no_picture_hash(tmp_path):
    Image.new("RGB", (64, 64), (90, 90, 90)).save(tmp_path / "flat.png")
    assert inspect(tmp_path / "flat.png").picture_hash == NO_PICTURE_HASH


def test_size_and_content_are_those_of_the_crop(tmp_path, write_picture):
    path = write_picture(tmp_path / "a.png", side=48)
    whole, crop = inspect(path), inspect(path, crop=(8, 4, 20, 30))
    assert (whole.width, whole.height, whole.crop) == (48, 48, None)
    assert (crop.width, crop.height, crop.crop) == (20, 30, (8, 4, 20, 30))
    assert whole.content_hash != crop.content_hash


def test_a_box_around_the_whole_picture_is_no_crop(tmp_path, write_picture):
    path = write_picture(tmp_path / "a.png", side=48)
    assert inspect(path, crop=(0, 0, 48, 48)) == inspect(path)


@pytest.mark.parametrize("box", [(48, 0, 10, 10), (40, 40, 20, 20), (0, 0, 0, 10), (-100, 0, 50, 48)])
def test_a_box_that_lies_mostly_outside_is_refused(tmp_path, write_picture, box):
    with pytest.raises(DataError, match="face box"):
        inspect(write_picture(tmp_path / "a.png", side=48), crop=box)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.bmp", "a.gif", "a.tif", "a.webp"])
def test_a_truncated_picture_is_refused(tmp_path, write_picture, name):
    path = write_picture(tmp_path / name, side=224)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=f"expected a whole picture; got .* in .*{name}"):
        inspect(path)


@pytest.mark.parametrize("content", [b"not a picture", b"\x93NUMPY", b"%!PS-Adobe-3.0 EPSF-3.0\n"])
def test_a_file_that_is_no_picture_is_refused(tmp_path, content):
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(DataError, match="got a file that is none of JPEG, PNG"):
        inspect(tmp_path / "a.jpg")


def test_an_empty_and_an_absent_file_are_refused(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"")
    with pytest.raises(DataError, match="got an empty file"):
        inspect(tmp_path / "a.jpg")
    with pytest.raises(DataError, match="No such file"):
        inspect(tmp_path / "b.jpg")


@pytest.mark.parametrize(
    ("width", "height", "words"),
    [(10_000, 5_001, "at most 50 million pixels"), (60_000, 60_000, "decompression bomb")],
)
def test_a_picture_bomb_is_refused_by_its_header(tmp_path, width, height, words):
    assert width * height > MAX_PIXELS
    (tmp_path / "bomb.png").write_bytes(png_claiming(width, height))
    with quiet_pillow(), pytest.raises(DataError, match=words):
        inspect(tmp_path / "bomb.png")


def test_a_face_box_bomb_is_refused_before_it_is_cut(tmp_path, write_picture):
    with pytest.raises(DataError, match="at most 50 million pixels"):
        inspect(write_picture(tmp_path / "a.png"), crop=(0, 0, 99_999, 99_999))


def test_sixteen_bit_pictures_are_refused_rather_than_clipped(tmp_path):
    Image.fromarray(np.full((8, 8), 40_000, dtype=np.uint16)).save(tmp_path / "a.png")
    with pytest.raises(DataError, match="8 bits a channel; got mode I;16"):
        decode(tmp_path / "a.png", crop=None, size=8)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "CMYK", "1"])
def test_every_usual_kind_of_picture_becomes_rgb(tmp_path, mode):
    name = "a.tif" if mode == "CMYK" else "a.png"
    Image.new("RGB", (30, 20), (255, 255, 255)).convert(mode).save(tmp_path / name)
    pixels = decode(tmp_path / name, crop=None, size=10)
    assert (pixels.shape, pixels.dtype, pixels.min()) == ((10, 10, 3), np.uint8, 255)
    assert inspect(tmp_path / name).width == 30


def test_decoding_crops_first_and_scales_then(tmp_path):
    halves = np.zeros((20, 40, 3), dtype=np.uint8)
    halves[:, 20:] = (10, 20, 30)
    Image.fromarray(halves).save(tmp_path / "a.png")
    right = decode(tmp_path / "a.png", crop=(20.0, 0.0, 20.0, 20.0), size=6)
    assert np.unique(right.reshape(-1, 3), axis=0).tolist() == [[10, 20, 30]]


def test_what_a_box_has_outside_the_picture_is_black(tmp_path):
    Image.new("RGB", (20, 20), "white").save(tmp_path / "a.png")
    pixels = decode(tmp_path / "a.png", crop=(-10, 0, 20, 20), size=20)
    assert pixels[:, :9].max() == 0
    assert pixels[:, 11:].min() == 255


def test_bytes_and_file_are_decoded_alike(tmp_path, write_picture):
    path = write_picture(tmp_path / "a.jpg", side=64)
    np.testing.assert_array_equal(decode(path, crop=None, size=24), decode(path.read_bytes(), crop=None, size=24))


def test_decoding_is_pillow_s_own_bilinear_resize(tmp_path, write_picture):
    path = write_picture(tmp_path / "a.jpg", side=64)
    expected = np.asarray(Image.open(path).convert("RGB").resize((24, 24), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(decode(path, crop=None, size=24), expected)


def test_exif_orientation_is_not_applied_as_labels_are_in_file_pixels(tmp_path):
    picture = Image.new("RGB", (40, 20), "black")
    picture.paste("white", (0, 0, 20, 20))
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", exif=exif)
    assert decode(buffer.getvalue(), crop=None, size=20)[10, 2].tolist() == [255, 255, 255]
