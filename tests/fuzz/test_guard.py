"""The guard finds what it is there to find: each planted fault is told."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

PLANT = """
import json, os, pickle, sys, warnings
from pathlib import Path
from benchmarks.fuzz import guard as watch
from benchmarks.fuzz.sets import Trap
from emotion_mlflow.errors import DataError

watch.SECONDS = 0.5
guard = watch.Guard(Path(sys.argv[1]))
guard.limit_memory()
(guard.outside / "secret").write_text("x")
(guard.inside / "link").symlink_to(guard.outside / "secret")


def spin():
    while True:
        pass


def hidden():
    try:
        bytearray(1 << 40)
    except MemoryError as error:
        raise DataError("room", got=error) from None


def refuse(words):
    error = DataError("x", got="y")
    error.args = (words,)
    raise error


planted = {
    "read": lambda: None,
    "refused": lambda: refuse("expected x; got y"),
    "traceback": lambda: {}["x"],
    "hang": spin,
    "memory": lambda: bytearray(1 << 40),
    "memory, hidden": hidden,
    "memory, resident": lambda: len(b"x" * ((1 << 30) + (1 << 28))),
    "escape": lambda: (guard.inside / "link").read_text(),
    "execution, pickle": lambda: pickle.loads(pickle.dumps(Trap(str(guard.canary)))),
    "execution, process": lambda: os.system("true"),
    "warning": lambda: warnings.warn("odd", UserWarning),
    "message": lambda: refuse("two\\nlines"),
}
print(json.dumps({name: guard.attempt(act).kind for name, act in planted.items()}))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    command = [sys.executable, "-c", PLANT, str(tmp_path_factory.mktemp("guard"))]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=120, cwd=Path(__file__).parents[2]
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    "name",
    [
        "read", "refused", "traceback", "hang", "memory", "memory, hidden", "memory, resident", "escape",
        "execution, pickle", "execution, process", "warning", "message",
    ],
)  # fmt: skip
def test_a_planted_fault_is_told_by_its_kind(told, name):
    assert told[name] == name.split(",")[0]
