"""What needs no engine of the stack's commands."""

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import pytest
from click.testing import CliRunner

import docker
from emotion_mlflow.cli.stack import command
from emotion_mlflow.service import keys, stack

ROOT = Path(__file__).parents[2]


@pytest.fixture
def no_engine(tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    return tmp_path


@pytest.mark.parametrize("verb", ["up", "status", "logs", "backup", "restore", "down"])
def test_every_verb_says_in_one_line_that_no_engine_answers(no_engine, typed, verb):
    folder = no_engine / "folder"
    arguments = [folder] if verb in ("backup", "restore") else []
    code, out, err = typed("stack", verb, *arguments, "--secrets", no_engine / "secrets")
    expected = "a backup's backup.json" if verb == "restore" else "a Docker engine; got No such file"
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert f"error: expected {expected}" in err


def test_with_json_the_mistake_is_the_one_object_on_stdout(no_engine, typed):
    code, out, _ = typed("stack", "status", "--json", "--secrets", no_engine)
    assert code == 2
    assert "a Docker engine" in json.loads(out)["error"]


def test_nothing_is_written_before_an_engine_answers(no_engine, typed):
    typed("stack", "up", "--secrets", no_engine / "secrets")
    assert list(no_engine.iterdir()) == []


@pytest.mark.parametrize(
    ("shipped", "changed", "message"),
    [
        ("    ports: [", "    x-ports: [", "keys among"),
        ('    ports: ["${STACK_BIND:-127.0.0.1}:${STACK_PORT:-5000}:5000"]\n', "", "the port of the service server"),
        ('["scratch:/scratch"]', "[]", "the volume scratch of the service server"),
        ("admin_password", "other_password", "the secret admin_password"),
        ("  server:\n", "  other:\n", "one of database, store, other; got server"),
    ],
)
def test_a_compose_file_that_lacks_what_the_commands_reach_for_is_refused(no_engine, typed, shipped, changed, message):
    text = stack.COMPOSE.read_text()
    assert shipped in text
    (no_engine / "compose.yaml").write_text(text.replace(shipped, changed))
    code, _, err = typed("stack", "up", "--file", no_engine / "compose.yaml", "--secrets", no_engine / "secrets")
    assert (code, message in err) == (2, True), err


@dataclass
class Thing:
    """A network or volume as the SDK hands it over."""

    name: str
    attrs: dict
    gone: list

    def reload(self):
        pass

    def remove(self):
        if self.attrs.get("refusal"):
            raise docker.errors.APIError("409", explanation=self.attrs["refusal"])
        self.gone.append(self.name)


@pytest.fixture
def engine_with(monkeypatch):
    """An engine that has no containers, but these networks and volumes; gives the list of what is removed."""

    def given(*, networks, volumes):
        gone = []
        client = mock.Mock()
        client.containers.get.side_effect = docker.errors.NotFound("404")
        client.networks.list.return_value = [Thing(name, attrs, gone) for name, attrs in networks.items()]
        client.volumes.list.return_value = [Thing(name, attrs, gone) for name, attrs in volumes.items()]
        monkeypatch.setattr("emotion_mlflow.service.engine.connect", lambda: client)
        return gone

    return given


OURS = {"Labels": {"emotion-mlflow.stack": "team"}}


@pytest.mark.parametrize(("flags", "kept"), [([], True), (["--volumes", "--yes"], False)])
def test_down_takes_what_docker_compose_made_too_and_nothing_of_others(engine_with, typed, flags, kept):
    gone = engine_with(
        networks={"team_front": {"Labels": None}, "team_old": OURS, "team-2_front": {"Labels": {}}},
        volumes={"team_database": {"Labels": None}, "team_scratch": OURS, "others_database": {}, "team_other": {}},
    )
    assert typed("stack", "down", "--name", "team", *flags)[0] == 0
    assert gone == ["team_front", "team_old", *([] if kept else ["team_database", "team_scratch"])]


def test_down_stops_nothing_while_a_training_is_on_the_network(engine_with, typed):
    attached = {"1": {"Name": "team-server-1"}, "2": {"Name": "training"}}
    gone = engine_with(networks={"team_front": OURS | {"Containers": attached}}, volumes={"team_database": OURS})
    code, _, err = typed("stack", "down", "--name", "team", "--volumes", "--yes")
    assert (code, gone) == (2, [])
    assert err == "error: expected no container of others on the network; got training (stop it) in team_front\n"


def test_a_volume_in_use_is_told_in_one_line(engine_with, typed):
    engine_with(networks={}, volumes={"team_database": OURS | {"refusal": "volume is in use - [8a1f]"}})
    code, _, err = typed("stack", "down", "--name", "team", "--volumes", "--yes")
    assert code == 2
    assert err == "error: expected the Docker engine to do what was asked; got volume is in use - [8a1f]\n"


def test_logs_of_a_service_that_is_not_there_are_no_silence(engine_with, typed):
    engine_with(networks={}, volumes={})
    code, out, err = typed("stack", "logs", "server", "--follow")
    assert (code, out, err) == (2, "", "error: expected the service server (`stack up`); got none in emotion-mlflow\n")


def test_logs_that_go_on_are_no_json(no_engine, typed):
    code, out, err = typed("stack", "logs", "server", "--follow", "--json")
    assert (code, "expected --follow or --json" in err, "error" in json.loads(out)) == (2, True, True)


@pytest.mark.parametrize("name", ["Team", "a b", "../x", ""])
def test_a_name_that_no_container_can_bear_is_refused(no_engine, typed, name):
    code, _, err = typed("stack", "status", "--name", name)
    assert (code, "expected a name of lower-case letters" in err) == (2, True)


@pytest.mark.parametrize("timeout", ["nan", "inf", "-1"])
def test_a_timeout_that_never_comes_is_refused(no_engine, typed, timeout):
    code, _, err = typed("stack", "up", "--timeout", timeout, "--secrets", no_engine)
    assert (code, f"expected a finite number from 0 on; got {timeout}" in err) == (2, True)


def test_deleting_data_is_asked_about_first(no_engine):
    answered = CliRunner().invoke(command, ["down", "--volumes"], input="n\n")
    assert answered.exit_code == 1
    assert "delete every run, version and artifact of the stack emotion-mlflow?" in answered.output


def test_a_client_is_told_the_address_the_user_and_where_the_password_is():
    ready = stack.Ready(uri="http://h:1", user="admin", password_file=Path("/p"), services=(), seconds=1)
    assert ready.client_lines() == (
        "export MLFLOW_TRACKING_URI=http://h:1",
        "export MLFLOW_TRACKING_USERNAME=admin",
        'export MLFLOW_TRACKING_PASSWORD="$(cat /p)"',
    )


def test_a_client_s_lines_work_whatever_the_folder_is_called(tmp_path):
    file = tmp_path / "Application Support $(false)" / "admin's"
    file.parent.mkdir()
    file.write_text("a-word\n")
    ready = stack.Ready(uri="http://h:1", user="admin", password_file=file, services=(), seconds=1)
    script = "\n".join([*ready.client_lines(), 'printf %s "$MLFLOW_TRACKING_PASSWORD"'])
    done = subprocess.run(["sh", "-euc", script], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("a-word", "")


@pytest.mark.parametrize(("given", "user"), [("", keys.owner()), ("7:8", "7:8")])
def test_the_containers_run_as_whoever_starts_them_where_nobody_is_named(monkeypatch, given, user):
    monkeypatch.setenv("STACK_USER", given)
    assert stack.Place().variables()["STACK_USER"] == user


@pytest.mark.parametrize(
    ("bind", "address", "uri"),
    [
        ("0.0.0.0", "0.0.0.0", "http://127.0.0.1:5000"),
        ("10.1.2.3", "10.1.2.3", "http://10.1.2.3:5000"),
        ("[::1]", "::1", "http://[::1]:5000"),
    ],
)
def test_the_address_told_is_one_that_a_client_can_use(monkeypatch, tmp_path, bind, address, uri):
    monkeypatch.setenv("STACK_BIND", bind)
    place = stack.Place(secrets=tmp_path)
    description = place.description()
    assert description.service("server").ports[0].address == address
    assert stack._ready(place, description, [], 1.0).uri == uri
    assert f"{uri.removeprefix('http://')}," in description.service("server").environment["STACK_HOSTS"]


def test_two_stacks_have_two_folders_of_secrets():
    assert stack.default_secrets("a") != stack.default_secrets("b")


def test_the_server_s_requirements_repeat_the_lock():
    def pins(file):
        lines = file.read_text().splitlines()
        return dict(line.partition(";")[0].strip().split("==") for line in lines if "==" in line)

    lock, server = pins(ROOT / "requirements.lock"), pins(ROOT / "docker" / "server" / "requirements.txt")
    assert server.keys() >= {"mlflow", "psycopg2-binary", "boto3", "flask-wtf"}
    assert {name: version for name, version in server.items() if lock.get(name, version) != version} == {}


def test_every_variable_of_the_compose_file_is_explained():
    used = set(re.findall(r"\$\{(STACK_\w+)", stack.COMPOSE.read_text()))
    explained = set(re.findall(r"^\| `(STACK_\w+)` \|", (ROOT / "docs" / "STACK.md").read_text(), re.MULTILINE))
    assert explained == used
