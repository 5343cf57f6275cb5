import re

import pytest
import yaml

from benchmarks.campaign_outage import CONNECTIONS
from emotion_mlflow.errors import ConfigError
from emotion_mlflow.service import compose
from emotion_mlflow.service.stack import COMPOSE

SMALLEST = {
    "services": {
        "one": {
            "image": "an/image:1",
            "user": "7:7",
            "networks": ["back"],
            "healthcheck": {"test": ["CMD", "true"], "interval": "5s", "timeout": "2s", "retries": 3},
        }
    },
    "networks": {"back": {"internal": True}},
}


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join(['*' + before] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.fixture
def written(tmp_path):
    """compose.yaml with one service, and with what a test changes in it."""

    def write(top=(), **service):
        text = yaml.safe_load(yaml.safe_dump(SMALLEST)) | dict(top)
        text["services"]["one"] |= service
        file = tmp_path / "compose.yaml"
        file.write_text(yaml.safe_dump(text))
        return file

    return write


def one(file, **variables):
    return compose.read(file, variables).service("one")


@pytest.mark.parametrize(
    ("text", "variables", "filled"),
    [
        ("${A:-b}", {}, "b"),
        ("${A:-b}", {"A": "c"}, "c"),
        ("${A:-b}", {"A": ""}, "b"),
        ("${A:-}", {}, ""),
        ("${A}:${B:-1}", {"A": "x"}, "x:1"),
        ("$$(cat f) ${A:-127.0.0.1:5}", {}, "$(cat f) 127.0.0.1:5"),
    ],
)
def test_variables_are_filled_in_as_docker_compose_does(text, variables, filled):
    assert compose.substitute(text, variables, "here") == filled


@pytest.mark.parametrize("text", ["$A", "${A:?no}", "${A-b}", "${}", "${A:-${B}}"])
def test_a_form_of_variable_that_is_not_carried_out_is_refused(text):
    with pytest.raises(ConfigError, match=re.escape("${NAME:-default}")):
        compose.substitute(text, {"A": "1"}, "here")


def test_a_variable_without_default_must_be_set():
    with pytest.raises(ConfigError, match="the variable A to be set"):
        compose.substitute("${A}", {}, "here")


@pytest.mark.parametrize(("text", "expected"), [("30s", 30), ("1m30s", 90), ("500ms", 0.5), ("2h", 7200)])
def test_durations_are_seconds(text, expected):
    assert compose.seconds(text) == expected


@pytest.mark.parametrize("text", ["30", "s", "1d", "-5s", ""])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ConfigError, match="a duration such as 30s"):
        compose.seconds(text)


@pytest.mark.parametrize(("text", "expected"), [("256m", 268435456), ("2g", 2147483648), ("1kb", 1024), ("7", 7)])
def test_sizes_are_bytes(text, expected):
    assert compose.size(text) == expected


def test_a_key_that_would_be_dropped_is_refused(written):
    with pytest.raises(ConfigError, match="got privileged in service one"):
        one(written(privileged=True))


def test_a_top_key_that_would_be_dropped_is_refused(written):
    with pytest.raises(ConfigError, match="got configs"):
        one(written(top={"configs": {}}))


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"ports": ["5000:5000"]}, "a port with its address"),
        ({"ports": ["::1:5000:5000"]}, "a port with its address"),
        ({"ports": ["127.0.0.1:70000:5000"]}, "a port from 1 to 65535"),
        ({"volumes": ["./here:/there"]}, "a named volume"),
        ({"volumes": ["gone:/there"]}, "a volume the file declares"),
        ({"networks": ["front"]}, "a network the file declares"),
        ({"secrets": ["key"]}, "a secret the file declares"),
        ({"user": "me"}, "a user and a group by number"),
        ({"command": "one line"}, "a list of words"),
        ({"depends_on": ["two"]}, "condition: service_healthy"),
        ({"depends_on": {"two": {"condition": "service_healthy"}}}, "dependencies that end"),
        ({"mem_limit": "1.5g"}, "a size such as 512m or 2g; got '1.5g' in service one: mem_limit"),
        ({"mem_limit": "9" * 5000}, "a size such as 512m"),
        ({"stop_grace_period": ["10s"]}, "a duration such as 30s .* in service one: stop_grace_period"),
        ({"image": 5}, "text for the key image; got 5 in service one"),
        ({"image": None}, "text for the key image; got None"),
        ({"user": 610}, "text for the key user; got 610"),
        ({"restart": False}, "text for the key restart; got False"),
        ({"restart": "never"}, "one of no, always, unless-stopped, on-failure for the key restart"),
        ({"read_only": "false"}, "true or false for the key read_only; got 'false'"),
        ({"networks": []}, "a list of words for the key networks"),
        ({"cap_drop": "ALL"}, "a list of words for the key cap_drop"),
        ({"command": [["a"]]}, "a list of words for the key command"),
        ({"environment": ["A=b"]}, r"a mapping of words to words for the key environment; got \['A=b'\]"),
        ({"environment": {"A": None}}, "a mapping of words to words"),
        ({"cpus": "two"}, "a number for the key cpus; got 'two' in service one"),
        ({"cpus": float("inf")}, "a number from 0 to 1,000,000 for the key cpus"),
        ({"cpus": float("nan")}, "a number from 0 to 1,000,000 for the key cpus"),
        ({"pids_limit": 0.5}, "a number for the key pids_limit"),
        ({"logging": {"options": {}}}, "text for the key driver; got none in service one: logging"),
        ({"build": {"args": {}}}, "text for the key context; got none in service one: build"),
        ({"build": {"context": "a\0b"}}, "a path"),
        ({"build": "."}, "a mapping; got '.' in service one: build"),
        ({"healthcheck": {"test": ["CMD", "true"]}}, "text for the key interval; got none in service one: healthcheck"),
        ({"healthcheck": {"test": "true"}}, "a list of words for the key test"),
        ({"healthcheck": None}, "a mapping; got None in service one: healthcheck"),
        ({"tmpfs": "/run"}, "a list of words for the key tmpfs"),
    ],
)
def test_a_mistake_is_told_with_its_place(written, keys, message):
    with pytest.raises(ConfigError, match=message):
        one(written(**keys))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("services: [", r"the stack's compose.yaml; got .*line 1"),
        ("services: \xff", "the stack's compose.yaml; got .*decode"),
        ("[]", "a mapping of services; got list"),
        ("services: 3", "a mapping of names .* for the key services; got 3"),
        ("services: {}", "a mapping of services for the key services"),
        ("services: {../x: {}}", "a mapping of names"),
        ("services: {one: 3}", "a mapping; got 3 in service one"),
        ("services: {one: {}, one: {}}", "one stands there twice"),
        (BOMB, "at most 100000 values"),
    ],
)
def test_a_file_that_is_no_compose_file_is_told_in_one_line(tmp_path, text, message):
    (tmp_path / "compose.yaml").write_text(text, encoding="latin-1")
    with pytest.raises(ConfigError, match=message) as raised:
        compose.read(tmp_path / "compose.yaml", {})
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("top", "message"),
    [
        ({"networks": {"back": True}}, "a mapping; got True in network back"),
        ({"networks": {"back": {"driver": "host"}}}, "keys among internal; got driver in network back"),
        ({"networks": ["back"]}, "a mapping of names"),
        ({"volumes": {"data": {"external": True}}}, "no keys; got external in volume data"),
        ({"secrets": {"../key": {"file": "x"}}}, "a mapping of names"),
        ({"secrets": {"key": "x"}}, "a mapping; got 'x' in secret key"),
        ({"secrets": {"key": {"file": ["x"]}}}, r"text for the key file; got \['x'\] in secret key"),
    ],
)
def test_a_mistake_beside_the_services_is_told_with_its_place(written, top, message):
    with pytest.raises(ConfigError, match=message):
        one(written(top=top))


def test_services_start_after_those_they_depend_on(written):
    text = yaml.safe_load(written().read_text())
    text["services"] = {
        "late": text["services"]["one"] | {"depends_on": {"one": {"condition": "service_healthy"}}},
        "one": text["services"]["one"],
    }
    file = written()
    file.write_text(yaml.safe_dump(text))
    assert [service.name for service in compose.read(file, {}).services] == ["one", "late"]


def test_the_file_env_beside_it_is_read_and_the_environment_wins(tmp_path):
    (tmp_path / ".env").write_text("# a comment\nSTACK_PORT=6000\nSTACK_BIND='10.1.2.3'\n")
    assert compose.variables({"STACK_PORT": "7000"}, tmp_path / "compose.yaml") == {
        "STACK_PORT": "7000",
        "STACK_BIND": "10.1.2.3",
    }


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=b # why", "b"), ("A=b#c", "b#c"), ("A='b # c' # why", "b # c"), ("export A=b", "b"),
        ('A="b"', "b"), ("A=", ""), ("A= b ", "b"),
    ],
)  # fmt: skip
def test_a_line_of_env_means_what_docker_compose_takes_it_for(tmp_path, line, value):
    (tmp_path / ".env").write_text(f"{line}\n")
    assert compose.variables({}, tmp_path / "compose.yaml") == {"A": value}


def test_a_file_env_that_is_no_text_is_told_in_one_line(tmp_path):
    (tmp_path / ".env").write_bytes(b"STACK_PORT=\xff")
    with pytest.raises(ConfigError, match=r"text in UTF-8; got invalid start byte in .*\.env"):
        compose.variables({}, tmp_path / "compose.yaml")


@pytest.fixture(scope="module")
def shipped():
    return compose.read(COMPOSE, {})


def test_the_shipped_stack_starts_database_and_store_before_the_server(shipped):
    assert [service.name for service in shipped.services] == ["database", "store", "server"]


@pytest.mark.parametrize("name", ["database", "store", "server"])
def test_every_shipped_service_is_fenced_in(shipped, name):
    service = shipped.service(name)
    assert service.read_only
    assert service.cap_drop == ("ALL",)
    assert service.security_opt == ("no-new-privileges:true",)
    assert service.user == "10001:10001"
    assert service.restart == "unless-stopped"
    assert min(service.memory, service.cpus, service.processes) > 0
    assert service.health.test


def test_only_the_server_is_published_and_only_on_this_computer(shipped):
    published = {service.name: service.ports for service in shipped.services if service.ports}
    assert published == {"server": (compose.Port(address="127.0.0.1", outside=5000, inside=5000),)}


def test_database_and_store_have_no_way_out(shipped):
    assert shipped.networks == {"front": False, "back": True}
    assert [shipped.service(name).networks for name in ("database", "store", "server")] == [
        ("back",),
        ("back",),
        ("front", "back"),
    ]


def test_jobs_pickles_and_telemetry_are_off(shipped):
    environment = shipped.service("server").environment
    assert environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"
    assert environment["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] == "false"
    assert environment["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert "-master.telemetry=false" in shipped.service("store").command


def test_trainings_that_log_at_once_cannot_take_each_other_s_connections(shipped):
    environment = shipped.service("server").environment
    pool = {name: environment[name] for name in CONNECTIONS}
    assert pool == CONNECTIONS
    requests_at_once, stores = 40, 3  # of a worker; runs, registry and passwords have a pool each
    each = sum(map(int, pool.values()))
    assert each > requests_at_once
    workers = int(environment["STACK_WORKERS"])
    (limit,) = [word for word in shipped.service("database").command if "=" in word]
    assert int(limit.removeprefix("max_connections=")) > workers * stores * each
    assert "CONNECTION LIMIT" not in (COMPOSE.parent / "database" / "mlflow.sh").read_text()
    assert shipped.service("database").processes > int(limit.removeprefix("max_connections="))


def test_no_secret_stands_in_an_environment(shipped):
    named = [key for service in shipped.services for key in service.environment if "PASSWORD" in key or "KEY" in key]
    assert named == ["POSTGRES_PASSWORD_FILE"]


def test_each_service_gets_the_secrets_it_needs_and_no_other(shipped):
    assert {service.name: set(service.secrets) for service in shipped.services} == {
        "database": {"database_password", "database_superuser_password"},
        "store": {"store_users"},
        "server": {"admin_password", "database_password", "session_key", "store_key"},
    }


@pytest.mark.parametrize(
    ("given", "hosts", "origins"),
    [
        ({"STACK_PORT": "6001"}, "localhost:6001,127.0.0.1:6001", "http://localhost:6001,http://127.0.0.1:6001"),
        ({"STACK_BIND": "10.1.2.3"}, "10.1.2.3:5000", "http://10.1.2.3:5000"),
        (
            {"STACK_HOSTS": "a.example.org", "STACK_ORIGINS": "https://a.example.org"},
            "a.example.org",
            "https://a.example.org",
        ),
    ],
    ids=["another port", "another address", "another name"],
)
def test_where_the_server_is_published_is_also_what_clients_may_name(given, hosts, origins):
    server = compose.read(COMPOSE, given).service("server")
    said = [set(server.environment[name].split(",")) for name in ("STACK_HOSTS", "STACK_ORIGINS")]
    assert server.ports[0].outside == int(given.get("STACK_PORT", 5000))
    assert said[0] >= {*hosts.split(","), "server:5000"}
    assert said[1] >= set(origins.split(","))
    assert not any(" " in one or "*" in one for each in said for one in each)


@pytest.mark.parametrize("variable", ["STACK_DATABASE_IMAGE", "STACK_STORE_IMAGE", "STACK_SERVER_IMAGE"])
def test_every_image_can_be_another(variable):
    images = [service.image for service in compose.read(COMPOSE, {variable: "an/other@sha256:0"}).services]
    assert images.count("an/other@sha256:0") == 1


def test_every_image_and_base_is_pinned(shipped):
    bases = [base for service in shipped.services for base in service.build.arguments.values()]
    for name in [service.image for service in shipped.services] + bases:
        tag = name.rpartition(":")[2]
        assert re.match(r"\d+\.\d+", tag), name


@pytest.mark.parametrize("name", ["database", "store", "server"])
def test_the_dockerfile_names_the_same_base_as_the_compose_file(shipped, name):
    build = shipped.service(name).build
    dockerfile = (build.context / "Dockerfile").read_text()
    assert f"ARG BASE_IMAGE={build.arguments['BASE_IMAGE']}\n" in dockerfile
    assert re.findall(r"^USER (\S+)$", dockerfile, re.MULTILINE)[-1] == "10001:10001"
