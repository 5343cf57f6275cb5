import importlib.util
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import mlflow
import pytest

from emotion_mlflow import doctor
from emotion_mlflow.models.facts import BACKBONES


def findings(tmp_path, *, uri=None, devices=False):
    found = doctor.examine(tracking_uri=uri, cache_dir=tmp_path / "cache", devices=devices)
    return {finding.name: finding for finding in found}


def store(uri):
    return doctor._tracking(uri)


def test_a_store_that_is_not_there_yet_is_fine_and_is_not_made(tmp_path):
    found = store(f"sqlite:///{tmp_path}/mlflow.db")
    assert (found.state, found.detail) == ("ok", "will be made by the first run")
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_is_there_is_left_as_it_was(tmp_path):
    file = tmp_path / "mlflow.db"
    with sqlite3.connect(file) as connection:
        connection.execute("create table runs (id)")
    connection.close()
    before = file.read_bytes()
    assert store(f"sqlite:///{file}").detail == "can be written"
    assert file.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["mlflow.db"]


def test_the_store_looked_at_is_the_one_that_a_training_would_take(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/shared.db")
    assert f"tracking store sqlite:///{tmp_path}/shared.db" in findings(tmp_path)
    assert f"tracking store sqlite:///{tmp_path}/mine.db" in findings(tmp_path, uri=f"sqlite:///{tmp_path}/mine.db")


def test_a_store_in_a_folder_that_is_not_there_will_be_made_with_it(tmp_path):
    found = store(f"sqlite:///{tmp_path}/absent/mlflow.db")
    assert (found.state, found.detail) == ("ok", "will be made by the first run")
    assert not (tmp_path / "absent").exists()


def test_a_file_that_is_no_database_is_refused(tmp_path):
    (tmp_path / "mlflow.db").write_text("notes " * 100)
    found = store(f"sqlite:///{tmp_path}/mlflow.db")
    assert (found.state, found.detail) == ("fail", "cannot be written: file is not a database")


def test_a_database_that_another_process_holds_is_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "NETWORK_SECONDS", 0.1)
    holder = sqlite3.connect(tmp_path / "mlflow.db", isolation_level=None)
    holder.execute("create table runs (id)")
    holder.execute("begin exclusive")
    found = store(f"sqlite:///{tmp_path}/mlflow.db")
    holder.close()
    assert (found.state, found.detail) == ("fail", "cannot be written: database is locked")


@pytest.mark.parametrize(
    ("uri", "state", "words"),
    [
        pytest.param("./mlruns", "fail", "folder of files", id="folder"),
        pytest.param("file:///tmp/mlruns", "fail", "folder of files", id="file address"),
        pytest.param("sqlite://", "fail", "in memory", id="memory"),
        pytest.param("sqlite:///:memory:", "fail", "in memory", id="named memory"),
        pytest.param("postgresql://me:secret@db/mlflow", "warn", "not postgresql", id="database server"),
        pytest.param("http://[half", "fail", "Invalid IPv6", id="broken address"),
        pytest.param("http://me:secret@[half", "fail", "Invalid IPv6", id="broken address with a password"),
    ],
)
def test_other_stores_are_told_apart(uri, state, words):
    found = store(uri)
    assert (found.state, words in found.detail) == (state, True)
    assert "secret" not in f"{found}"


@pytest.mark.parametrize(
    ("status", "message", "words"),
    [
        pytest.param(403, "Invalid Host header - DNS rebinding?", "refuses the host name ai:5000", id="host"),
        pytest.param(403, "Permission denied", "refuses this user (403)", id="permission"),
        pytest.param(401, "You are not authenticated", "refuses this user (401)", id="password"),
        pytest.param(500, "failed with exception: too many 502 error responses", "answers 502", id="proxy"),
        pytest.param(404, "failed with error code 404 != 200", "not as MLflow does", id="another program"),
    ],
)  # fmt: skip
def test_a_servers_refusal_is_told_in_plain_words(status, message, words):
    detail, advice = doctor._server_trouble("http://me:secret@ai:5000", status=status, message=message)
    assert words in detail
    assert advice
    assert "secret" not in detail + advice


def test_a_backbones_weights_in_keras_cache_are_found_and_the_others_say_what_to_do(tmp_path, monkeypatch):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / BACKBONES["resnet50"].imagenet_file).touch()
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(doctor, "WEIGHTS_HOST", "localhost:9")  # the discard port: nobody answers
    found = {each.name: each for each in doctor._imagenet_weights()}
    assert found["imagenet weights of resnet50"].advice == "--weights imagenet"
    missing = found["imagenet weights of efficientnetb0"]
    assert (missing.state, missing.detail) == ("warn", "not on this machine and not reachable")
    assert missing.advice.startswith("use --weights none or FILE")
    assert set(found) == {f"imagenet weights of {name}" for name in BACKBONES}


def test_a_silent_host_is_given_up_in_time(monkeypatch):
    monkeypatch.setattr(doctor, "NETWORK_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes the connection and says nothing
        started = time.monotonic()
        assert not doctor._reachable(f"127.0.0.1:{silent.getsockname()[1]}")
    assert time.monotonic() - started < 3


@pytest.mark.parametrize("backbone", BACKBONES)
def test_keras_fetches_each_backbone_from_the_host_that_is_asked(backbone):
    keras = Path(importlib.util.find_spec("keras").submodule_search_locations[0])
    defining = re.compile(rf"^def {BACKBONES[backbone].application}\(", re.MULTILINE)
    sources = [path.read_text() for path in (keras / "src/applications").glob("*.py")]
    (source,) = [text for text in sources if defining.search(text)]
    assert f"https://{doctor.WEIGHTS_HOST}/" in source


@pytest.mark.parametrize("programs", [(), ("uv",), ("uv", "pyenv")], ids=["neither", "uv", "uv and pyenv"])
def test_environment_managers_follow_from_the_path(tmp_path, monkeypatch, programs):
    for name in programs:
        (tmp_path / name).write_text("#!/bin/sh\nexit 0\n")  # a pyenv that has every Python
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}")
    monkeypatch.setattr(sys, "executable", f"{tmp_path}/elsewhere/python")
    found = {each.name.removeprefix("mlflow run --env-manager "): each.state for each in doctor._environment_managers()}
    expected = {"uv": "uv", "virtualenv": "pyenv"}
    assert found == {"local": "ok", "conda": "ok"} | {
        manager: "ok" if program in programs else "warn" for manager, program in expected.items()
    }


def test_a_pyenv_without_this_python_warns_of_a_build_from_source(tmp_path, monkeypatch):
    (tmp_path / "pyenv").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "pyenv").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}")
    found = doctor._virtualenv_manager()
    assert found.state == "warn"
    assert "would build it from source" in found.detail


def test_cache_sizes_are_told_by_folder(tmp_path):
    for name, size in {"demo/a/b.bin": 1536, "features/c.bin": 512}.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True)
        file.write_bytes(bytes(size))
    assert doctor._cache_sizes(tmp_path).detail == (
        f"2.0 KiB in {tmp_path}: manifests 0 bytes, pixels 0 bytes, features 512 bytes, demo 1.5 KiB, "
        "checkpoints 0 bytes"
    )


def test_a_full_disk_fails_and_says_where_else(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "NO_DISK", shutil.disk_usage(tmp_path).total)
    found = doctor._disk("disk", tmp_path / "not" / "yet", "elsewhere")
    assert (found.state, found.advice) == ("fail", "elsewhere")


def test_everything_found_has_something_to_type_where_it_is_not_ok(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "NETWORK_SECONDS", 0.5)
    monkeypatch.setenv("PATH", str(tmp_path))  # where no environment manager is
    found = findings(tmp_path, uri=f"sqlite:///{tmp_path}/mlflow.db")
    lacking = [each.advice for each in found.values() if each.state != "ok"]
    assert lacking
    assert all(lacking)
    assert (found["Python"].state, found["packages"].state) == ("ok", "ok")
    assert {"disk of the caches", "disk of the tracking store", "caches"} <= set(found)


@pytest.mark.slow
def test_tensorflow_starts_and_tells_its_devices(tmp_path):
    found = findings(tmp_path, devices=True)["devices"]
    assert found.state == "ok"
    assert f"{os.cpu_count()} CPU cores" in found.detail


@pytest.fixture
def choosy_server(tmp_path):
    """A real server that knows itself as tracking.example only; gives its port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    # fmt: off
    command = [
        sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", f"{port}",
        "--workers", "1", "--allowed-hosts", f"tracking.example,localhost:{port}",
        "--backend-store-uri", f"sqlite:///{tmp_path}/s.db",
    ]
    # fmt: on
    log = tmp_path / "log"
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env=environment, cwd=tmp_path)
    try:
        for _ in range(480):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
                break
            except OSError:
                assert process.poll() is None, log.read_text()
                time.sleep(0.25)
        yield port
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.server
def test_a_server_is_found_under_its_name_and_its_refusal_of_another_is_explained(choosy_server, monkeypatch):
    monkeypatch.setattr(doctor, "NETWORK_SECONDS", 60)  # other tests may keep this machine busy
    found = store(f"http://localhost:{choosy_server}")
    assert (found.state, found.detail) == ("ok", "answers, and takes a run with an artifact")
    refused = store(f"http://127.0.0.1:{choosy_server}")
    assert refused.state == "fail"
    assert refused.detail == f"the server is up, but refuses the host name 127.0.0.1:{choosy_server} (403)"
    assert refused.advice == f"mlflow server --allowed-hosts 127.0.0.1:{choosy_server}"


@pytest.mark.server
def test_a_server_whose_artifacts_cannot_be_written_fails_and_no_run_is_left(choosy_server, tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "NETWORK_SECONDS", 60)
    (tmp_path / "mlartifacts").touch()  # a file where the server wants its folder
    found = store(f"http://localhost:{choosy_server}")
    assert found.state == "fail"
    assert found.detail.startswith("can be read, but not written: ")
    assert "mlflow-artifacts" in found.detail
    with sqlite3.connect(tmp_path / "s.db") as stored:
        assert stored.execute("select lifecycle_stage from runs").fetchall() == [("deleted",)]
    stored.close()


@pytest.mark.server
def test_a_server_whose_experiment_of_doctor_s_was_deleted_gets_it_back(choosy_server, monkeypatch):
    monkeypatch.setattr(doctor, "NETWORK_SECONDS", 60)
    uri = f"http://localhost:{choosy_server}"
    client = mlflow.MlflowClient(uri)
    client.delete_experiment(client.create_experiment("emotion-mlflow-doctor"))
    assert store(uri).state == "ok"


@pytest.mark.server
def test_a_server_that_is_not_there_is_given_up_at_once():
    found = store("http://localhost:9")  # the discard port: nobody answers
    assert (found.state, found.detail) == ("fail", "nothing answers at localhost:9 within 3 s")
