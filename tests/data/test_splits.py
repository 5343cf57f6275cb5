import numpy as np
import pytest

from emotion_mlflow.data.leaks import find_twins, leaks
from emotion_mlflow.data.splits import cut
from emotion_mlflow.errors import DataError


def twins_of(manifest):
    return find_twins(manifest.table["content_hash"], manifest.table["picture_hash"].to_numpy())


def counts(manifest):
    return manifest.table["split"].value_counts().to_dict()


def ids(manifest, split):
    return set(manifest.split(split).table["id"])


MIXED = [0] * 200 + [1] * 100 + [2] * 60 + [-1] * 40  # 400 faces, 40 without expression


def test_one_part_is_cut_80_10_10(make_manifest):
    assert counts(cut(make_manifest(MIXED), split_seed=0)) == {"train": 320, "val": 40, "test": 40}


def test_cuts_are_stratified_by_expression_and_no_label_is_a_stratum(make_manifest):
    whole = cut(make_manifest(MIXED), split_seed=0)
    for name in ("val", "test"):
        found = whole.split(name).table["expression"].value_counts().to_dict()
        assert found == {0: 20, 1: 10, 2: 6, -1: 4}


def test_the_set_s_own_validation_part_is_test_and_val_comes_from_train(make_manifest):
    manifest = make_manifest(MIXED + [0] * 50, part=["train"] * 400 + ["validation"] * 50)
    whole = cut(manifest, split_seed=0)
    assert counts(whole) == {"train": 360, "val": 40, "test": 50}
    assert ids(whole, "test") == {f"{i:05d}" for i in range(400, 450)}


def test_published_takes_the_held_out_part_as_it_is(make_manifest):
    manifest = make_manifest(MIXED + [0] * 50, part=["train"] * 400 + ["validation"] * 50)
    assert counts(cut(manifest, split_seed=0, selected_on_test=True)) == {"train": 400, "test": 50}


def test_published_cuts_one_part_80_20_and_its_test_holds_the_usual_val_and_test(make_manifest):
    manifest = make_manifest(MIXED)
    usual, published = cut(manifest, split_seed=3), cut(manifest, split_seed=3, selected_on_test=True)
    assert counts(published) == {"train": 320, "test": 80}
    assert ids(published, "test") == ids(usual, "test") | ids(usual, "val")


def test_val_faces_that_the_set_names_are_kept(make_manifest):
    part, split = ["train"] * 8 + ["validation"] * 2, ["", "val"] * 4 + ["", ""]
    whole = cut(make_manifest([0] * 10, part=part, split=split), split_seed=0)
    assert ids(whole, "val") == {"00001", "00003", "00005", "00007"}
    published = cut(make_manifest([0] * 10, part=part, split=split), split_seed=0, selected_on_test=True)
    assert counts(published) == {"train": 8, "test": 2}


def test_one_seed_gives_one_cut_and_another_another(make_manifest):
    manifest = make_manifest(MIXED)
    first, again, other = (cut(manifest, split_seed=seed) for seed in (0, 0, 1))
    assert first.table.equals(again.table)
    assert ids(first, "test") != ids(other, "test")


def test_a_cut_does_not_depend_on_the_order_of_the_files(make_manifest):
    manifest = make_manifest(MIXED)
    shuffled = manifest.rows(np.random.default_rng(5).permutation(len(manifest)))
    for options in ({}, {"limit": 30}, {"selected_on_test": True}):
        one, two = (cut(each, split_seed=0, twins=twins_of(each), **options) for each in (manifest, shuffled))
        assert ids(one, "test") == ids(two, "test")
        assert ids(one, "train") == ids(two, "train")


def test_no_identity_lies_in_two_splits(make_manifest):
    identity = [f"person {i % 50}" for i in range(300)] + [""] * 100
    whole = cut(make_manifest(MIXED, identity=identity), split_seed=0)
    known = whole.table[whole.table["identity"] != ""]
    assert (known.groupby("identity")["split"].nunique() == 1).all()
    assert {name: pytest.approx(count, abs=6) for name, count in counts(whole).items()} == {
        "train": 320,
        "val": 40,
        "test": 40,
    }


def test_no_twin_lies_in_two_splits_even_through_an_identity(make_manifest):
    content = [f"{i // 2:032x}" for i in range(400)]  # every picture twice, side by side
    picture = np.random.default_rng(0).integers(1, 2**63, 200, dtype=np.uint64).repeat(2)
    identity = ["" if i % 4 else f"person {i // 40}" for i in range(400)]
    manifest = make_manifest(MIXED, content_hash=content, picture_hash=picture, identity=identity)
    apart, together = cut(manifest, split_seed=0), cut(manifest, split_seed=0, twins=twins_of(manifest))
    assert len(leaks(apart, twins_of(apart))) > 0
    assert len(leaks(together, twins_of(together))) == 0
    people = together.table[together.table["identity"] != ""].groupby("identity")["split"].nunique()
    assert (people == 1).all()


def test_dropping_leaks_leaves_out_the_training_twins_of_test_faces(make_manifest):
    picture = np.random.default_rng(0).integers(1, 2**63, 22, dtype=np.uint64)
    picture[[3, 4]] = picture[20]  # two training faces that show the first test face
    manifest = make_manifest([0] * 22, part=["train"] * 20 + ["validation"] * 2, picture_hash=picture)
    whole = cut(manifest, split_seed=0, twins=twins_of(manifest), drop_leaks=True)
    assert {f"{i:05d}" for i in range(22)} - set(whole.table["id"]) == {"00003", "00004"}
    assert len(leaks(whole, twins_of(whole))) == 0


def test_dropping_leaks_leaves_out_the_training_twins_of_the_set_s_own_val_faces(make_manifest):
    picture = np.random.default_rng(0).integers(1, 2**63, 12, dtype=np.uint64)
    picture[[2, 3]] = picture[8]  # two training faces that show the first val face
    part, split = ["train"] * 10 + ["validation"] * 2, [""] * 8 + ["val"] * 2 + [""] * 2
    manifest = make_manifest([0] * 12, part=part, split=split, picture_hash=picture)
    whole = cut(manifest, split_seed=0, twins=twins_of(manifest), drop_leaks=True)
    assert {f"{i:05d}" for i in range(12)} - set(whole.table["id"]) == {"00002", "00003"}
    assert len(leaks(whole, twins_of(whole))) == 0


def test_dropping_leaks_needs_the_twins(make_manifest):
    with pytest.raises(DataError, match="expected twins to drop leaks by; got none"):
        cut(make_manifest([0] * 20), split_seed=0, drop_leaks=True)


def test_a_limit_keeps_so_many_faces_a_split_stratified(make_manifest):
    whole = cut(make_manifest(MIXED), split_seed=0, limit=20)
    assert counts(whole) == {"train": 20, "val": 20, "test": 20}
    assert whole.split("train").table["expression"].value_counts().to_dict() == {0: 10, 1: 5, 2: 3, -1: 2}


def test_a_limit_moves_no_face_to_another_split_and_a_larger_one_holds_the_smaller(make_manifest):
    manifest = make_manifest(MIXED)
    whole, small, large = (cut(manifest, split_seed=0, limit=limit) for limit in (None, 10, 30))
    for name in ("train", "val", "test"):
        assert ids(small, name) < ids(large, name) <= ids(whole, name)


def test_small_classes_reach_every_split_of_a_small_set(make_manifest):
    """20 faces of 8 classes: a tenth of each class is less than a face, a tenth of all is two."""
    assert counts(cut(make_manifest([i % 8 for i in range(20)]), split_seed=0)) == {"train": 16, "val": 2, "test": 2}


@pytest.mark.parametrize(
    ("faces", "part", "identity", "words"),
    [
        (3, "", "", "expected at least one (val|test) face; got none of 3 in tiny"),
        (40, "", "one person", "expected at least one (train|val|test) face; got none of 40"),
        (40, ["validation"] * 40, "", "expected at least one train face"),
    ],
)
def test_an_empty_split_is_an_error(make_manifest, faces, part, identity, words):
    with pytest.raises(DataError, match=words):
        cut(make_manifest([0] * faces, part=part, identity=identity), split_seed=0)


def test_a_limit_of_nothing_is_an_error(make_manifest):
    with pytest.raises(DataError, match="expected a limit of at least 1 face; got 0"):
        cut(make_manifest(MIXED), split_seed=0, limit=0)
