"""What the running containers may and may not do, and who gets in."""

import json
import re
import time

import pytest

from emotion_mlflow.service import keys

pytestmark = pytest.mark.docker

SEARCH = "/api/2.0/mlflow/registered-models/search?max_results=1"
SERVICES = ("database", "store", "server")


def test_up_answers_when_all_is_healthy_with_what_a_client_types(up):
    answer = up.answers["up"]
    assert [(each["service"], each["state"], each["health"]) for each in answer["services"]] == [
        (name, "running", "healthy") for name in SERVICES
    ]
    assert answer["uri"] == up.uri
    assert answer["client"][0] == f"export MLFLOW_TRACKING_URI={up.uri}"
    assert up.password not in str(answer)


def test_a_second_up_changes_nothing(up):
    before = [up.container(name).id for name in SERVICES]
    assert up.stack("up")["services"] == up.stack("status")["services"]
    assert [up.container(name).id for name in SERVICES] == before


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({}, 200),
        ({"user": ""}, 401),
        ({"password": "password1234"}, 401),
        ({"user": "nobody"}, 401),
        ({"host": "evil.example.org"}, 403),
        ({"host": "server:5000"}, 200),
    ],
    ids=["with the password", "without", "a wrong one", "a wrong user", "a foreign host", "a container's host name"],
)
def test_only_who_has_the_password_and_says_a_known_host_name_gets_in(up, asked, status):
    assert up.ask(SEARCH, **asked)[0] == status


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/", None),
        ("/ajax-api/3.0/jobs/search", {}),
        ("/ajax-api/3.0/jobs/1", None),
        ("/v1/traces", {"resourceSpans": []}),
        ("/api/2.0/mlflow/users/get?username=admin", None),
        ("/api/2.0/mlflow-artifacts/artifacts?path=.", None),
        ("/get-artifact?path=x&run_uuid=x", None),
        ("/graphql", {}),
        ("/metrics", None),
        ("/docs", None),
        ("/openapi.json", None),
    ],
)
def test_no_route_answers_without_a_password(up, path, content):
    # CVE-2026-2652 and CVE-2026-0545 were routes that did
    status, _ = up.ask(path, user="", content=content)
    assert status in (401, 403, 404)
    if status == 404:  # then it is no route at all, for anyone
        assert up.ask(path, content=content)[0] == 404


@pytest.mark.parametrize(
    "path",
    [
        "/api/2.0/mlflow-artifacts/artifacts/..%2f..%2frun/secrets/admin_password",
        "/api/2.0/mlflow-artifacts/artifacts/%252e%252e/%252e%252e/run/secrets/admin_password",
        "/api/2.0/mlflow-artifacts/artifacts/file:%2f%2f%2frun%2fsecrets%2fadmin_password",
        "/static-files/..%2f..%2f..%2frun/secrets/admin_password",
    ],
)
def test_no_path_leads_out_of_the_artifacts(up, path):
    status, text = up.ask(path)
    assert status >= 400
    assert up.password not in text


def test_an_experiment_whose_artifacts_would_lie_among_the_secrets_gives_none_away(up):
    status, text = up.send(
        "experiments/create", {"name": f"out {time.time()}", "artifact_location": "file:///run/secrets"}
    )
    assert status in (200, 400, 403), text
    if status != 200:
        return
    experiment = json.loads(text)["experiment_id"]
    run = json.loads(up.send("runs/create", {"experiment_id": experiment})[1])["run"]["info"]["run_id"]
    for path in ("admin_password", "../../admin_password"):
        assert up.password not in up.ask(f"/get-artifact?path={path}&run_uuid={run}")[1]
    source = {"name": "out", "source": "file:///run/secrets", "run_id": run}
    up.send("registered-models/create", {"name": "out"})
    up.send("model-versions/create", source)
    assert up.password not in up.ask("/model-versions/get-artifact?path=admin_password&name=out&version=1")[1]


def test_nobody_is_sent_to_the_store_for_a_file(up):
    told = json.loads(up.ask("/api/3.0/mlflow/server-info")[1])
    assert (told["multipart_downloads_enabled"], told["multipart_uploads_enabled"]) == (False, False)


def test_health_alone_would_hide_the_refusal(up):
    assert up.ask("/health", user="", host="evil.example.org")[0] == 200


@pytest.mark.parametrize("service", SERVICES)
def test_a_container_has_no_root_no_capability_and_no_writable_root(up, service):
    _, status = up.inside(service, "cat", "/proc/1/status")
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert fields["Uid"].split()[0] == up.variables.get("STACK_USER", keys.owner()).split(":")[0]
    assert (int(fields["CapEff"], 16), int(fields["CapBnd"], 16), fields["NoNewPrivs"]) == (0, 0, "1")
    code, said = up.inside(service, "touch", "/etc/mark")
    assert (code != 0, "Read-only file system" in said) == (True, True)


@pytest.mark.parametrize("service", SERVICES)
def test_what_the_engine_tells_of_a_container_holds_no_secret(up, service):
    told = str(up.container(service).attrs)
    for file in (up.folder / "secrets").iterdir():
        assert file.read_text().strip() not in told, file.name


def test_a_secret_is_in_no_command_line(up):
    processes = up.inside("server", "sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")[1]
    assert "mlflow" in processes
    for file in (up.folder / "secrets").iterdir():
        assert file.read_text().strip() not in processes, file.name


def test_of_the_store_only_s3_and_its_grpc_port_answer_the_server_and_of_the_database_its_own(up):
    script = (
        "import socket\n"
        "for host in ('store', 'database'):\n"
        "    for port in (5432, 8080, 8111, 8181, 8333, 8888, 9101, 9333, 18080, 18333, 18888, 19333, 23646):\n"
        "        with socket.socket() as door:\n"
        "            door.settimeout(2)\n"
        "            if door.connect_ex((host, port)) == 0: print(host, port)\n"
    )
    assert up.inside("server", "python", "-c", script)[1].splitlines() == [
        "store 8333",
        "store 18333",
        "database 5432",
    ]


def test_the_store_gives_nothing_without_the_key(up):
    script = "import urllib.request as u; u.urlopen('http://store:8333/mlflow?list-type=2')"
    assert "403" in up.inside("server", "python", "-c", script)[1]


def test_the_store_s_key_opens_no_other_bucket(up):
    script = "import sys; sys.path.insert(0, '/app'); import artifacts\nartifacts.store().create_bucket(Bucket='other')"
    assert "AccessDenied" in up.inside("server", "python", "-c", script)[1]


def test_the_database_s_superuser_cannot_log_in_over_the_network(up):
    script = (
        "import psycopg2; from pathlib import Path\n"
        "psycopg2.connect(host='database', user='postgres', dbname='postgres', password='x')"
    )
    assert "no pg_hba.conf entry" in up.inside("server", "python", "-c", script)[1]


def test_the_server_s_role_owns_its_two_databases_and_may_do_nothing_else(up):
    def ask(statement):
        return up.inside("database", "psql", "-U", "postgres", "-Atqc", statement)[1]

    assert ask("select rolsuper, rolcreatedb, rolcreaterole from pg_roles where rolname = 'mlflow'") == "f|f|f"
    owned = "select datname from pg_database d join pg_roles r on r.oid = datdba where rolname = 'mlflow' order by 1"
    assert ask(owned).splitlines() == ["mlflow", "mlflow_auth"]
    assert ask("select has_database_privilege('mlflow', 'postgres', 'connect')") == "f"


def test_a_container_of_a_client_s_network_reaches_neither_database_nor_store(up, described):
    script = (
        "import socket\n"
        "for host in ('server', 'database', 'store'):\n"
        "    try: socket.getaddrinfo(host, 1); print(host)\n"
        "    except OSError: pass\n"
    )
    image = described.service("server").image
    said = up.client.containers.run(image, entrypoint=["python", "-c", script], network=f"{up.name}_front", remove=True)
    assert said.decode().split() == ["server"]


def test_the_server_is_published_on_this_computer_alone(up):
    published = {name: up.container(name).attrs["NetworkSettings"]["Ports"] for name in SERVICES}
    bound = {name: ports for name, ports in published.items() if any((ports or {}).values())}
    assert bound == {"server": {"5000/tcp": [{"HostIp": "127.0.0.1", "HostPort": up.variables["STACK_PORT"]}]}}


def test_a_new_user_sees_nothing_that_nobody_gave(up):
    script = (
        "import sys; sys.path.insert(0, '/app'); import start\n"
        "from mlflow.server.auth.sqlalchemy_store import SqlAlchemyStore\n"
        "users = SqlAlchemyStore(); users.init_db(start.database('mlflow_auth'))\n"
        "users.has_user('guest') or users.create_user('guest', 'a-long-guest-word')"
    )
    code, said = up.inside("server", "python", "-c", script)
    assert code == 0, said
    path = "/api/2.0/mlflow/experiments/get?experiment_id=0"
    assert up.ask(path)[0] == 200
    assert up.ask(path, user="guest", password="a-long-guest-word")[0] == 403  # noqa: S106  the test's own


def test_logs_show_each_service(up):
    lines = up.stack("logs", "--tail", 5)["lines"]
    assert {line.partition(" | ")[0] for line in lines} == set(SERVICES)
    assert up.password not in "".join(lines)


def test_a_tag_of_every_image_is_in_status(up):
    images = {each["service"]: each["image"] for each in up.stack("status")["services"]}
    assert all(re.search(r":\d", image) for image in images.values()), images
