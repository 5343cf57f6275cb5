"""Fixtures for every tier. Real parts only: real pictures, a real store, real processes."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real faces and starting weights that lies beside the repository."""
    folder = Path(os.environ.get("EMOTION_SHARED", ROOT.parent / "shared"))
    if (folder / "data" / "faces").is_dir():
        return folder
    reason = f"no real faces: {folder} is absent (EMOTION_SHARED names another place)"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def faces(tmp_path_factory) -> Path:
    """Forty drawn faces in AffectNet's npy form: train_set with 32, val_set with 8, one of each expression in each 8."""
    from emotion_mlflow.data.drawing import draw_face

    root = tmp_path_factory.mktemp("faces")
    rng = np.random.default_rng(7)
    for number in range(40):
        part = root / ("train_set" if number < 32 else "val_set")
        for folder in ("images", "annotations"):
            (part / folder).mkdir(parents=True, exist_ok=True)
        picture, labels = draw_face(rng, expression=number % 8)
        Image.fromarray(picture).save(part / "images" / f"{number}.jpg", quality=95)
        values = {"exp": labels.expression, "val": labels.valence, "aro": labels.arousal}
        for name, value in values.items():
            np.save(part / "annotations" / f"{number}_{name}.npy", np.array(str(value)))
        np.save(part / "annotations" / f"{number}_lnd.npy", np.asarray(labels.landmarks, np.float64).reshape(-1))
    return root


@pytest.fixture(scope="session")
def cache(tmp_path_factory) -> Path:
    """One cache folder for all tests."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def store(tmp_path, monkeypatch) -> str:
    """A new MLflow store; it is also the working directory's, so that nothing is left in the repository."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


@pytest.fixture(scope="session")
def command():
    """Runs `emotion-mlflow` as its users do, in a process of its own."""

    def run(*arguments: object, cwd: Path, timeout: int = 600, **environment: str) -> subprocess.CompletedProcess:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
        return subprocess.run(
            [sys.executable, "-m", "emotion_mlflow", *map(str, arguments)],
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=timeout,
            env=inherited | {"PYTHONWARNINGS": "default"} | environment,
            check=False,
        )

    return run
