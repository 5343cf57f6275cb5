"""The commands that need no TensorFlow: data, cache, and what progress prints."""

import io
import json
import os
import re
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from emotion_mlflow.cli.demo import _evaluation_of
from emotion_mlflow.cli.options import TRAIN
from emotion_mlflow.cli.progress import BarReporter, PlainReporter, epoch_line
from emotion_mlflow.cli.terminal import command_line, show, where_to_look
from emotion_mlflow.cli.train import settings_of, weights_for
from emotion_mlflow.errors import ConfigError, TrackingError
from emotion_mlflow.jobs.request import Outcome, TrainRequest
from emotion_mlflow.labels import TASKS


def test_data_check_counts_faces_in_one_json_object(faces, tmp_path, typed):
    code, out, _ = typed("data", "check", faces, "--cache-dir", tmp_path, "--json")
    report = json.loads(out)
    assert (code, out.count("\n")) == (0, 1)
    assert (report["faces"], report["rejected"], report["leaks"]) == (40, 0, 0)
    assert [part["faces"] for part in report["splits"].values()] == [32, 8]


def test_data_check_ends_with_1_where_a_picture_stands_on_both_sides(draw_set, tmp_path, typed):
    root = draw_set(tmp_path / "set", train=16, val=8)
    shutil.copy(root / "train_set" / "images" / "3.jpg", root / "val_set" / "images" / "17.jpg")
    flags = ["data", "check", root, "--cache-dir", tmp_path / "cache"]
    code, out, _ = typed(*flags, "--json")
    assert (code, json.loads(out)["leaks"]) == (1, 1)
    code, out, _ = typed(*flags)
    assert (code, "leak: val/17 (validation) and train/3 (train), exact" in out) == (1, True)


def test_data_check_names_the_first_leaks_and_identities_and_how_many_more(typed, tmp_path):
    rng, rows = np.random.default_rng(0), ["id,path,expression,identity,split"]
    for face in range(7):
        Image.fromarray(rng.integers(0, 256, (48, 48, 3), dtype=np.uint8)).save(tmp_path / f"{face}.png")
        rows += [f"{part}{face},{face}.png,0,who{face}\x1b,{part}" for part in ("train", "test")]
    (tmp_path / "set.csv").write_text("\n".join(rows))
    code, out, _ = typed("data", "check", tmp_path / "set.csv", "--cache-dir", tmp_path / "cache")
    assert (code, "\x1b" in out) == (1, False)
    assert (out.count("leak: "), "leak: 2 more, see --json" in out) == (6, True)
    assert "leak: test0 (validation) and train0 (train), exact" in out
    assert ("crossing: who0\\x1b\n" in out, "crossing: 2 more, see --json" in out) == (True, True)


def test_data_check_shows_a_table_and_the_reasons(draw_set, tmp_path, typed):
    root = draw_set(tmp_path / "set[small]", train=16, val=8)
    (root / "train_set" / "images" / "3.jpg").write_bytes(b"no picture")
    code, out, _ = typed("data", "check", root, "--cache-dir", tmp_path / "cache")
    assert code == 0
    assert "set[small]: 23 faces, 1 rejected" in out
    assert "rejected: train_set/images/3.jpg: " in out


def test_data_show_writes_a_sheet(faces, tmp_path, typed):
    flags = ["--out", tmp_path / "sheet.png", "--rows", 2, "--columns", 3, "--cache-dir", tmp_path, "--json"]
    code, out, _ = typed("data", "show", faces, *flags)
    assert (code, json.loads(out)) == (0, {"sheet": str(tmp_path / "sheet.png"), "faces": 6})
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > sheet.height


def test_a_demo_whose_report_could_not_be_written_trains_nothing(tmp_path, typed, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "comparison").mkdir()
    (tmp_path / "comparison" / "thesis.tex").touch()
    code, out, err = typed("demo", "--cache-dir", tmp_path / "cache")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "earlier report only; got thesis.tex in it" in err
    assert list((tmp_path / "cache").iterdir()) == []
    assert {path.name for path in tmp_path.iterdir()} == {"comparison", "cache"}


def test_a_sheet_that_cannot_be_written_is_a_mistake_in_one_line(faces, tmp_path, typed):
    out = tmp_path / "absent" / "sheet.png"
    code, _, err = typed("data", "show", faces, "--out", out, "--cache-dir", tmp_path)
    assert (code, err.count("\n")) == (2, 1)


def test_the_cache_is_shown_and_cleared(tmp_path, typed):
    (tmp_path / "pixels").mkdir()
    (tmp_path / "pixels" / "a.npy").write_bytes(bytes(1234))
    (tmp_path / "mine.txt").write_text("not of the cache")
    _, out, _ = typed("cache", "show", "--cache-dir", tmp_path, "--json")
    assert json.loads(out)["bytes"]["pixels"] == 1234
    _, out, _ = typed("cache", "clear", "--cache-dir", tmp_path, "--json")
    assert json.loads(out)["removed_bytes"] == 1234
    assert [file.name for file in tmp_path.iterdir()] == ["mine.txt"]


def test_json_has_null_where_a_figure_is_undefined(capsys):
    show({"scores": {"a": float("nan"), "b": 0.1}, "c": [float("inf")]})
    assert capsys.readouterr().out == '{"scores": {"a": null, "b": 0.1}, "c": [null]}\n'


ROW = {
    "epoch": 2,
    "train/loss": 1.25,
    "train/expression/accuracy": 0.5,
    "val/loss": 1.5,
    "val/expression/accuracy": 0.25,
    "val/expression/macro_f1": 0.2,
    "val/valence/ccc": 0.1,
    "val/landmarks/nme": 0.08,
    "learning_rate": 3e-4,
    "seconds": 10.0,
    "validation_seconds": 2.4,
}


def test_an_epochs_line_says_how_far_how_good_and_how_long():
    assert epoch_line(ROW, 10) == (
        "epoch 2/10  loss 1.250  acc 0.500 | val 1.500  acc 0.250  F1 0.200  ccc 0.100  nme 0.080 | rate 0.0003  12 s"
    )


def test_a_log_file_gets_one_line_an_epoch_and_nothing_for_steps_and_stages(capsys):
    reporter = PlainReporter()
    reporter.stage("training")
    reporter.begin(epochs=10, steps=5)
    reporter.step(epoch=2, step=1, figures={"loss": 1.0})
    reporter.advance(1, 5)
    reporter.epoch(ROW)
    reporter.warn("careful")
    reporter.close()
    told = capsys.readouterr()
    assert told.out == ""
    assert [line[:11] for line in told.err.splitlines()] == ["epoch 2/10 ", "warning: ca"]


def test_several_settings_may_stand_in_one_set():
    assert settings_of(("training.epochs=3 augment.flip=0.5", "model.tasks=valence,arousal")) == {
        "training.epochs": "3",
        "augment.flip": "0.5",
        "model.tasks": "valence,arousal",
    }


def test_weights_of_several_backbones_stand_in_one_flag():
    both = "resnet50=r.weights.h5,efficientnetb0=e.weights.h5"
    assert weights_for("efficientnetb0", both) == "e.weights.h5"
    assert weights_for("resnet50", "none") == "none"
    with pytest.raises(ConfigError, match="expected weights for mobilenetv3small; got resnet50, efficientnetb0"):
        weights_for("mobilenetv3small", both)


def test_a_file_of_weights_may_have_an_equals_sign_in_its_path():
    assert weights_for("resnet50", "/data/run=3/w.weights.h5") == "/data/run=3/w.weights.h5"
    assert weights_for("resnet50", "resnet50=/data/run=3/w.weights.h5") == "/data/run=3/w.weights.h5"


def test_a_password_in_an_address_is_not_in_the_command_line_that_a_run_logs(monkeypatch):
    typed = [
        "emotion-mlflow",
        "train",
        "--tracking-uri",
        "https://ann:s3cret@host:5000/x",
        "--set",
        "training.epochs=3",
    ]
    monkeypatch.setattr("sys.argv", typed)
    assert command_line() == "emotion-mlflow train --tracking-uri https://ann@host:5000/x --set training.epochs=3"


def test_where_to_look_is_the_server_or_a_program_that_is_there(monkeypatch, tmp_path):
    assert where_to_look("https://ann:s3cret@host:5000") == "open the UI: https://ann@host:5000"
    monkeypatch.setenv("PATH", str(tmp_path))  # as after `make demo`, where no environment is active
    words = where_to_look("sqlite:///mlflow.db").split()
    assert words[-3:] == ["ui", "--backend-store-uri", "sqlite:///mlflow.db"]
    assert Path(words[3]).is_file()


def test_all_rejected_faces_are_listed_in_json_and_the_table_says_how_many_more(draw_set, tmp_path, typed):
    root = draw_set(tmp_path / "set", train=32, val=8)
    for number in range(24):
        (root / "train_set" / "images" / f"{number}.jpg").write_bytes(b"no picture")
    flags = ["data", "check", root, "--cache-dir", tmp_path / "cache"]
    assert len(json.loads(typed(*flags, "--json")[1])["reasons"]) == 24
    out = typed(*flags)[1]
    assert (out.count("rejected: train_set/"), "rejected: 19 more, see --json" in out) == (5, True)


def bars(width=200):
    """Bars that write to a text instead of a terminal."""
    reporter = BarReporter()
    reporter.console = Console(file=io.StringIO(), width=width, force_terminal=True)
    reporter.bars.live.console = reporter.console
    return reporter


FIGURES = {"loss": 1.5, "valence/loss": 0.25, "landmarks/loss": 0.5, "valence/mae": 0.1, "learning_rate": 1e-3}


def test_the_bar_shows_every_task_s_loss_with_the_rate():
    reporter = bars()
    reporter.begin(epochs=2, steps=5)
    reporter.step(epoch=1, step=1, figures=FIGURES)
    (task,) = reporter.bars.tasks
    reporter.close()
    assert task.fields["figures"] == "loss 1.500  valence/loss 0.250  landmarks/loss 0.500  rate 0.001"
    assert (task.description, task.completed, task.total) == ("training 1 of 2", 1, 10)


def test_on_a_narrow_terminal_epoch_steps_and_time_left_keep_their_room():
    reporter = bars(width=80)
    reporter.begin(epochs=5, steps=45)
    reporter.step(epoch=1, step=1, figures=FIGURES | {f"{task}/loss": 0.5 for task in TASKS})
    time.sleep(0.05)
    reporter.step(epoch=1, step=2, figures=FIGURES | {f"{task}/loss": 0.5 for task in TASKS})
    with reporter.console.capture() as shown:
        reporter.console.print(reporter.bars.get_renderable())
    reporter.close()
    plain = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", shown.get())
    assert re.search(r"^\s*training 1 of 5 ━+ +2/225 +\d+:\d\d loss 1\.500 .*…", plain, flags=re.MULTILINE)


def test_a_training_that_goes_on_is_timed_from_its_first_new_step():
    reporter = bars()
    reporter.begin(epochs=10, steps=5)
    reporter.step(epoch=9, step=1, figures=FIGURES)
    time.sleep(0.05)
    reporter.step(epoch=9, step=2, figures=FIGURES)
    (task,) = reporter.bars.tasks
    reporter.close()
    assert (task.completed, task.total) == (42, 50)
    assert task.speed <= 1 / 0.05  # one step in that time, not 42


def test_a_stage_takes_the_place_of_the_one_before_and_lines_stay():
    reporter = bars()
    reporter.stage("reading faces")
    reporter.advance(3, 7)
    reporter.stage("decoding faces")
    (task,) = reporter.bars.tasks
    reporter.begin(epochs=10, steps=5)
    reporter.epoch(ROW)
    reporter.warn("careful")
    reporter.close()
    assert task.description == "decoding faces"
    told = reporter.console.file.getvalue()
    assert epoch_line(ROW, 10) in told
    assert "warning: careful" in told


def test_every_flag_has_a_help_that_ends_as_a_sentence():
    assert [option.name for option in TRAIN if not option.help.endswith(".")] == []


def test_faces_that_this_user_may_not_read_are_told_in_one_line(faces, typed, monkeypatch):
    if os.geteuid():
        pytest.skip("only root may become somebody else")
    with tempfile.TemporaryDirectory() as place:
        typed("data", "check", faces, "--cache-dir", f"{place}/other")  # imports what only root may import
        shutil.chown(place, 65534)
        monkeypatch.chdir(place)
        os.seteuid(65534)
        try:
            code, out, err = typed("data", "check", faces, "--cache-dir", place)
        finally:
            os.seteuid(0)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert f"expected a place that can be used; got Permission denied in {faces}" in err


def test_demo_asks_for_no_version_that_the_server_has_not_heard_of():
    trained = Outcome(
        run_id="abc", model_name=None, model_version=None, backbone="resnet50", recipe="demo", seconds=1.0, scores={},
        tracking_uri="http://server", unsent=7,
    )  # fmt: skip
    with pytest.raises(TrackingError, match=r"got none: 7 writes are unsent \(emotion-mlflow sync abc\) in http://"):
        _evaluation_of(TrainRequest(backbone="resnet50"), trained)
