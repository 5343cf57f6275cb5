"""What a run says of its code and its memory."""

import subprocess
from pathlib import Path

import pytest

from emotion_mlflow.tracking import machine


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A repository with two committed modules, taken for the package."""
    package = tmp_path / "package"
    package.mkdir()
    for name in ("__init__.py", "module.py"):
        (package / name).write_text("x = 1\n")
    for command in ("init -q", "add .", "-c user.name=a -c user.email=a@b commit -qm one"):
        subprocess.run(["git", *command.split()], cwd=tmp_path, check=True)
    monkeypatch.setattr(machine, "PACKAGE", str(package))
    return package


def test_committed_code_is_clean_whatever_else_lies_about(checkout):
    (checkout.parent / "notes.txt").write_text("not code")
    assert machine.code()["git/dirty"] == "false"


@pytest.mark.parametrize("name", ["module.py", "new.py"])
def test_a_changed_module_and_a_new_one_are_dirty(checkout, name):
    (checkout / name).write_text("x = 2\n")
    assert machine.code()["git/dirty"] == "true"


def test_without_a_checkout_nothing_is_called_clean(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "PACKAGE", str(tmp_path))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert machine.code() == {"git/commit": "not a git checkout", "git/dirty": "not a git checkout"}


def test_a_package_installed_below_another_repository_does_not_take_its_commit(checkout, monkeypatch):
    installed = checkout.parent / ".venv" / "package"
    installed.mkdir(parents=True)
    (installed / "__init__.py").touch()
    monkeypatch.setattr(machine, "PACKAGE", str(installed))
    assert machine.code() == {"git/commit": "not a git checkout", "git/dirty": "not a git checkout"}


def test_a_git_that_fails_calls_nothing_clean(checkout):
    (checkout.parent / ".git" / "HEAD").write_text("ref: refs/heads/absent\n")
    (checkout.parent / ".git" / "config").write_text("[status]\nsubmoduleSummary = nonsense\n")
    assert machine.code() == {"git/commit": "unknown", "git/dirty": "unknown"}


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux forgets a peak")
def test_the_peak_of_an_earlier_training_is_not_the_next_one_s():
    machine.forget_peak()  # of the tests before this one
    before = machine.peak_memory()
    held = b"x" * 200_000_000
    assert machine.peak_memory() > before + 150_000_000
    del held
    machine.forget_peak()
    assert machine.peak_memory() < before + 50_000_000
