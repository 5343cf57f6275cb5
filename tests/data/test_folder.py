import os

import pytest

from emotion_mlflow.data.folder import Folder, Watch
from emotion_mlflow.errors import DataError

WATCH = Watch(directories=("images",), suffixes=(".jpg",), tables=("faces.csv",))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "set/images").mkdir(parents=True)
    (tmp_path / "set/images/a.jpg").write_bytes(b"a")
    (tmp_path / "set/faces.csv").write_text("path\n")
    (tmp_path / "secret.jpg").write_bytes(b"s")
    return tmp_path / "set"


def test_a_path_is_found_and_cleaned(folder):
    assert Folder(folder).locate("./images//a.jpg") == "images/a.jpg"


@pytest.mark.parametrize(
    "path", ["../secret.jpg", "images/../../secret.jpg", "/etc/passwd", "C:\\x.jpg", "..\\secret.jpg"]
)
def test_a_path_that_leaves_the_folder_is_refused(folder, path):
    with pytest.raises(DataError, match="expected a path inside the data folder"):
        Folder(folder).locate(path)


def test_a_link_out_of_the_folder_is_refused(folder):
    (folder / "images/out.jpg").symlink_to(folder.parent / "secret.jpg")
    (folder / "away").symlink_to(folder.parent)
    for path in ("images/out.jpg", "away/secret.jpg"):
        with pytest.raises(DataError, match="inside the data folder; got a link to"):
            Folder(folder).locate(path)


def test_a_link_within_the_folder_is_followed(folder):
    (folder / "images/b.jpg").symlink_to(folder / "images/a.jpg")
    assert Folder(folder).locate("images/b.jpg") == "images/b.jpg"


@pytest.mark.parametrize("path", ["images/none.jpg", "none/a.jpg", "images", "", "images/a.jpg/x", "a\0b"])
def test_a_path_without_a_file_is_refused(folder, path):
    with pytest.raises(DataError, match="expected a file; got none there"):
        Folder(folder).locate(path)


def test_the_signature_is_the_same_for_untouched_files(folder):
    assert Folder(folder).signature(WATCH) == Folder(folder).signature(WATCH)


@pytest.mark.parametrize("change", ["size", "time", "new", "gone", "table"])
def test_the_signature_changes_with(folder, change):
    before = Folder(folder).signature(WATCH)
    picture = folder / "images/a.jpg"
    if change == "size":
        status = picture.stat()
        picture.write_bytes(b"ab")
        os.utime(picture, ns=(status.st_atime_ns, status.st_mtime_ns))
    elif change == "time":
        os.utime(picture, ns=(0, picture.stat().st_mtime_ns + 1))
    elif change == "new":
        (folder / "images/b.jpg").write_bytes(b"b")
    elif change == "gone":
        picture.unlink()
    else:
        (folder / "faces.csv").write_text("path,id\n")
    assert Folder(folder).signature(WATCH) != before


def test_files_of_other_kinds_leave_the_signature_alone(folder):
    before = Folder(folder).signature(WATCH)
    (folder / "images/mlflow.db").write_bytes(b"x")
    assert Folder(folder).signature(WATCH) == before


def test_a_folder_that_no_longer_leads_outside_changes_the_signature(folder):
    watch = Watch(directories=("away",), suffixes=(".jpg",))
    (folder / "away").symlink_to(folder.parent)
    before = Folder(folder).signature(watch)
    (folder / "away").unlink()
    assert Folder(folder).signature(watch) != before
