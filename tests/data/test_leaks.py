from dataclasses import replace

import numpy as np
import pytest

from emotion_mlflow.data.leaks import NEAR, crossing_identities, find_twins, leaking, leaks
from emotion_mlflow.data.pictures import NO_PICTURE_HASH
from emotion_mlflow.data.read import read


def hashes(*numbers):
    return np.array(numbers, dtype=np.uint64)


def names(count):
    return [f"content {i}" for i in range(count)]


def flip(value, *bits):
    for bit in bits:
        value ^= 1 << bit
    return value


def twins_of(manifest):
    return find_twins(manifest.table["content_hash"], manifest.table["picture_hash"].to_numpy())


BASE, FAR = 0x123456789ABCDEF1, 0xF0F0F0F0F0F0F0F1


def test_equal_content_and_near_hashes_are_one_group():
    near = flip(BASE, 0, 20, 40, 63)
    twins = find_twins(["a", "b", "a", "c"], hashes(BASE, near, BASE, FAR))
    groups = twins.groups()
    assert groups[0] == groups[1] == groups[2] != groups[3]
    assert twins.distance.tolist() == [4]


def test_one_bit_more_than_the_distance_is_not_near():
    beyond = flip(BASE, 0, 15, 30, 45, 60)
    assert len(find_twins(names(2), hashes(BASE, beyond)).first) == 0
    assert len(find_twins(names(2), hashes(BASE, beyond), distance=5).first) == 1


@pytest.mark.parametrize("distance", [0, 1, 2, 4, 7])
def test_no_near_pair_is_missed(distance):
    """Against every pair compared with every other."""
    rng = np.random.default_rng(distance)
    seeds = rng.integers(1, 2**63, 40, dtype=np.uint64)
    values = np.repeat(seeds, 5)
    for _ in range(3):
        values[rng.random(200) < 0.8] ^= np.uint64(1) << np.uint64(rng.integers(0, 64))
    values = np.unique(values)
    apart = np.bitwise_count(values[:, None] ^ values[None])
    expected = {(i, j) for i, j in np.argwhere(apart <= distance) if i < j}
    twins = find_twins(names(len(values)), values, distance=distance)
    assert set(zip(twins.first.tolist(), twins.second.tolist(), strict=True)) == expected


def test_flat_pictures_are_twins_only_where_their_bytes_are():
    twins = find_twins(["a", "b", "b", "c"], hashes(*[NO_PICTURE_HASH] * 4))
    groups = twins.groups()
    assert groups[1] == groups[2]
    assert len(set(groups.tolist())) == 3


def test_a_pattern_too_common_to_mean_anything_is_left_out_and_counted():
    crowd = [flip(BASE, bit, other) for bit in range(45) for other in range(bit)]
    twins = find_twins(names(len(crowd) + 2), hashes(*crowd, FAR, flip(FAR, 3)))
    assert len(crowd) == 990  # each near all others: 489,555 pairs
    assert twins.crowded > 900
    assert len(twins.first) < 1000
    groups = twins.groups()
    assert groups[-1] == groups[-2]
    assert len(set(groups.tolist())) > 900


def test_nothing_to_compare_is_no_fault():
    twins = find_twins([], hashes())
    assert (twins.nodes, len(twins.groups())) == (0, 0)


def test_leaks_are_the_twins_across_parts(make_manifest):
    part = ["train", "validation", "train", "validation", "train"]
    manifest = make_manifest(
        [0] * 5,
        part=part,
        content_hash=["a", "a", "b", "c", "d"],
        picture_hash=hashes(BASE, BASE, FAR, flip(FAR, 5, 9), flip(FAR, 5, 9, 33)),
    )
    found = leaks(manifest, twins_of(manifest))
    assert found.to_numpy().tolist() == [
        ["00001", "00000", "validation", "train", "exact", 0],
        ["00003", "00004", "validation", "train", "near", 1],
        ["00003", "00002", "validation", "train", "near", 2],
    ]


def test_leaks_of_a_cut_set_are_across_its_splits(make_manifest):
    manifest = make_manifest([0] * 3, content_hash=["a", "a", "a"], picture_hash=hashes(BASE, BASE, BASE))
    assert len(leaks(manifest, twins_of(manifest))) == 0
    cut = replace(manifest, table=manifest.table.assign(split=["train", "val", "test"]))
    pairs = leaks(cut, twins_of(cut))[["id", "other_id", "split", "other_split"]].to_numpy().tolist()
    assert pairs == [
        ["00001", "00000", "val", "train"],
        ["00002", "00000", "test", "train"],
        ["00002", "00001", "test", "val"],
    ]


def test_a_set_that_names_its_val_faces_leaks_from_train_to_val_before_any_cut(make_manifest):
    manifest = make_manifest(
        [0] * 4,
        part=["train", "train", "validation", "train"],
        split=["", "val", "", "val"],
        content_hash=["a", "a", "a", "b"],
        picture_hash=hashes(BASE, BASE, BASE, FAR),
        identity=["", "ann", "", "ann"],
    )
    found = leaks(manifest, twins_of(manifest))
    assert found[["split", "other_split"]].to_numpy().tolist() == [["val", "train"], ["test", "train"], ["test", "val"]]
    assert crossing_identities(manifest) == []


def test_an_identity_in_the_set_s_own_train_and_val_faces_crosses(make_manifest):
    part, split = ["train", "train", "validation"], ["", "val", ""]
    manifest = make_manifest([0] * 3, part=part, split=split, identity=["ann", "ann", "bob"])
    assert crossing_identities(manifest) == ["ann"]


def test_a_picture_that_is_there_hundreds_of_times_lists_each_face_once_or_twice(make_manifest):
    part = ["train"] * 300 + ["validation"] * 100
    manifest = make_manifest([0] * 400, part=part, content_hash="a", picture_hash=np.uint64(BASE))
    found = leaks(manifest, twins_of(manifest))
    assert found["id"].nunique() == 100
    assert found["other_id"].nunique() == 300
    assert len(found) < 400


def test_leaking_are_the_faces_outside_that_have_a_twin_inside(make_manifest):
    manifest = make_manifest([0] * 4, picture_hash=hashes(BASE, flip(BASE, 1), flip(BASE, 1, 20, 21, 22, 40), FAR))
    held_out = np.array([True, False, False, False])
    assert leaking(held_out, twins_of(manifest)).tolist() == [False, True, False, False]


def test_identities_that_cross_the_parts_are_named(make_manifest):
    part = ["train", "validation", "train", "train", "validation"]
    manifest = make_manifest([0] * 5, part=part, identity=["ann", "ann", "bob", "", ""])
    assert crossing_identities(manifest) == ["ann"]


@pytest.mark.slow
def test_the_real_validation_faces_have_their_training_twins_found(shared):
    """Judged by eye: all 65 pairs show one picture; 24 validation faces have a twin within 2 bits, 40 within 4."""
    manifest = read(shared / "data/faces", cache_dir=None)
    found = leaks(manifest, twins_of(manifest))
    assert NEAR == 4
    assert set(zip(found["split"], found["other_split"], strict=True)) == {("validation", "train")}
    assert 20 <= found[found["distance"] <= 2]["id"].nunique() <= 28
    assert 36 <= found["id"].nunique() <= 44
    assert crossing_identities(manifest) == []
