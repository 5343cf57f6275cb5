from pathlib import Path
from unittest import mock

import pytest

import docker
from emotion_mlflow.errors import StackError
from emotion_mlflow.service import compose, containers
from emotion_mlflow.service.stack import COMPOSE


@pytest.fixture(scope="module")
def shipped():
    return compose.read(COMPOSE, {"STACK_USER": "7:8", "STACK_PORT": "6001"})


def given(shipped, name, image_id="sha256:0"):
    secrets = {secret: Path("/kept") / secret for secret in shipped.secrets}
    return containers.arguments("team", shipped.service(name), secrets=secrets, image_id=image_id)


def test_the_server_is_given_to_the_engine_as_described(shipped):
    got = given(shipped, "server")
    assert got["name"] == "team-server-1"
    assert (got["user"], got["read_only"], got["cap_drop"]) == ("7:8", True, ["ALL"])
    assert got["ports"] == {"5000/tcp": ("127.0.0.1", 6001)}
    assert got["mem_limit"] == got["memswap_limit"] == 3 << 30
    assert got["nano_cpus"] == 2_000_000_000
    assert got["restart_policy"] == {"Name": "unless-stopped"}
    assert got["tmpfs"] == {"/tmp": "mode=1777"}  # noqa: S108  inside the container
    assert got["log_config"].config == {"max-size": "10m", "max-file": "3"}


def test_volumes_carry_the_stack_s_name_and_secrets_are_read_only_files(shipped):
    assert given(shipped, "database")["volumes"] == {
        "/kept/database_password": {"bind": "/run/secrets/database_password", "mode": "ro"},
        "/kept/database_superuser_password": {"bind": "/run/secrets/database_superuser_password", "mode": "ro"},
        "team_database": {"bind": "/var/lib/postgresql/data", "mode": "rw"},
    }


def test_a_health_check_is_told_in_nanoseconds(shipped):
    assert containers.healthcheck(shipped.service("server").health) == {
        "test": ["CMD", "python", "/app/check.py"],
        "interval": 10_000_000_000,
        "timeout": 20_000_000_000,
        "retries": 6,
        "start_period": 90_000_000_000,
    }


def test_a_container_is_made_anew_for_another_image_or_setting_and_for_nothing_else(shipped):
    def label(stack, image_id="sha256:0"):
        return given(stack, "server", image_id)["labels"][f"{containers.LABEL}.digest"]

    elsewhere = compose.read(COMPOSE, {"STACK_USER": "7:8", "STACK_PORT": "6002"})
    assert label(shipped) == label(shipped)
    assert len({label(shipped), label(shipped, "sha256:1"), label(elsewhere)}) == 3


def test_a_service_that_is_not_there_is_absent_and_not_well():
    state = containers.state_of(None, "server")
    assert (state.state, state.well) == ("absent", False)


def test_a_container_that_could_not_be_connected_to_all_its_networks_is_not_left_for_a_whole_one(shipped):
    client = mock.Mock()
    client.containers.get.side_effect = docker.errors.NotFound("404")
    client.networks.get.side_effect = docker.errors.NotFound("404", explanation="no network team_back")
    with pytest.raises(StackError, match="the service server to start; got no network team_back"):
        containers.ensure_running(client, "team", shipped.service("server"), given(shipped, "server"))
    client.containers.create.return_value.remove.assert_called_once_with(force=True)


@pytest.fixture
def seen(monkeypatch):
    """A container whose health is, at each look, the next of a list."""

    def looks(*healths):
        container = mock.Mock()
        container.attrs = {"State": {"Status": "running", "Health": {}}, "Config": {"Image": "an/image:1"}}
        states = iter(healths)
        container.reload.side_effect = lambda: container.attrs["State"]["Health"].update(Status=next(states))
        container.logs.return_value = b""
        return container

    monkeypatch.setattr(containers, "LOOKS_PER_SECOND", 1000)
    return looks


def test_a_server_that_is_unhealthy_while_its_database_comes_back_is_waited_for(seen):
    container = seen("unhealthy", "unhealthy", "healthy")
    assert containers.wait_until_well(container, "server", until=1, clock=lambda: 0).well


@pytest.mark.parametrize("healths", [("starting", "unhealthy"), ("unhealthy", "unhealthy", "starting", "starting")])
def test_a_service_that_becomes_or_stays_unhealthy_is_told(seen, healths):
    moments = iter([0, 2, 2])
    with pytest.raises(StackError, match="expected a healthy server; got running "):
        containers.wait_until_well(seen(*healths), "server", until=1, clock=lambda: next(moments))
