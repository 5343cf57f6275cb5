"""Trainings against the stack: from outside, from a container, and while its containers are killed."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

import mlflow
import pytest

import docker
from benchmarks.campaign_load import at_once
from emotion_mlflow.promotion.limits import SHIPPED
from emotion_mlflow.service import engine
from emotion_mlflow.service.compose import Build

pytestmark = pytest.mark.docker

ROOT = Path(__file__).parents[2]
TINY = ["--backbone", "mobilenetv3small", "--weights", "none", "--recipe", "improved", "--epochs", "1"]
TINY += ["--image-size", "32", "--limit", "16"]
SITE = sysconfig.get_path("purelib")


@pytest.fixture
def tracking(up, monkeypatch):
    for name, value in up.credentials.items():
        monkeypatch.setenv(name, value)
    return mlflow.MlflowClient(up.uri)


def test_the_demo_from_outside_leaves_run_version_and_artifacts(demo_there, trained_there, tracking):
    assert [run["backbone"] for run in demo_there["runs"]] == ["mobilenetv3small", "resnet50"]
    run = tracking.get_run(trained_there["run_id"])
    assert (run.info.status, run.data.params["config/model.backbone"]) == ("FINISHED", "resnet50")
    assert {item.path for item in tracking.list_artifacts(trained_there["run_id"])} >= {"figures", "predictions"}


def test_its_comparison_lies_there_too(demo_there, tracking):
    names = {f"{run['model_name']}/{run['model_version']}" for run in demo_there["runs"]}
    assert {version for model in demo_there["comparison"]["models"] for version in model["versions"]} == names
    experiment = tracking.get_experiment_by_name("emotion").experiment_id
    (compared,) = tracking.search_runs([experiment], "tags.kind = 'comparison'")
    assert "report.html" in {item.path for item in tracking.list_artifacts(compared.info.run_id)}


def test_artifacts_lie_in_the_store_and_not_in_the_server(trained_there, up):
    found = json.loads(up.inside("server", "python", "/app/artifacts.py", "digests")[1])
    assert any(trained_there["run_id"] in name for name in found)
    assert "mlruns" not in up.inside("server", "ls", "/tmp", "/scratch")[1]  # noqa: S108  inside the container


def test_forty_trainings_may_log_at_the_same_moment(up, tracking, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    assert at_once(up.uri, 40) == []
    assert up.inside("database", "psql", "-U", "postgres", "-Atqc", "show max_connections") == (0, "300")
    role = "select rolconnlimit from pg_roles where rolname = 'mlflow'"
    assert up.inside("database", "psql", "-U", "postgres", "-Atqc", role) == (0, "-1")


def test_a_version_is_promoted(trained_there, up, tracking, command, tmp_path):
    limits = SHIPPED.read_text().replace("ece: 0.15", "ece: 1").replace("latency_ms: 500", "latency_ms: 60000")
    (tmp_path / "gates.yaml").write_text(limits)
    flags = ["--version", trained_there["model_version"], "--allow-dirty", "--gates", tmp_path / "gates.yaml", "--json"]
    done = command("promote", *flags, cwd=tmp_path, **up.credentials)
    assert done.returncode == 0, done.stdout + done.stderr
    champion = tracking.get_model_version_by_alias(trained_there["model_name"], "champion")
    assert champion.version == trained_there["model_version"]


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy of what docker/train/Dockerfile and `mlflow run` need of the tree."""
    copy = tmp_path_factory.mktemp("tree") / "project"
    names = ("emotion_mlflow", "docker", "MLproject", "pyproject.toml", "README.md", "LICENSE", "requirements.lock")
    copy.mkdir()
    for name in names:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__", "wheels", "secrets"))
        else:
            shutil.copy(source, copy / name)
    return copy


@pytest.fixture(scope="module")
def open_faces(faces):
    """The faces where the container's user may read them; pytest's own folders are its user's alone."""
    with tempfile.TemporaryDirectory(prefix="emotion-mlflow-faces-") as folder:
        copy = shutil.copytree(faces, Path(folder, "faces"))
        subprocess.run(["chmod", "-R", "a+rX", folder], check=True)
        yield copy


@pytest.fixture(scope="module")
def train_image(tree, client, variables, supplies):
    """docker/train/Dockerfile, built of a package that says it needs nothing.

    The locked libraries are bound in from this machine: baking their 2.6 GB takes longer than the rest of the tier.
    """
    project = (tree / "pyproject.toml").read_text()
    needless = re.sub(r"^dependencies = \[.*?^\]", "dependencies = []", project, flags=re.MULTILINE | re.DOTALL)
    (tree / "pyproject.toml").write_text(needless)
    shutil.copy(tree / "docker" / "train" / "Dockerfile", tree / "Dockerfile")
    shutil.copytree(supplies / "build", tree / "docker" / "train" / "wheels", dirs_exist_ok=True)
    arguments = {"BASE_IMAGE": variables["STACK_BASE_IMAGE"]} if "STACK_BASE_IMAGE" in variables else {}
    engine.build(client, "emotion-mlflow-tests/train:1", Build(context=tree, arguments=arguments))
    (tree / "Dockerfile").unlink()
    return "emotion-mlflow-tests/train:1"


def test_a_container_on_the_stack_s_network_trains_by_the_server_s_name(up, train_image, tracking):
    credentials = up.credentials | {"MLFLOW_TRACKING_URI": "http://server:5000", "PYTHONPATH": "/site"}
    said = up.client.containers.run(
        train_image,
        ["emotion-mlflow", "demo", "--backbones", "mobilenetv3small", "--epochs", "1", "--json"],
        environment=credentials,
        volumes={SITE: {"bind": "/site", "mode": "ro"}},
        network=f"{up.name}_front",
        remove=True,
        stdout=True,
        stderr=False,
    )
    (run,) = json.loads(said)["runs"]
    assert tracking.get_run(run["run_id"]).info.status == "FINISHED"


@pytest.fixture
def inside(up, train_image, open_faces):
    """Starts `emotion-mlflow` in a container with a cache that outlasts it, as docs/STACK.md says."""
    cache, started = f"{up.name}-cache", []
    places = {SITE: "/site:ro", str(open_faces): "/faces:ro", cache: "/srv/training"}

    def start(*words):
        container = up.client.containers.run(
            train_image,
            ["emotion-mlflow", *words, "--json"],
            environment=up.credentials | {"MLFLOW_TRACKING_URI": "http://server:5000", "PYTHONPATH": "/site"},
            volumes=[f"{source}:{place}" for source, place in places.items()],
            network=f"{up.name}_front",
            detach=True,
        )
        started.append(container)
        return container

    yield start
    for container in started:
        with contextlib.suppress(docker.errors.NotFound):
            container.remove(force=True)
    up.client.volumes.get(cache).remove()


def answer_of(container):
    """What it printed, once it has ended well."""
    code = container.wait(timeout=400)["StatusCode"]
    assert code == 0, container.logs().decode()[-2000:]
    return json.loads(container.logs(stderr=False))


def test_what_a_container_could_not_send_is_sent_by_another_one_with_its_volume(up, inside, tracking):
    training = inside("train", *TINY, "--epochs", "40", "--data", "/faces", "--sync-wait", "5")
    until(lambda: b"epoch 1/" in training.logs(), "the first epoch")
    up.container("server").kill()  # a wish, which is not followed by a restart
    try:
        left = answer_of(training)
    finally:
        up.container("server").start()
    training.remove()
    assert (left["unsent"] > 0, left["model_version"]) == (True, None)
    until(lambda: up.stack_is_well(), "the server")
    (sent,) = answer_of(inside("sync"))["runs"]
    assert (sent["run_id"], sent["unsent"], sent["status"]) == (left["run_id"], 0, "FINISHED")
    assert sent["model_version"] is not None
    assert tracking.get_run(left["run_id"]).info.status == "FINISHED"


@pytest.fixture
def credentials(up, train_image):
    """A volume with the password in it, filled as docs/STACK.md says."""
    volume = f"{up.name}-credentials"
    filled = f"mlflow_tracking_username = admin\nmlflow_tracking_password = {up.password}\n"
    command = ["docker", "run", "--rm", "-i", "-v", f"{volume}:/srv/training", train_image]
    command += ["sh", "-c", "umask 077; mkdir -p .mlflow; cat >.mlflow/credentials"]
    environment = {**os.environ, "DOCKER_HOST": up.variables["DOCKER_HOST"]}
    subprocess.run(command, input=f"[mlflow]\n{filled}", env=environment, text=True, check=True, timeout=120)
    yield volume
    up.client.volumes.get(volume).remove(force=True)


def test_mlflow_run_trains_in_the_image_that_docker_env_names(up, train_image, tree, open_faces, tracking, credentials):
    project = (tree / "MLproject").read_text()
    assert "python_env: python_env.yaml" in project
    wanted = (
        f"docker_env:\n  image: {train_image}\n"
        f'  volumes: ["{credentials}:/srv/training", "{SITE}:/site:ro", "{open_faces}:/faces:ro"]\n'
        '  environment: [["PYTHONPATH", "/site"]]'
    )
    (tree / "MLproject").write_text(project.replace("python_env: python_env.yaml", wanted))
    pairs = zip(TINY[::2], TINY[1::2], strict=True)
    parameters = [word for flag, value in pairs for word in ("-P", f"{flag[2:].replace('-', '_')}={value}")]
    parameters += ["-P", "data=/faces", "-P", "no_register=true"]
    command = [
        str(Path(sys.executable).parent / "mlflow"),
        "run",
        str(tree),
        "-e",
        "train",
        "-A",
        "network=host",
        *parameters,
    ]
    environment = {**os.environ, **up.credentials, "DOCKER_HOST": up.variables["DOCKER_HOST"]}
    command += ["--experiment-name", "emotion"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert up.password not in done.stdout + done.stderr
    newest = tracking.search_runs([tracking.get_experiment_by_name("emotion").experiment_id], max_results=1)[0]
    assert newest.info.status == "FINISHED"
    assert newest.data.params["config/recipe"] == "improved"


def test_a_run_survives_the_death_of_database_store_and_server(up, small, faces, cache, tracking, tmp_path):
    if os.geteuid():
        pytest.skip("only root may kill a container's process from outside, as a crash would")
    words = [*small, "--data", faces, "--cache-dir", cache, "--json", "--no-register", "--epochs", "60"]
    with (tmp_path / "out").open("wb") as out, (tmp_path / "err").open("wb") as err:
        training = subprocess.Popen(
            [sys.executable, "-m", "emotion_mlflow", "train", *map(str, words)],
            cwd=tmp_path,
            env={**os.environ, **up.credentials},
            stdout=out,
            stderr=err,
        )
    until(lambda: "epoch 1/" in (tmp_path / "err").read_text() or training.poll() is not None, "the first epoch")
    for service in ("database", "store", "server"):
        assert training.poll() is None, f"it ended before {service} was killed"
        crash(up, service)
    assert training.wait(600) == 0, (tmp_path / "err").read_text()[-2000:]
    until(lambda: up.stack_is_well(), "the stack after its crashes")
    answer = json.loads((tmp_path / "out").read_text())
    run = tracking.get_run(answer["run_id"])
    assert run.info.status == "FINISHED"
    steps = [point.step for point in tracking.get_metric_history(answer["run_id"], "train/loss")]
    assert steps == list(range(1, 61))
    assert {item.path for item in tracking.list_artifacts(answer["run_id"])} >= {"figures", "predictions"}


def crash(up, service):
    """Ends a container's first process as the kernel would; Docker's own kill counts as a wish and restarts nothing."""
    container = up.container(service)
    before = container.attrs["RestartCount"]
    os.kill(container.attrs["State"]["Pid"], signal.SIGKILL)

    def restarted():
        container.reload()
        return container.attrs["RestartCount"] > before

    until(restarted, f"{service} to be started again")


def until(true, what, seconds=240):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.5)
