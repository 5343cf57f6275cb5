"""A training whose disk is full: one line, nothing corrupt, and it goes on when there is room."""

import json
import os
import subprocess

import mlflow
import pytest

pytestmark = pytest.mark.slow


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 4 MB: room for the journal, none for a checkpoint (5 MB)."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small file system")
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", place], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def test_faces_that_the_disk_cannot_hold_are_one_line_and_end_the_run(store, small_disk, tmp_path, command, faces):
    flags = ["--backbone", "mobilenetv3small", "--weights", "none", "--image-size", "320"]  # 12 MB
    done = command("train", *flags, "--data", faces, "--cache-dir", small_disk, "--tracking-uri", store, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: expected room on the disk for 0.0123 GB of decoded faces")
    client = mlflow.MlflowClient(store)
    (run,) = client.search_runs([client.get_experiment_by_name("emotion").experiment_id])
    assert run.info.status == "FAILED"


def test_a_full_disk_is_one_line_and_the_run_can_go_on_when_there_is_room(store, small_disk, tmp_path, command, faces):
    flags = [
        "--backbone",
        "mobilenetv3small",
        "--weights",
        "none",
        "--recipe",
        "improved",
        "--epochs",
        "2",
        "--image-size",
        "32",
    ]
    places = ["--data", faces, "--cache-dir", small_disk, "--tracking-uri", store]
    full = command("train", *flags, *places, cwd=tmp_path)
    assert full.returncode == 2, full.stderr
    last = full.stderr.splitlines()[-1]
    assert last.startswith("error: expected room on the disk; got none left in ")
    assert "Traceback" not in full.stderr
    client = mlflow.MlflowClient(store)
    (run,) = client.search_runs([client.get_experiment_by_name("emotion").experiment_id])
    assert run.info.status == "FAILED"
    assert run.data.tags["error"] == last.removeprefix("error: ")
    assert list(small_disk.glob("**/*.part")) == []
    subprocess.run(["mount", "-o", "remount,size=200m", small_disk], check=True)
    again = command("train", "--resume", run.info.run_id, *places[2:], "--json", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["model_version"] == "1"
    assert client.get_run(run.info.run_id).info.status == "FINISHED"
    assert [each.step for each in client.get_metric_history(run.info.run_id, "train/loss")] == [1, 2]
