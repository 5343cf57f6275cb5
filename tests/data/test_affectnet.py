import numpy as np
import pytest

from emotion_mlflow.data.check import check
from emotion_mlflow.data.read import read


def points(*numbers):
    return ";".join(map(str, numbers))


def csv_row(path, **changes):
    row = {
        "subDirectory_filePath": path, "face_x": 0, "face_y": 0, "face_width": 48, "face_height": 48,
        "facial_landmarks": points(10, 12, 30, 32), "expression": 3, "valence": 0.5, "arousal": -0.25,
    }  # fmt: skip
    return row | changes


def test_the_npy_form_gives_a_row_a_face(tmp_path, write_npy_face):
    for seed, stem in enumerate(("7", "12")):
        write_npy_face(tmp_path / "train_set", stem, seed=seed)
    write_npy_face(tmp_path / "val_set", "7", seed=2, exp="0", val="-1.0", lnd=[5.0, 6, 7, 8])
    manifest = read(tmp_path, cache_dir=None)
    assert manifest.table["id"].tolist() == ["train/12", "train/7", "val/7"]
    assert manifest.table["part"].tolist() == ["train", "train", "validation"]
    assert manifest.table["expression"].tolist() == [3, 3, 0]
    assert manifest.table["valence"].tolist() == [0.5, 0.5, -1.0]
    assert manifest.landmarks.tolist() == [[1, 2, 3, 4], [1, 2, 3, 4], [5, 6, 7, 8]]
    assert (manifest.two_parts, len(manifest.rejected)) == (True, 0)


@pytest.mark.parametrize("place", ["", "val_set"])
def test_a_part_alone_is_one_part_and_keeps_its_ids(tmp_path, write_npy_face, place):
    write_npy_face(tmp_path / "val_set", "7", seed=0)
    manifest = read(tmp_path / place, cache_dir=None)
    assert manifest.table[["id", "part"]].to_numpy().tolist() == [["val/7", ""]]
    assert not manifest.two_parts


def test_images_and_annotations_alone_are_a_set(tmp_path, write_npy_face):
    write_npy_face(tmp_path / "mine", "7", seed=0)
    assert read(tmp_path / "mine", cache_dir=None).table["id"].tolist() == ["7"]


@pytest.mark.parametrize(
    ("labels", "task"),
    [
        ({"exp": "8"}, "expression"),
        ({"val": "-2"}, "valence"),
        ({"aro": "nan"}, "arousal"),
        ({"lnd": [np.nan] * 4}, "landmarks"),
    ],
)
def test_a_missing_label_masks_its_task_alone(tmp_path, write_npy_face, labels, task):
    write_npy_face(tmp_path / "mine", "7", seed=0, **labels)
    write_npy_face(tmp_path / "mine", "8", seed=1)
    labelled = read(tmp_path / "mine", cache_dir=None).labelled()
    assert {name: mask.tolist() for name, mask in labelled.items()} == {
        name: [name != task, True] for name in ("expression", "valence", "arousal", "landmarks")
    }


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ({"exp": "42"}, "expected an expression 0-7; got 42 in annotations/bad_exp.npy"),
        ({"val": "3.0"}, "expected valence in -1..1; got 3 in annotations/bad_val.npy"),
        ({"aro": "calm"}, "expected a number for arousal; got 'calm' in annotations/bad_aro.npy"),
        ({"lnd": [1.0, 2, 3]}, "expected an even number of landmark numbers; got 3 in annotations/bad_lnd.npy"),
        ({"lnd": [1.0, 2]}, "expected 4 landmark numbers as the other faces have; got 2"),
        ({"aro": None}, "expected an annotation file; got none there in annotations/bad_aro.npy"),
        (
            {"exp": "9", "val": "-2", "aro": "-2", "lnd": [np.nan] * 4},
            "expected a label for at least one task; got none",
        ),
    ],
)
def test_a_face_at_fault_is_rejected_with_its_reason_and_the_others_stay(tmp_path, write_npy_face, labels, reason):
    for seed, stem in enumerate(("1", "2")):
        write_npy_face(tmp_path / "mine", stem, seed=seed)
    write_npy_face(tmp_path / "mine", "bad", seed=3, **labels)
    manifest = read(tmp_path / "mine", cache_dir=None)
    assert manifest.table["id"].tolist() == ["1", "2"]
    assert manifest.rejected.to_numpy().tolist() == [["images/bad.jpg", -1, reason]]


def test_damaged_pictures_and_strays_are_rejected(tmp_path, write_npy_face):
    mine = tmp_path / "mine"
    for seed, stem in enumerate("abcde"):
        write_npy_face(mine, stem, seed=seed)
    (mine / "images/b.jpg").write_bytes((mine / "images/b.jpg").read_bytes()[:400])
    (mine / "images/c.jpg").write_text("no picture")
    (mine / "images/d.jpg").unlink()
    (mine / "annotations/e_lnd.npy").write_bytes(b"\x93NUMPY\x01\x00")
    manifest = read(mine, cache_dir=None)
    assert manifest.table["id"].tolist() == ["a"]
    reasons = dict(manifest.rejected[["file", "reason"]].to_numpy().tolist())
    assert set(reasons) == {"images/b.jpg", "images/c.jpg", "images/e.jpg", "annotations/d_aro.npy"}
    assert "whole picture" in reasons["images/b.jpg"]
    assert "none of JPEG" in reasons["images/c.jpg"]
    assert "expected a picture d in images; got none" in reasons["annotations/d_aro.npy"]
    assert "annotations/e_lnd.npy" in reasons["images/e.jpg"]


def test_a_second_picture_of_one_id_is_rejected(tmp_path, write_npy_face, write_picture):
    write_npy_face(tmp_path / "mine", "a", seed=0)
    write_picture(tmp_path / "mine/images/a.png", seed=1)
    manifest = read(tmp_path / "mine", cache_dir=None)
    assert len(manifest) == 1
    assert manifest.rejected["reason"].tolist() == ["expected an id of its own; got a, as images/a.jpg has"]


def test_a_kind_of_label_that_the_whole_set_lacks_is_unlabelled_not_missing(tmp_path, write_npy_face):
    write_npy_face(tmp_path / "mine", "a", seed=0, lnd=None)
    manifest = read(tmp_path / "mine", cache_dir=None)
    assert manifest.tasks() == ("expression", "valence", "arousal")
    assert manifest.landmarks.shape == (1, 0)


def test_the_csv_form_crops_and_moves_the_landmarks_along(tmp_path, write_csv, write_picture):
    write_picture(tmp_path / "Manually_Annotated_Images/3/a.jpg", seed=0)
    write_picture(tmp_path / "3/b.png", seed=1)
    write_csv(tmp_path / "training.csv", [csv_row("3/a.jpg", face_x=8, face_y=4, face_width=20, face_height=30)])
    write_csv(tmp_path / "validation.csv", [csv_row("3/b.png")])
    manifest = read(tmp_path, cache_dir=None)
    table = manifest.table
    assert len(manifest.rejected) == 0
    assert table["path"].tolist() == ["Manually_Annotated_Images/3/a.jpg", "3/b.png"]
    assert table[["id", "part"]].to_numpy().tolist() == [["3/a", "train"], ["3/b", "validation"]]
    assert table[["width", "height"]].to_numpy().tolist() == [[20, 30], [48, 48]]
    assert table.loc[0, ["crop_x", "crop_y", "crop_width", "crop_height"]].tolist() == [8, 4, 20, 30]
    assert table.loc[1, ["crop_x", "crop_y", "crop_width", "crop_height"]].isna().all()
    assert manifest.landmarks.tolist() == [[2, 8, 22, 28], [10, 12, 30, 32]]


def test_a_list_without_a_header_is_read_in_the_release_s_order(tmp_path, write_picture):
    for seed, name in enumerate("ab"):
        write_picture(tmp_path / f"{name}.jpg", seed=seed)
    (tmp_path / "validation.csv").write_text("a.jpg,0,0,48,48,1;2,0,0.1,0.2\nb.jpg,0,0,48,48,3;4,1,0.3,0.4\n")
    assert read(tmp_path, cache_dir=None).table["expression"].tolist() == [0, 1]


@pytest.mark.parametrize("code", [8, 9, 10])
def test_unscored_expressions_keep_their_landmarks(tmp_path, write_csv, write_picture, code):
    write_picture(tmp_path / "a.jpg")
    write_csv(tmp_path / "training.csv", [csv_row("a.jpg", expression=code, valence=-2, arousal=-2)])
    assert read(tmp_path, cache_dir=None).tasks() == ("landmarks",)


def test_csv_rows_at_fault_are_rejected_with_their_row(tmp_path, write_csv, write_picture):
    (tmp_path / "set").mkdir()
    write_picture(tmp_path / "secret.jpg")
    for seed, name in enumerate("abc"):
        write_picture(tmp_path / f"set/{name}.jpg", seed=seed)
    (tmp_path / "set/link.jpg").symlink_to(tmp_path / "secret.jpg")
    rows = [
        csv_row("a.jpg"),
        csv_row("../secret.jpg"),
        csv_row(str(tmp_path / "secret.jpg")),
        csv_row("link.jpg"),
        csv_row("gone.jpg"),
        csv_row("a.jpg"),
        csv_row("b.jpg", valence="high"),
        csv_row("c.jpg", face_x=200),
    ]
    manifest = read(write_csv(tmp_path / "set/training.csv", rows).parent, cache_dir=None)
    assert manifest.table["id"].tolist() == ["a"]
    reasons = {row: reason for _, row, reason in manifest.rejected.to_numpy().tolist()}
    assert set(manifest.rejected["file"]) == {"training.csv"}
    assert sorted(reasons) == [3, 4, 5, 6, 7, 8, 9]
    for row in (3, 4, 5):
        assert "expected a path inside the data folder" in reasons[row]
    assert "expected a file; got none there" in reasons[6]
    assert reasons[7] == "expected an id of its own; got a, as training.csv row 2 has"
    assert reasons[8] == "expected a number for valence; got 'high' in b.jpg"
    assert "expected a face box inside the 48 x 48 picture" in reasons[9]


def test_a_face_that_both_lists_have_is_kept_in_both_and_is_a_leak(tmp_path, write_csv, write_picture):
    for seed, name in enumerate("ab"):
        write_picture(tmp_path / f"{name}.jpg", seed=seed)
    write_csv(tmp_path / "training.csv", [csv_row("a.jpg"), csv_row("b.jpg")])
    write_csv(tmp_path / "validation.csv", [csv_row("a.jpg")])
    report = check(read(tmp_path, cache_dir=None))
    assert (report.faces, report.rejected, report.leaks) == (3, 0, 1)


def test_two_boxes_of_one_picture_are_two_faces(tmp_path, write_csv, write_picture):
    write_picture(tmp_path / "pair.jpg")
    boxes = [{"face_x": 0, "face_width": 24}, {"face_x": 24, "face_width": 24}]
    write_csv(tmp_path / "training.csv", [csv_row("pair.jpg", **box) for box in boxes])
    manifest = read(tmp_path, cache_dir=None)
    assert manifest.table["id"].tolist() == ["pair.jpg@0,0,24,48", "pair.jpg@24,0,24,48"]
    assert manifest.table["content_hash"].nunique() == 2


@pytest.mark.slow
def test_the_real_validation_faces_read_alike_in_both_forms(shared, tmp_path):
    """The npy labels were rounded otherwise than the csv's: five units of the csv's fourth decimal."""
    csv_form = read(shared / "data/faces/validation.csv", cache_dir=None)
    npy_form = read(shared / "data/faces_npy", cache_dir=None)
    one = csv_form.table.set_index("id").sort_index()
    two = npy_form.table.set_index("id").sort_index()
    order = [np.argsort(form.table["id"].to_numpy().astype(str)) for form in (csv_form, npy_form)]
    assert len(one) == 1291
    assert one.index.tolist() == two.index.tolist()
    for column in ("expression", "content_hash", "picture_hash", "width", "height"):
        assert one[column].tolist() == two[column].tolist(), column
    for column in ("valence", "arousal"):
        np.testing.assert_allclose(one[column], two[column], atol=5.1e-5)
    np.testing.assert_allclose(csv_form.landmarks[order[0]], npy_form.landmarks[order[1]], atol=0.0051)
    assert len(csv_form.rejected) == len(npy_form.rejected) == 0


def test_a_file_name_that_is_no_text_refuses_that_face_alone(tmp_path, write_npy_face):
    write_npy_face(tmp_path / "train_set", "1", seed=1)
    write_npy_face(tmp_path / "train_set", "\udcff", seed=2)
    manifest = read(tmp_path, cache_dir=None)
    assert manifest.table["id"].tolist() == ["train/1"]
    assert manifest.rejected["file"].tolist() == [r"train_set/images/\udcff.jpg"]
    assert "a file name in UTF-8" in manifest.rejected["reason"][0]
