"""The registered model where others use it: in a clean environment, over HTTP, behind a tracking server."""

import base64
import io
import json
import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

pytestmark = pytest.mark.server

EXPRESSIONS = ["neutral", "happy", "sad", "surprise", "fear", "disgust", "anger", "contempt"]

PREDICT = """
import importlib.util, json, sys, mlflow
assert importlib.util.find_spec("emotion_mlflow") is None, "the clean environment is not clean"
model = mlflow.pyfunc.load_model(sys.argv[1])
pictures = [open(name, "rb").read() for name in sys.argv[2:]]
answers = model.predict(pictures)
print(json.dumps([answer.model_dump() if hasattr(answer, "model_dump") else answer for answer in answers]))
"""


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Two drawn faces as PNG, one of them not square."""
    from emotion_mlflow.data.drawing import draw_face

    folder = tmp_path_factory.mktemp("pictures")
    files = []
    for number, size in enumerate([(224, 224), (150, 200)]):
        picture, _ = draw_face(np.random.default_rng(number))
        files.append(folder / f"{number}.png")
        Image.fromarray(picture).resize(size).save(files[-1])
    return files


@pytest.fixture(scope="module")
def downloaded(trained_on_server, tmp_path_factory):
    """The registered version's files."""
    return trained_on_server.model(tmp_path_factory.mktemp("downloaded"))


@pytest.fixture(scope="module")
def predicted(downloaded, pictures):
    """What the model answers when it is loaded in this process."""
    import mlflow

    answers = mlflow.pyfunc.load_model(str(downloaded)).predict([file.read_bytes() for file in pictures])
    return plain(answers)


def plain(answers):
    return [answer.model_dump() if hasattr(answer, "model_dump") else answer for answer in answers]


def assert_same(answers, expected):
    """The same faces' answers; other processes may add up in another order."""
    assert [answer["expression"] for answer in answers] == [answer["expression"] for answer in expected]
    for one, other in zip(answers, expected, strict=True):
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-5)
        assert [one["valence"], one["arousal"]] == pytest.approx([other["valence"], other["arousal"]], abs=1e-5)
        np.testing.assert_allclose(one["landmarks"], other["landmarks"], atol=1e-2)


def test_the_server_holds_every_file(trained_on_server):
    files = set(trained_on_server.files())
    assert {"history.csv", "config.yaml", "predictions/test.parquet", "figures/confusion_matrix.png"} <= files
    assert len([name for name in files if name.startswith("figures/")]) >= 14


def test_an_epoch_costs_at_most_two_requests(trained_on_server, counted):
    sent = [(path, json.loads(body)) for _, path, body in counted.requests if path.endswith("/log-batch")]
    metrics = [[metric["key"] for metric in body.get("metrics", [])] for _, body in sent]
    of_epochs = [keys for keys in metrics if "train/loss" in keys]
    assert len(of_epochs) == 4  # one call for each of the four epochs, with all of its figures
    assert all(len(keys) > 20 for keys in of_epochs)
    places = [number for number, (_, _, body) in enumerate(counted.requests) if b'"train/loss"' in body]
    # between the first row and the last; MLflow's monitor of system metrics asks for the run before each of its batches
    between = [(path, body) for _, path, body in counted.requests[places[0] : places[-1]] if "/runs/get?" not in path]
    asked = [path for path, body in between if b'"system/' not in body]
    assert len(asked) <= 2 * 3, asked


def test_nobodys_face_is_in_a_figure_on_a_server(trained_on_server, tmp_path):
    figure = trained_on_server.file("figures/worst_faces_expression.png", tmp_path)
    pixels = np.asarray(Image.open(figure).convert("RGB")).reshape(-1, 3)
    assert len(np.unique(pixels, axis=0)) < 700  # letters and lines; with thumbnails they are thousands


def test_the_answer_is_in_the_pictures_own_terms(predicted):
    square, tall = predicted
    assert list(square["probabilities"]) == EXPRESSIONS
    assert sum(square["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert square["expression"] == max(square["probabilities"], key=square["probabilities"].get)
    assert -1 <= square["valence"] <= 1
    assert -1 <= square["arousal"] <= 1
    assert np.shape(square["landmarks"]) == np.shape(tall["landmarks"]) == (68, 2)
    # a hardly trained network answers the mean face: in the tall picture it is taller than in the square one
    assert np.ptp(np.array(square["landmarks"])[:, 1]) == pytest.approx(
        np.ptp(np.array(tall["landmarks"])[:, 1]) * 224 / 200, rel=0.1
    )


def test_the_model_is_code_with_a_typed_signature_and_pinned_requirements(downloaded):
    names = {file.name for file in downloaded.rglob("*") if file.is_file()}
    assert not {name for name in names if name.endswith((".pkl", ".pickle", ".cloudpickle"))}
    assert {"model.py", "network.keras", "card.json", "requirements.txt"} <= names
    signature = yaml.safe_load((downloaded / "MLmodel").read_text())["signature"]
    assert len(json.loads(signature["inputs"])) == 1  # bytes or pixels, which MLflow writes as `any`
    (answer,) = json.loads(signature["outputs"])
    assert set(answer["properties"]) == {"expression", "probabilities", "valence", "arousal", "landmarks"}
    lines = (downloaded / "requirements.txt").read_text().split()
    assert {line.split("==")[0] for line in lines} == {"mlflow", "tensorflow", "keras", "numpy", "pandas", "pillow"}
    assert all("==" in line for line in lines)


def test_it_answers_in_a_clean_environment_of_its_own_requirements_without_pickle(
    downloaded, pictures, predicted, tmp_path
):
    uv = Path(sys.executable).with_name("uv")
    python = tmp_path / "clean" / "bin" / "python"
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, tmp_path / "clean"], check=True)
    requirements = downloaded / "requirements.txt"
    subprocess.run([uv, "pip", "install", "--quiet", "--python", python, "-r", requirements], check=True)
    done = subprocess.run(
        [python, "-c", PREDICT, downloaded, *pictures],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert_same(json.loads(done.stdout.splitlines()[-1]), predicted)
    shutil.rmtree(tmp_path / "clean")  # 2 GB


@pytest.fixture(scope="module")
def endpoint(trained_on_server, serve, port, tmp_path_factory):
    """`mlflow models serve` of the registered version."""
    folder, number = tmp_path_factory.mktemp("endpoint"), port()
    arguments = ["mlflow", "models", "serve", "-m", "models:/emotion/1", "--env-manager", "local", "-p", str(number)]
    place = {"MLFLOW_TRACKING_URI": trained_on_server.uri, "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"}
    address = f"http://127.0.0.1:{number}"
    with serve(arguments, health=f"{address}/ping", cwd=folder, log=folder / "log.txt", **place):
        yield f"{address}/invocations"


def ask(endpoint, inputs):
    """(status, answer) of a POST."""
    body = json.dumps({"inputs": inputs}).encode()
    request = urllib.request.Request(endpoint, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_it_answers_base64_over_http(endpoint, pictures, predicted):
    status, answer = ask(endpoint, [base64.b64encode(file.read_bytes()).decode() for file in pictures])
    assert status == 200
    assert_same(answer["predictions"], predicted)


@pytest.mark.parametrize(
    "wrong",
    ["not base64!", base64.b64encode(b"no picture").decode()],
    ids=["no base64", "base64 of something else"],
)
def test_what_is_no_picture_is_the_askers_fault_and_the_server_lives_on(endpoint, pictures, wrong):
    status, _ = ask(endpoint, [wrong])
    assert 400 <= status < 500
    picture = io.BytesIO()
    Image.new("RGB", (40, 40)).save(picture, "JPEG")
    assert ask(endpoint, [base64.b64encode(picture.getvalue()).decode()])[0] == 200
