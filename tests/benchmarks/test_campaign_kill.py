"""What the campaigns do with a training's answer; the campaign itself: test_campaigns.py."""

import subprocess

import click
import pytest

from benchmarks import campaign_kill


def training(script):
    """A shell script in a session of its own, as a training is started."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(["sh", "-c", script], text=True, start_new_session=True, **pipes)


def test_a_training_s_answer_is_its_json():
    assert campaign_kill.answer(training("""echo '{"run_id": "r1"}'""")) == {"run_id": "r1"}


def test_a_training_that_fails_is_told_with_its_words():
    with pytest.raises(click.ClickException, match=r"ended with 3: .*no room"):
        campaign_kill.answer(training("echo no room >&2; exit 3"))


def test_a_training_that_never_ends_is_killed_and_told(monkeypatch):
    monkeypatch.setattr(campaign_kill, "LONGEST", 0.2)
    process = training("sleep 60 & wait")
    with process, pytest.raises(click.ClickException, match="had not ended"):
        campaign_kill.answer(process)
    assert process.returncode == -9
