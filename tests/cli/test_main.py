"""What a user meets first: help, mistakes, exit codes."""

import errno
import json
import os
import re
import subprocess
import sys

import pytest

from emotion_mlflow.cli import COMMANDS

SLOW_TO_IMPORT = {"numpy", "tensorflow", "keras", "mlflow", "rich", "pandas", "scipy", "sklearn", "matplotlib"}


def imported(*arguments, cwd):
    """Top-level modules that a Python process brought in."""
    command = [sys.executable, "-X", "importtime", *arguments]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=True)
    return {line.rsplit("|", 1)[1].strip().split(".")[0] for line in done.stderr.splitlines() if "|" in line}


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """A mistake must be told before anything is written."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["--version"]])
def test_help_imports_nothing_slow(tmp_path, arguments):
    found = imported("-m", "emotion_mlflow", *arguments, cwd=tmp_path)
    assert "click" in found  # what was measured is our program
    assert found & SLOW_TO_IMPORT == set()


def test_the_metrics_import_numpy_and_nothing_slower(tmp_path):
    found = imported("-c", "import emotion_mlflow.metrics.suite", cwd=tmp_path)
    assert found & SLOW_TO_IMPORT == {"numpy"}


def test_help_lists_every_command_with_a_sentence(typed):
    code, out, _ = typed("--help")
    assert code == 0
    for name, (_, sentence) in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(sentence[:30])}", out, flags=re.MULTILINE), name


def test_no_argument_at_all_shows_the_help(typed):
    code, out, _ = typed()
    assert (code, "Usage: emotion-mlflow" in out) == (0, True)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(typed, command):
    code, out, _ = typed(command, "--help")
    assert (code, f"Usage: emotion-mlflow {command}" in out) == (0, True)


MISTAKES = {
    "an unknown command": (["tarin"], "No such command 'tarin'"),
    "an unknown flag": (["train", "--epoch", "3"], "No such option"),
    "a flag without its value": (["train", "--epochs"], "requires an argument"),
    "a folder for a run": (["train", "--resume", "../checkpoints"], "expected the id of a run; got ../checkpoints"),
    "words for a number": (["train", "--epochs", "many"], "'many'"),
    "no epochs": (["train", "--epochs", "0"], "expected at least 1 epoch; got 0 in epochs"),
    "an unknown backbone": (["train", "--backbone", "vgg"], "expected a backbone of resnet50"),
    "an unknown recipe": (["train", "--recipe", "magic"], "expected a recipe of auto, published"),
    "an unknown task": (["train", "--tasks", "expression,age"], "expected tasks of expression"),
    "pictures too small": (["train", "--image-size", "8"], "expected an image size of 32 to 1024 pixels; got 8"),
    "a rate below zero": (["train", "--learning-rate", "-1"], "expected a learning rate between 0 and 10"),
    "a setting that is none": (["train", "--set", "training.magic=1"], "got training.magic in --set"),
    "a setting without value": (["train", "--set", "training.epochs"], "expected section.name=value"),
    "a setting of another kind": (["train", "--set", "augment.flip=often"], "expected a finite number; got 'often'"),
    "a set in a setting": (["train", "--set", "data.data=x"], "expected --data; got data.data in --set"),
    "a data format in a setting": (["train", "--set", "data.data_format=table"], "expected --data-format; got"),
    "epochs in a setting": (["train", "--set", "training.epochs=3"], "expected --epochs; got training.epochs in --set"),
    "tasks in a setting": (["train", "--set", "model.tasks=valence"], "expected --tasks; got model.tasks in --set"),
    "a limit in a setting": (["grid", "--set", "data.limit=5"], "expected --limit; got data.limit in --set"),
    "an experiment without a name": (["train", "--experiment", " "], "expected a name; got ' ' in --experiment"),
    "an evaluation in no experiment": (["evaluate", "--model", "models:/emotion/1", "--experiment", ""], "got ''"),
    "a set in bytes that are no text": (["data", "check", os.fsdecode(b"caf\xe9")], "a file name in UTF-8; got"),
    "a comparison in no experiment": (["compare", "--experiment", ""], "got ''"),
    "a promotion in no experiment": (["promote", "--backbone", "resnet50", "--experiment", ""], "got ''"),
    "a share in a setting": (["train", "--set", "data.max_rejected=0.9"], "expected --max-rejected; got"),
    "a backbone in a setting": (["grid", "--set", "model.backbone=vgg"], "expected --backbone; got model.backbone"),
    "a split seed below zero": (
        ["train", "--split-seed", "-1"],
        "expected a number of at least 0; got -1 in split_seed",
    ),
    "a seed below zero": (["train", "--rng-seed", "-1"], "expected a number of 0 to 4294967295; got -1 in rng_seed"),
    "a seed too large": (["grid", "--rng-seeds", "0,4294967296"], "got 4294967296 in rng_seed"),
    "no number of gigabytes": (["train", "--cache-limit", "nan"], "got nan in --cache-limit"),
    "gigabytes below zero": (["train", "--cache-limit", "-1"], "got -1.0 in --cache-limit"),
    "a model name that MLflow refuses": (["train", "--model-name", "a/b"], "got 'a/b' in --model-name"),
    "a model name like an alias": (["train", "--model-name", "a@b"], "without /, : and @; got 'a@b' in --model-name"),
    "an empty model name": (["train", "--model-name", ""], "got '' in --model-name"),
    "a folder that is not there": (["train", "--data", "absent"], "got nothing there in absent"),
    "an unknown data format": (["train", "--data-format", "zip"], "got zip in --data-format"),
    "weights that are not there": (["train", "--weights", "w.weights.h5"], "got w.weights.h5 in --weights"),
    "weights for others": (["train", "--weights", "efficientnetb0=x.weights.h5"], "expected weights for resnet50"),
    "a share above one": (["train", "--max-rejected", "1.5"], "expected a share from 0 to 1; got 1.5"),
    "faces in an unknown way": (["train", "--show-faces", "some"], "got some in --show-faces"),
    "neither true nor false": (["train", "--no-register", "perhaps"], "'perhaps'"),
    "no address of a model": (["evaluate", "--model", "emotion"], "expected models:/NAME@ALIAS"),
    "an unknown split": (["evaluate", "--split", "dev"], "got dev in --split"),
    "an unknown backbone in the demo": (["demo", "--backbones", "resnet50,vgg"], "expected a backbone of resnet50"),
    "a data set of nothing": (["data", "check", "absent"], "got nothing there in absent"),
    "no path": (["data", "check"], "Missing argument"),
    "a cache that is a file": (
        ["cache", "clear", "--cache-dir", sys.executable],
        "expected a folder that can be written to; got",
    ),
    "a cache that is a file, in data check": (
        ["data", "check", "demo", "--cache-dir", sys.executable],
        "expected a folder that can be written to; got",
    ),
    "a cache that is a file, in train": (["train", "--cache-dir", sys.executable], "got File exists in --cache-dir"),
    "a cache that cannot be made": (["cache", "show", "--cache-dir", "/proc/x"], "got No such file or directory in"),
    **{
        f"nobody's home in {command} {flag}": (
            [*command.split(), flag, "~nobdy/x"],
            f"expected a home folder that is known; got ~nobdy/x in {flag}",
        )
        for commands, flag in (
            (("train", "evaluate", "grid"), "--data"),
            (("train", "grid"), "--weights"),
            (("train", "cache show"), "--cache-dir"),
            (("compare",), "--out"),
            (("grid", "stack status"), "--file"),
            (("promote",), "--gates"),
        )
        for command in commands
    },
    "nobody's home in data check": (["data", "check", "~nobdy/x"], "a home folder that is known; got ~nobdy/x"),
    "a name that is too long for data": (["train", "--data", "x" * 300], "got File name too long in xxx"),
    "a name that is too long for weights": (["train", "--weights", "x" * 300], "got File name too long in /"),
    "a name that is too long for a check": (["data", "check", "x" * 300], "got File name too long in xxx"),
    "weights for a backbone that is none": (
        ["train", "--weights", "resnet5=a,resnet50=b"],
        "expected BACKBONE=FILE with a backbone of resnet50",
    ),
}


@pytest.mark.parametrize(("arguments", "words"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_in_one_line_before_anything_starts(nowhere, typed, arguments, words):
    code, out, err = typed(*arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1, err


@pytest.mark.parametrize(("arguments", "words"), MISTAKES.values(), ids=MISTAKES)
def test_with_json_a_mistake_is_also_one_object_on_stdout(nowhere, typed, arguments, words):
    if arguments[-1].startswith("--"):
        arguments = [arguments[0], "--json", *arguments[1:]]  # else the flag's missing value would be --json
    else:
        arguments = [*arguments, "--json"]
    code, out, err = typed(*arguments)
    assert (code, out.count("\n")) == (2, 1)
    assert list(json.loads(out)) == ["error"]
    assert words in json.loads(out)["error"]
    assert err == f"error: {json.loads(out)['error']}\n"


def test_a_full_disk_is_told_in_one_line_by_any_command(typed, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device", "/cache/pixels")

    monkeypatch.setattr("emotion_mlflow.cli.terminal.cache_folder", full)
    code, out, err = typed("cache", "show")
    assert (code, out) == (2, "")
    assert err == "error: expected a place that can be used; got No space left on device in /cache/pixels\n"


def test_a_mistake_takes_no_tensorflow(tmp_path):
    command = "import sys; from emotion_mlflow.cli import main\ntry: main(sys.argv[1:])\nfinally: print(*sys.modules)"
    wrong = ["train", "--set", "training.magic=1"]
    done = subprocess.run(
        [sys.executable, "-c", command, *wrong], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert {"tensorflow", "mlflow"} & set(done.stdout.split()) == set()


def test_the_program_and_the_module_are_the_same(tmp_path, command):
    done = command("train", "--recipe", "magic", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
