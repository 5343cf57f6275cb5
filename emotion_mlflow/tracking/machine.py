"""Where a run happened: code, packages, device, command line, memory. Used by the jobs."""

import contextlib
import platform
import resource
import subprocess
import sys
from importlib import metadata
from pathlib import Path

PACKAGE = str(Path(__file__).parents[1])
PACKAGES = (
    "tensorflow",
    "keras",
    "mlflow",
    "numpy",
    "pandas",
    "scikit-learn",
    "scipy",
    "krippendorff",
    "pillow",
)


def describe(command: str) -> dict[str, str]:
    """Flat facts for MLflow params: `git/commit`, `package/tensorflow`, `machine/device`, ..."""
    import tensorflow as tf

    gpus = [device.name for device in tf.config.list_physical_devices("GPU")]
    facts = {
        "command": command,
        **code(),
        "machine/device": ", ".join(gpus) or "CPU",
        "machine/name": platform.node(),
        "machine/cpu": _cpu(),
        "machine/platform": platform.platform(),
        "machine/python": platform.python_version(),
    }
    return facts | {f"package/{name}": metadata.version(name) for name in PACKAGES}


def code() -> dict[str, str]:
    """The commit of this package, and whether files are changed, or new ones of the package in no commit.

    `unknown` where git does not say. A package that lies in somebody else's repository is in no checkout of its own.
    """
    if _git("ls-files", "--error-unmatch", "__init__.py") is None:
        return {"git/commit": "not a git checkout", "git/dirty": "not a git checkout"}
    changes = [_git("status", "--porcelain", *which) for which in (("--untracked-files=no",), ("--", PACKAGE))]
    dirty = "unknown" if None in changes else str(any(changes)).lower()
    return {"git/commit": _git("rev-parse", "HEAD") or "unknown", "git/dirty": dirty}


def forget_peak() -> None:
    """From here on `peak_memory` is of what follows; where the system cannot (not Linux), of the whole process."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory() -> int:
    """Bytes of memory this process held at most since `forget_peak`."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    kept = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kept if sys.platform == "darwin" else kept * 1024


def _cpu() -> str:
    """The processor's model as Linux names it, else its kind."""
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
        models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        if models:
            return models[0]
    return platform.processor() or platform.machine()


def _git(*arguments: str) -> str | None:
    """What git says of the folder this package lies in; None where it fails, is not there or takes too long."""
    try:
        done = subprocess.run(["git", *arguments], cwd=PACKAGE, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
