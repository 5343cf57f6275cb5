"""docker-compose understands the one description too, and brings up the same stack from it."""

import dataclasses
import os
import shutil
import subprocess
import time

import pytest
import yaml

from emotion_mlflow.service.stack import COMPOSE

pytestmark = pytest.mark.docker


@pytest.fixture
def tool(up, port):
    """Runs docker-compose on compose.yaml under a name and a port of its own."""
    program = shutil.which("docker-compose")
    if not program:
        pytest.skip("no docker-compose (`make engine`)")
    name = f"{up.name}-compose"
    extra = {"STACK_PORT": str(port()), "STACK_SECRETS": str(up.folder / "secrets")}
    if os.geteuid():
        extra["STACK_USER"] = f"{os.geteuid()}:{os.getegid()}"

    def run(*words):
        command = [program, "--project-name", name, "--file", str(COMPOSE), *words]
        environment = {**os.environ, **up.variables, **extra}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=400, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    yield run, extra
    run("down", "--volumes")


def test_docker_compose_reads_the_file_as_we_do(tool, described):
    run, _ = tool
    theirs = yaml.safe_load(run("config"))["services"]
    assert set(theirs) == {service.name for service in described.services}
    for service in described.services:
        them = theirs[service.name]
        assert them["image"] == service.image
        assert them["user"] == service.user
        # what it prints is a compose file again, with each $ doubled
        assert tuple(word.replace("$$", "$") for word in them["healthcheck"]["test"]) == service.health.test
        assert {
            name: str(value) for name, value in them.get("environment", {}).items()
        }.keys() == service.environment.keys()


def test_docker_compose_brings_up_a_stack_that_answers(tool, up):
    run, extra = tool
    run("up", "--detach", "--no-build")
    there = dataclasses.replace(up, variables=extra)
    deadline, status = time.monotonic() + 200, 0
    while status != 200 and time.monotonic() < deadline:
        try:
            status, _ = there.ask("/api/2.0/mlflow/registered-models/search?max_results=1")
        except OSError:
            time.sleep(1)
    assert status == 200
    assert there.ask("/api/2.0/mlflow/registered-models/search", user="")[0] == 401
