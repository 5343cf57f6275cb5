import numpy as np
import pytest

from emotion_mlflow.data.read import read
from emotion_mlflow.data.sheet import contact_sheet


@pytest.fixture
def manifest(tmp_path, write_npy_face):
    for seed in range(7):
        lnd = [24.0, 24.0, 40.0, 8.0] if seed else [np.nan] * 4
        write_npy_face(tmp_path / "mine", f"{seed}", seed=seed, exp=str(seed), lnd=lnd)
    return read(tmp_path / "mine", cache_dir=None)


def test_the_sheet_is_as_large_as_its_cells(manifest):
    sheet = contact_sheet(manifest, rows=2, columns=3, cell=96)
    assert sheet.width == 3 * (96 + 6) + 6
    assert sheet.height > 2 * 96


def test_a_sheet_with_room_for_more_has_no_empty_rows(manifest):
    one_row, two_rows = (contact_sheet(manifest, rows=rows, columns=7, cell=64) for rows in (1, 9))
    assert one_row.size == two_rows.size


def test_landmarks_are_drawn_where_they_lie_and_only_where_they_are(manifest):
    # the point (24, 24), the middle of the 25th pixel of a face 48 wide, is 24.5 / 48 of the way: 122.5 of 240
    def yellow(place):
        """(x, y) of the middle of what is yellow around that, the cell's first pixel spanning 0 to 1."""
        sheet = np.asarray(contact_sheet(manifest.rows([place]), rows=1, columns=1, cell=240))
        near = slice(6 + 118, 6 + 127)
        red, green, blue = sheet[near, near].transpose(2, 0, 1)
        rows, columns = np.nonzero((red > 225) & (green > 190) & (blue < 60))
        return (118.5 + columns.mean(), 118.5 + rows.mean()) if len(rows) > 4 else None

    assert yellow(1) == pytest.approx((122.5, 122.5), abs=0.3)
    assert yellow(0) is None


def test_labels_change_what_is_written_below(manifest):
    happy, other = (np.asarray(contact_sheet(manifest.rows([row]), rows=1, columns=1, cell=96)) for row in (1, 2))
    assert (happy[6 + 96 :] != other[6 + 96 :]).any()
    assert happy[6 + 96 :].min() < 100
