import math
import warnings

import numpy as np
import pytest

from emotion_mlflow.checkpoints import Checkpoints, State


def state(epoch):
    arrays = {
        "weights/00000": np.full((2, 3), epoch, np.float32),
        "weights/00001": np.array(7, np.int64),
        "optimizer/00000": np.array([0.1, math.inf], np.float64),
    }
    return State(epoch=epoch, arrays=arrays, notes={"history": [{"loss": 0.1 * epoch}], "best_value": -math.inf})


@pytest.fixture
def checkpoints(tmp_path):
    return Checkpoints(tmp_path / "run")


def spoil(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def test_a_state_comes_back_as_it_was(checkpoints):
    checkpoints.save(state(3))
    loaded, damaged = checkpoints.load()
    assert (loaded.epoch, loaded.notes, damaged) == (3, state(3).notes, [])
    assert list(loaded.arrays) == list(state(3).arrays)
    for name, values in state(3).arrays.items():
        np.testing.assert_array_equal(loaded.arrays[name], values)
        assert loaded.arrays[name].dtype == values.dtype


def test_without_a_checkpoint_there_is_none(checkpoints):
    assert checkpoints.load() == (None, [])


def test_the_last_two_are_kept(checkpoints):
    for epoch in (1, 2, 3, 4):
        checkpoints.save(state(epoch))
    assert sorted(file.name for file in checkpoints.folder.iterdir()) == ["epoch-0003.npz", "epoch-0004.npz"]


@pytest.mark.parametrize("damage", ["a flipped bit", "cut short", "empty"])
def test_a_damaged_newest_one_is_told_and_the_one_before_is_taken(checkpoints, damage):
    for epoch in (1, 2):
        checkpoints.save(state(epoch))
    newest = checkpoints.folder / "epoch-0002.npz"
    if damage == "a flipped bit":
        spoil(newest)
    elif damage == "cut short":
        newest.write_bytes(newest.read_bytes()[:-30])
    else:
        newest.write_bytes(b"")
    loaded, damaged = checkpoints.load()
    assert (loaded.epoch, damaged) == (1, [newest])


def test_a_flipped_bit_anywhere_is_noticed_or_harmless(checkpoints):
    checkpoints.save(state(1))
    file = checkpoints.folder / "epoch-0001.npz"
    whole, noticed = file.read_bytes(), 0
    for place in range(len(whole)):
        spoilt = bytearray(whole)
        spoilt[place] ^= 1 << place % 8
        file.write_bytes(spoilt)
        loaded, damaged = checkpoints.load()
        noticed += len(damaged)
        if loaded:  # an archive's dates and padding mean nothing
            assert loaded.notes == state(1).notes
            assert list(loaded.arrays) == list(state(1).arrays)
            for name, values in state(1).arrays.items():
                np.testing.assert_array_equal(loaded.arrays[name], values)
    assert noticed > len(whole) / 2


def test_where_all_are_damaged_all_are_told(checkpoints):
    for epoch in (1, 2):
        checkpoints.save(state(epoch))
    for file in checkpoints.folder.glob("*.npz"):
        spoil(file)
    loaded, damaged = checkpoints.load()
    assert loaded is None
    assert [file.name for file in damaged] == ["epoch-0002.npz", "epoch-0001.npz"]


def test_a_write_that_was_cut_off_is_no_checkpoint(checkpoints):
    checkpoints.save(state(1))
    (checkpoints.folder / "epoch-0002.part").write_bytes(b"PK\x03\x04 half")
    loaded, damaged = checkpoints.load()
    assert (loaded.epoch, damaged) == (1, [])


def test_saving_an_epoch_again_replaces_it(checkpoints):
    checkpoints.save(state(2))
    spoil(checkpoints.folder / "epoch-0002.npz")
    checkpoints.save(state(2))
    assert checkpoints.load()[0].epoch == 2


def test_a_checkpoint_with_pickled_objects_is_not_read(checkpoints):
    checkpoints.save(state(1))
    file = checkpoints.folder / "epoch-0001.npz"
    np.savez(file, notes=np.frombuffer(b"{}", np.uint8), **{"array/x": np.array([{"a": 1}], dtype=object)})
    assert checkpoints.load() == (None, [file])


@pytest.mark.parametrize("name", ["epoch-.npz", "epoch-x.npz", "epoch-00²3.npz"])
def test_a_file_of_another_name_is_no_checkpoint(checkpoints, name):
    checkpoints.save(state(1))
    (checkpoints.folder / "epoch-0001.npz").rename(checkpoints.folder / name)
    assert checkpoints.load() == (None, [])


def test_impossible_sizes_are_damage_without_a_warning(checkpoints):
    checkpoints.save(state(1))
    file = checkpoints.folder / "epoch-0001.npz"
    head = b"{'descr': '|u1', 'fortran_order': True, 'shape': (-1, 1000000, 9223372036854775808, 1000000), }"
    file.write_bytes(b"\x93NUMPY\x02\x00" + len(head).to_bytes(4, "little") + head)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        assert checkpoints.load() == (None, [file])
    assert not [str(each.message) for each in warned]


def test_removed_ones_are_gone_and_removing_again_is_no_fault(checkpoints):
    checkpoints.save(state(1))
    checkpoints.remove()
    checkpoints.remove()
    assert not checkpoints.folder.exists()
