import contextlib
import io
import pickle
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from emotion_mlflow.data.npy import kept_array, parse_npy, read_label, read_landmarks, read_npy
from emotion_mlflow.errors import DataError


def saved(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def with_shape(shape, descr="<f8", data=b""):
    """An npy file whose header claims what it likes."""
    head = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    head += b" " * (-(len(head) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head + data


@pytest.mark.parametrize(
    ("saved_as", "label"),
    [("-0.176846", "-0.176846"), ("3", "3"), (-0.5, -0.5), (3, 3), (["7"], "7"), (b"2", "2"), ("", "")],
)
def test_a_label_is_one_text_or_number(tmp_path, saved_as, label):
    np.save(tmp_path / "a.npy", np.array(saved_as))
    assert read_label(str(tmp_path / "a.npy")) == label


def test_landmarks_keep_every_bit(tmp_path):
    points = np.linspace(-47, 292, 136)
    np.save(tmp_path / "a.npy", points)
    assert read_landmarks(str(tmp_path / "a.npy")).tolist() == points.tolist()


def test_a_claimed_shape_of_a_terabyte_allocates_nothing():
    tracemalloc.start()
    with pytest.raises(DataError, match="the 8000000000000 bytes its header claims; got 16"):
        parse_npy(with_shape("(1000000, 1000000)", data=b"\0" * 16), where="a.npy")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


def test_a_claimed_text_of_400_megabytes_allocates_nothing():
    with pytest.raises(DataError, match="bytes its header claims"):
        parse_npy(with_shape("()", descr="<U100000000", data=b"\0" * 8), where="a.npy")


class Touch:
    """Unpickling this would leave a file behind."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def test_nothing_is_unpickled(tmp_path):
    trap = tmp_path / "unpickled"
    np.save(tmp_path / "a.npy", np.array(Touch(str(trap)), dtype=object), allow_pickle=True)
    (tmp_path / "b.npy").write_bytes(pickle.dumps(Touch(str(trap))))
    for name in ("a.npy", "b.npy"):
        with pytest.raises(DataError):
            read_npy(str(tmp_path / name))
    assert not trap.exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "got an empty file"),
        (b"\x89PNG not an array at all", "expected an npy file; got other bytes"),
        (saved(np.zeros(136))[:-8], "1088 bytes its header claims; got 1080"),
        (saved(np.zeros(136))[:40], "truncated"),
        (with_shape("(2,)", descr="|O", data=b"\0" * 16), "Python objects"),
        (with_shape("(-1,)"), "another header"),
        (with_shape("(True,)", data=b"\0" * 8), "another header"),
        (with_shape("(0, 9223372036854775808)"), "a shape too large"),
        (with_shape("(0, 4294967296, 4294967296)"), "a shape too large"),
    ],
)
def test_a_damaged_file_says_what_is_wrong(content, words):
    with pytest.raises(DataError, match=words):
        parse_npy(content, where="a.npy")


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("<U1", b"\xff\xff\xff\xff"),
        ("<U1", b"\x00\x00\x11\x00"),
        (">U1", b"\x00\x11\x00\x00"),
        ("<U2", b"a\0\0\0\x00\x00\x11\x00"),
        ("|S1", b"\xff"),
    ],
)
def test_text_that_is_no_unicode_is_refused(tmp_path, kind, data):
    (tmp_path / "a.npy").write_bytes(with_shape("()", descr=kind, data=data))
    with pytest.raises(DataError, match="bytes that are no text"):
        read_label(str(tmp_path / "a.npy"))


def test_a_label_file_of_many_numbers_is_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros(3))
    with pytest.raises(DataError, match=r"expected one label; got an array of shape \(3,\)"):
        read_label(str(tmp_path / "a.npy"))


@settings(deadline=None)  # the machine may be busy
@given(
    hnp.arrays(st.sampled_from(["<f8", "<f4", "<i4", ">f8", "|u1", "<U9"]), hnp.array_shapes(min_dims=0, max_side=4))
)
def test_what_numpy_saves_is_read_alike(array):
    found = parse_npy(saved(array), where="x")
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


@settings(deadline=None)  # the machine may be busy
@given(st.binary(max_size=200), st.integers(0, 127))
def test_random_damage_to_a_file_is_an_array_or_refused(noise, start):
    content = saved(np.array("-0.399"))
    with contextlib.suppress(DataError):
        assert isinstance(parse_npy(content[:start] + noise, where="x"), np.ndarray)


header = st.text(alphabet="{}()[]'\", :<>|=fiUO0123456789LTrueFalsdcphortn_-.", max_size=80)


@settings(deadline=None)  # the machine may be busy
@given(header)
def test_any_header_is_an_array_or_refused(text):
    head = text.encode()
    with contextlib.suppress(DataError):
        parse_npy(b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head + b"\0" * 8, where="x")


@pytest.mark.parametrize("damage", ["other shape", "other order", "cut", "longer", "shifted", "no array"])
def test_a_kept_array_is_the_very_one_or_none(tmp_path, damage):
    array = np.arange(12, dtype=np.uint8).reshape(3, 4)
    file = tmp_path / "kept.npy"
    file.write_bytes(saved(array))
    np.testing.assert_array_equal(kept_array(file, shape=(3, 4), dtype=np.uint8), array)
    whole = saved(array)
    contents = {
        "other shape": saved(array.T.copy()),
        "other order": saved(np.asfortranarray(array)),
        "cut": whole[:-1],
        "longer": whole + b"\0",
        "shifted": whole[:20] + whole[21:] + b"\0",
        "no array": b"PK\x03\x04",
    }
    file.write_bytes(contents[damage])
    assert kept_array(file, shape=(3, 4), dtype=np.uint8) is None
