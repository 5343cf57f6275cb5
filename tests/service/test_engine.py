import os
import socket
import tarfile
from unittest import mock

import pytest
import requests

import docker
from emotion_mlflow.errors import ConfigError, StackError
from emotion_mlflow.service import engine
from emotion_mlflow.service.compose import Build


@pytest.fixture
def listener(tmp_path):
    """A socket that something listens on."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "docker.sock"))
        listening.listen()
        yield tmp_path / "docker.sock"


@pytest.fixture
def nobody():
    """Root may use every socket, so root becomes nobody meanwhile."""
    user = os.geteuid()
    if not user:
        os.seteuid(65534)
    yield
    os.seteuid(user)


def test_no_engine_is_told_in_one_line(tmp_path):
    with pytest.raises(StackError, match=r"expected a Docker engine; got No such file .*DOCKER_HOST") as raised:
        engine.connect(f"unix://{tmp_path}/docker.sock")
    assert "\n" not in str(raised.value)


def test_an_engine_that_is_stopped_is_told_with_how_to_start_it(listener):
    address = f"unix://{listener}"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(listener.with_name("dead.sock")))
    with pytest.raises(StackError, match="systemctl start docker"):
        engine.connect(address.replace("docker.sock", "dead.sock"))


def test_an_engine_that_takes_connections_and_never_answers_is_told(listener, monkeypatch):
    monkeypatch.setattr(engine, "ANSWER_SECONDS", 0.2)
    with pytest.raises(StackError, match=r"expected a Docker engine; got .*timed out"):
        engine.connect(f"unix://{listener}")


@pytest.mark.parametrize("address", ["tcp://x:y:z", "foo", "http://"])
def test_an_address_that_is_none_is_told(address):
    with pytest.raises(StackError, match=rf"expected a Docker engine; got .* in {address}"):
        engine.connect(address)


def test_a_user_who_may_not_use_the_engine_is_told_so(listener, nobody):
    with pytest.raises(StackError, match=r"permission denied .*group docker"):
        engine.connect(f"unix://{listener}")


def test_DOCKER_HOST_names_the_engine(tmp_path, monkeypatch):  # noqa: N802  the variable's name
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/elsewhere.sock")
    with pytest.raises(StackError, match=r"elsewhere\.sock"):
        engine.connect()


def test_the_context_of_a_build_is_its_folder_with_the_wheels_and_without_secrets(tmp_path):
    folder, wheels = tmp_path / "server", tmp_path / "wheelhouse"
    for each in (folder, folder / "secrets", wheels):
        each.mkdir()
    (folder / "Dockerfile").write_text("FROM scratch\n")
    (folder / "secrets" / "key").write_text("hidden")
    (wheels / "one-1-py3-none-any.whl").write_bytes(b"")
    (wheels / "notes.txt").write_bytes(b"")
    with engine._context(folder, wheels) as packed, tarfile.open(fileobj=packed) as tar:
        assert tar.getnames() == ["Dockerfile", "wheels/one-1-py3-none-any.whl"]


def test_a_folder_without_wheels_is_refused_and_not_taken_for_none_wanted(tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    how = Build(context=tmp_path, arguments={})
    with pytest.raises(ConfigError, match=r"expected a folder of wheels; got none there in .*absent"):
        engine.build(None, "an/image:1", how, wheels=tmp_path / "absent")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (docker.errors.APIError("500", explanation="the network has\nactive endpoints"), "got active endpoints"),
        (docker.errors.NotFound("404", explanation="No such container: x"), "got No such container: x"),
        (requests.ConnectionError("Connection aborted."), "got Connection aborted."),
        (BrokenPipeError(32, "Broken pipe"), "got .*Broken pipe"),
    ],
    ids=["a refusal", "a container that is gone", "an engine that is gone", "a socket that is closed"],
)
def test_what_the_engine_says_is_one_line(error, words):
    with pytest.raises(StackError, match=words) as raised, engine.told():
        raise error
    assert "\n" not in str(raised.value)


def test_a_mistake_of_another_kind_is_not_laid_to_the_engine():
    with pytest.raises(OSError, match="No space left"), engine.told():
        raise OSError(28, "No space left on device")


def test_a_folder_without_dockerfile_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="expected a Dockerfile; got none"):
        engine.build(None, "an/image:1", Build(context=tmp_path, arguments={}))


def container_with(codes):
    """One whose commands say `x`, and have these exit codes each time that somebody asks."""
    api = mock.MagicMock()
    api.exec_start.return_value = [(b"x", None), (None, b"cut")]
    api.exec_inspect.side_effect = [{"ExitCode": code} for code in codes]
    container = mock.Mock()
    container.name, container.client.api = "team-database-1", api
    return container


def test_a_command_whose_exit_code_comes_late_is_waited_for():
    assert engine.run(container_with([None, 0]), ["pg_dump"]) == b"x"
    with pytest.raises(StackError, match="exit code 1: cut"):
        engine.run(container_with([None, 1]), ["pg_dump"])


def test_output_that_ends_before_its_command_is_not_taken_for_whole(monkeypatch):
    monkeypatch.setattr(engine, "EXIT_SECONDS", 0)
    with pytest.raises(StackError, match=r"`pg_dump` to work; got no exit code: cut in team-database-1"):
        engine.run(container_with([None]), ["pg_dump"])
