from pathlib import Path

import pytest

from emotion_mlflow.errors import ConfigError
from emotion_mlflow.places import expanded, in_full


def test_a_tilde_is_the_user_s_home(monkeypatch):
    monkeypatch.setenv("HOME", "/somewhere")
    assert expanded("~/faces") == Path("/somewhere/faces")
    assert expanded("faces") == Path("faces")


def test_in_full_starts_at_the_root_and_follows_links_that_lead_somewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to("faces")
    (tmp_path / "ring").symlink_to("ring")
    assert in_full("link") == tmp_path / "faces"
    assert in_full("ring") == tmp_path / "ring"


@pytest.mark.parametrize("path", [expanded, in_full])
def test_a_user_who_is_none_is_told_with_the_flag(path):
    with pytest.raises(ConfigError, match="expected a home folder that is known; got ~nobdy/faces in --data"):
        path("~nobdy/faces", "--data")
