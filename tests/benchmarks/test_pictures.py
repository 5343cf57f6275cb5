"""Every picture in the README and the documents is drawn by a program of ours, from drawn faces only."""

import re
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from benchmarks import pictures, power_compare
from emotion_mlflow.config import DataConfig

HOUSE = Path(__file__).parents[2]
PAGES = [HOUSE / "README.md", *sorted((HOUSE / "docs").glob("*.md"))]
LINK = re.compile(r"!\[[^\]]*\]\(([^)\s]+)|<img[^>]*src=[\"']([^\"']+)")


def linked():
    """Every picture that a page shows."""
    found = {page: LINK.findall(page.read_text()) for page in PAGES}
    return {(page.parent / (one or other)).resolve() for page, hits in found.items() for one, other in hits}


def test_every_picture_of_a_page_is_one_that_make_pictures_draws():
    names = {*pictures.NAMES, power_compare.PICTURE.name}  # the last one has curves, of simulated faces
    assert linked() == {pictures.IMAGES / name for name in names}
    assert {file.name for file in pictures.IMAGES.iterdir()} == names


def test_make_pictures_writes_every_one_of_them_from_the_demo_alone(tmp_path, monkeypatch):
    """The program itself, without a browser: what it runs, and what it writes."""
    commands, shot = [], []
    monkeypatch.setattr(pictures, "IMAGES", tmp_path)
    monkeypatch.setattr(pictures, "_shoot", lambda browser, name: shot.append(name))
    monkeypatch.setattr(pictures, "_wait_for", lambda browser, text: None)
    monkeypatch.setattr(pictures, "_first_training", lambda folder: "run")
    monkeypatch.setattr(pictures, "chromium", lambda profile, *, width, height: NOTHING)
    monkeypatch.setattr(pictures, "_ui", lambda folder: NOTHING)
    monkeypatch.setattr(pictures.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(subprocess, "run", lambda command, **_: commands.append(command[1:]))
    pictures.main.callback(store=None)
    assert shot == list(pictures.NAMES)
    assert commands == [["-m", "emotion_mlflow", "demo"]]  # which has no --data: it trains on the drawn faces


def test_an_earlier_demos_folder_with_runs_of_other_faces_is_refused():
    pictures.require_drawn([DataConfig().data, "demo"])
    with pytest.raises(pictures.click.ClickException, match="drawn faces alone; got /faces"):
        pictures.require_drawn(["demo", "/faces"])


@pytest.mark.parametrize("name", pictures.NAMES)
def test_a_picture_is_a_whole_screen(name):
    with Image.open(pictures.IMAGES / name) as picture:
        assert picture.width == pictures.WIDTH


class _Nothing:
    """A browser or a server that does nothing."""

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None

    def get(self, address):
        """Nothing."""

    def execute_script(self, script):
        """Nothing."""


NOTHING = _Nothing()
