import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import emotion_mlflow
from emotion_mlflow import doctor

HOUSE = Path(__file__).parents[1]
PROJECT = tomllib.loads((HOUSE / "pyproject.toml").read_text())["project"]
LOCK = (HOUSE / "requirements.lock").read_text()
PYTHONS = ("3.11", "3.12", "3.13")


def pip_lines(name):
    """What the file has pip install, the line that names the lock first."""
    listed = yaml.safe_load((HOUSE / name).read_text())["dependencies"]
    (nested,) = [each["pip"] for each in listed if isinstance(each, dict)] or [listed]
    return nested


def pinned():
    pins = [Requirement(line) for line in LOCK.splitlines() if not line.startswith("#")]
    return [(canonicalize_name(pin.name), pin) for pin in pins]


def house_files():
    command = ["git", "ls-files", "-co", "--exclude-standard", "-z"]
    try:
        listed = subprocess.run(command, cwd=HOUSE, capture_output=True, text=True, check=True).stdout
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip("not a git work tree, so there is no list of the project's files")
    return [HOUSE / name for name in listed.split("\0") if name and (HOUSE / name).is_file()]


@pytest.mark.parametrize("name", ["python_env.yaml", "conda.yaml"])
def test_the_environment_files_repeat_the_dependency_list_under_the_lock(name):
    assert pip_lines(name) == ["-c requirements.lock", *PROJECT["dependencies"]]


def test_python_env_names_no_python():
    # MLflow would build a named one that pyenv lacks from source
    assert set(yaml.safe_load((HOUSE / "python_env.yaml").read_text())) == {"dependencies"}


def test_conda_offers_the_same_pythons():
    listed = yaml.safe_load((HOUSE / "conda.yaml").read_text())["dependencies"]
    assert f"python{PROJECT['requires-python']}" in listed


@pytest.mark.parametrize("group", ["dependencies", "dev"])
def test_the_lock_pins_every_dependency_within_its_range(group):
    ranges = PROJECT["dependencies"] if group == "dependencies" else PROJECT["optional-dependencies"]["dev"]
    for wanted in map(Requirement, ranges):
        versions = [pin.specifier for name, pin in pinned() if name == canonicalize_name(wanted.name)]
        assert versions, f"{wanted.name} is not in requirements.lock: make lock"
        for (version,) in versions:
            assert wanted.specifier.contains(version.version), f"{wanted}, but the lock has {version}"


def test_the_lock_pins_exact_versions_and_holds_no_address():
    assert all([each.operator for each in pin.specifier] == ["=="] for _, pin in pinned())
    assert "://" not in LOCK
    assert not re.search(r"^\s*-", LOCK, re.MULTILINE), "options (an index, say) have no place in the lock"


def test_every_range_has_a_floor_and_a_ceiling():
    for wanted in map(Requirement, PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"]):
        assert sorted(each.operator for each in wanted.specifier) == ["<", ">="], f"{wanted}"


def test_every_dependency_says_why_it_is_there():
    text = (HOUSE / "pyproject.toml").read_text()
    for wanted in PROJECT["dependencies"]:
        assert re.search(rf'^ +"{re.escape(wanted)}", # \w', text, re.MULTILINE), wanted


def test_the_pythons_agree_wherever_they_are_named():
    assert PROJECT["requires-python"] == ">=3.11,<3.14"
    prefix = "Programming Language :: Python :: "
    assert tuple(each.removeprefix(prefix) for each in PROJECT["classifiers"]) == PYTHONS
    assert f"Python {PYTHONS[0]}, {PYTHONS[1]} or {PYTHONS[2]}" in (HOUSE / "CONTRIBUTING.md").read_text()
    assert "(3, 11) <= sys.version_info[:2] <= (3, 13)" in (HOUSE / "Makefile").read_text()
    assert doctor.PYTHONS == ((3, 11), (3, 13))


def test_doctors_floor_for_mlflow_is_the_range_s():
    (wanted,) = [each for each in PROJECT["dependencies"] if each.startswith("mlflow")]
    assert wanted.startswith(f"mlflow>={doctor.MLFLOW_FLOOR[0]}.{doctor.MLFLOW_FLOOR[1]},")


def test_the_changelog_s_newest_version_is_the_package_s():
    newest = re.search(r"^## \[?v?(\d+\.\d+\.\d+)", (HOUSE / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest, "no line like `## 0.1.0`"
    assert newest[1] == emotion_mlflow.__version__


def test_no_file_names_a_package_index_or_a_path_of_one_machine():
    # in two halves, so that this file does not name them either
    hosts = ["py" + "pi.", "python" + "hosted.org", "registry." + "npmjs", "conda." + "anaconda.org"]
    hosts += ["deb." + "debian.org", "proxy." + "golang.org"]
    paths = rf"(?<![\w./-])/(?:{'wo' + 'rk'}|{'ro' + 'ot'}|home/\w+|opt/wheels)(?:/|\b)"
    words = re.compile("|".join([*map(re.escape, hosts), paths]))
    found = []
    for file in house_files():
        text = file.read_bytes().decode("utf-8", errors="replace")
        found += [f"{file.relative_to(HOUSE)}: {hit[0]}" for hit in words.finditer(text)]
    assert found == []


def test_every_make_target_is_explained_and_make_help_lists_it():
    makefile = (HOUSE / "Makefile").read_text()
    targets = set(re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[1].split())
    helped = subprocess.run(["make", "help"], cwd=HOUSE, capture_output=True, text=True, check=True).stdout
    assert set(re.findall(r"^  make (\S+) +\S", helped, re.MULTILINE)) == targets


def test_only_engine_installs_system_packages():
    rules = re.split(r"^(?=[a-z-]+:)", (HOUSE / "Makefile").read_text(), flags=re.MULTILINE)
    installing = [rule.partition(":")[0] for rule in rules if re.search(r"apt-get( -\S+)* install -y", rule)]
    assert installing == ["engine"]


@pytest.mark.parametrize(
    ("said", "code", "told"),
    [
        ("No known vulnerabilities found", 0, "No known vulnerabilities found"),
        ("Found 1 known vulnerability in 1 package\nx 1.0 hides a ReadTimeout", 2, "hides a ReadTimeout"),
        ("requests.exceptions.ConnectionError: no such name", 0, "not audited: no advisory source answers"),
        ("error: no such option", 2, "error: no such option"),
    ],
    ids=["nothing found", "something found, whose text sounds like an outage", "no source answers", "another mistake"],
)
def test_audit_fails_for_what_it_finds_and_not_for_an_outage(tmp_path, said, code, told):
    (tmp_path / "said").write_text(said)
    asked = f'#!/bin/sh\necho "$*" >{tmp_path}/asked\ncat {tmp_path}/said\ngrep -q "^No known" {tmp_path}/said\n'
    for name in ("uv", "stamp"):
        (tmp_path / name).write_text(asked)
        (tmp_path / name).chmod(0o755)
    command = ["make", "audit", f"BIN={tmp_path}", f"STAMP={tmp_path / 'stamp'}"]
    done = subprocess.run(command, cwd=HOUSE, capture_output=True, text=True, check=False)
    assert (done.returncode, told in done.stdout) == (code, True), done.stdout + done.stderr
    for file in ("requirements.lock", "docker/server/requirements.txt"):
        assert f"--requirement {file} " in (tmp_path / "asked").read_text()
