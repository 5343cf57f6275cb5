import json

import numpy as np
import pytest

from emotion_mlflow.data.check import check, check_rejected
from emotion_mlflow.data.read import read
from emotion_mlflow.errors import DataError


def test_the_report_counts_faces_classes_and_labels(make_manifest):
    part = ["train", "train", "train", "validation"]
    manifest = make_manifest([0, 1, -1, 1], part=part, valence=[0.5, np.nan, -1.0, 0.0], landmark_width=4, rejected=2)
    report = check(manifest).to_dict()
    assert (report["name"], report["faces"], report["rejected"], report["landmark_width"]) == ("tiny", 4, 2, 4)
    assert report["reasons"][0] == {"file": "0.jpg", "row": -1, "reason": "expected a face; got a cat"}
    train = report["splits"]["train"]
    assert train["faces"] == 3
    assert {name: count for name, count in train["classes"].items() if count} == {"neutral": 1, "happy": 1}
    assert train["labelled"] == {"expression": 2, "valence": 2, "arousal": 3, "landmarks": 3}
    assert report["splits"]["validation"]["faces"] == 1
    assert report["ranges"]["valence"] == [-1.0, 0.5]
    assert report["ranges"]["landmarks"] == [5.0, 5.0]


def test_a_set_of_one_part_is_counted_whole_until_it_is_cut(make_manifest):
    assert list(check(make_manifest([0, 1])).splits) == ["all"]
    cut = make_manifest([0, 1, 2], split=["test", "val", "train"])
    assert list(check(cut).splits) == ["train", "val", "test"]


def test_a_set_that_names_its_val_faces_is_counted_by_its_three_splits(make_manifest):
    part, split = ["train"] * 3 + ["validation"], ["", "", "val", ""]
    report = check(make_manifest([0] * 4, part=part, split=split, content_hash=["a", "b", "a", "c"]))
    assert {name: counts["faces"] for name, counts in report.splits.items()} == {"train": 2, "val": 1, "test": 1}


def test_tasks_are_those_with_labels_on_every_side_that_learns_or_chooses(make_manifest):
    # valence is labelled for the held-out face only, landmarks for every face
    train_and_held_out = {"part": ["train", "train", "validation"], "valence": [np.nan, np.nan, 0.5]}
    known = make_manifest([0, 1, 2], landmark_width=4, **train_and_held_out)
    assert known.tasks() == ("expression", "arousal", "landmarks")
    assert make_manifest([0, -1, 2], split=["", "val", ""], **train_and_held_out).tasks() == ("arousal",)
    assert make_manifest([-1, -1, 2], valence=np.nan).tasks() == ("expression", "arousal")


def test_duplicates_and_leaks_are_counted_apart(make_manifest):
    part = ["train", "train", "validation", "validation", "train"]
    picture = np.array([7 << 40, 7 << 40, 7 << 40, (7 << 40) + 1, (1 << 63) + 255], dtype=np.uint64)
    manifest = make_manifest([0] * 5, part=part, content_hash=["a", "a", "a", "b", "c"], picture_hash=picture)
    report = check(manifest)
    assert report.duplicates == {"exact": 2, "near": 1, "crowded": 0}
    assert report.leaks == 2
    assert [pair["kind"] for pair in report.leak_pairs] == ["exact", "exact", "near", "near"]


def test_every_leak_is_listed_however_many_there_are(make_manifest):
    part = ["train"] * 60 + ["validation"] * 60
    manifest = make_manifest([0] * 120, part=part, content_hash=[f"{face % 60}" for face in range(120)])
    twice = manifest.table["picture_hash"].to_numpy()[:60]
    manifest.table["picture_hash"] = np.tile(twice, 2)
    report = check(manifest)
    assert (report.leaks, len(report.leak_pairs)) == (60, 60)
    assert report.leak_pairs[0] | {"distance": 0} == report.leak_pairs[0]


def test_the_report_is_json_as_it_stands(make_manifest):
    manifest = make_manifest(
        [0, 0], part=["train", "validation"], content_hash="a", picture_hash=np.uint64(9), rejected=1
    )
    report = check(manifest).to_dict()
    assert json.loads(json.dumps(report, allow_nan=False)) == report


def test_unlabelled_ranges_are_absent_rather_than_made_up(make_manifest):
    assert check(make_manifest([0, 1], valence=np.nan)).ranges["valence"] is None


@pytest.mark.parametrize(("rejected", "share"), [(0, 0.0), (1, 0.01), (50, 0.5)])
def test_as_many_rejected_faces_as_allowed_pass(make_manifest, rejected, share):
    check_rejected(make_manifest([0] * (100 - rejected), rejected=rejected), share, data="tiny")


def test_faces_without_any_label_are_no_fault(tmp_path, write_csv, write_picture):
    write_picture(tmp_path / "a.png")
    rows = [{"id": number, "path": "a.png", "expression": 9 if number else 1} for number in range(10)]
    manifest = read(write_csv(tmp_path / "mine.csv", rows), cache_dir=None)
    assert len(manifest.rejected) == 9
    check_rejected(manifest, 0.0, data="mine.csv")


def test_more_rejected_faces_than_allowed_stop_with_count_reason_and_list(make_manifest):
    with pytest.raises(DataError) as error:
        check_rejected(make_manifest([0] * 98, rejected=2), 0.01, data="my faces/list.csv")
    message = str(error.value)
    assert "expected at most 0.01 of the faces rejected" in message
    assert "got 2 of 100 (0.02), the first: 0.jpg: expected a face; got a cat" in message
    assert "emotion-mlflow data check 'my faces/list.csv' --json" in message  # what was typed, not its folder
