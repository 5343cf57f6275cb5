"""`emotion-mlflow grid`: flags and file, mistakes, progress; and whole grids of a small network (slow)."""

import io
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import mlflow
import pytest
from rich.console import Console

from emotion_mlflow.cli import main
from emotion_mlflow.cli.grid import cells_of, vary_of, with_file
from emotion_mlflow.cli.grid_progress import LiveTable, PlainTable, duration, outcome_table, seconds_left, window
from emotion_mlflow.cli.options import GRID
from emotion_mlflow.errors import ConfigError
from emotion_mlflow.models.facts import BACKBONES

HOUSE = Path(__file__).parents[2]
DEFAULTS = {option.destination: () if option.repeatable else option.default for option in GRID}


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """A mistake must be told before anything is written."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    assert list(tmp_path.iterdir()) == []


MISTAKES = {
    "an unknown backbone": (["--backbones", "resnet50,vgg"], "expected a backbone of resnet50"),
    "an unknown backbone beside weights": (["--backbones", "vgg", "--weights", "a=b"], "expected a backbone of"),
    "no backbone": (["--backbones", " , "], "at least one value; got none in --backbones"),
    "no recipe": (["--recipe", ""], "at least one value; got none in --recipe"),
    "no seed": (["--rng-seeds", ""], "at least one value; got none in --rng-seeds"),
    "words for a seed": (["--rng-seeds", "1,two"], "whole numbers with commas; got 'two' in --rng-seeds"),
    "an axis without values": (["--vary", "model.dropout="], "at least one value; got none in --vary model.dropout"),
    "an axis that is no setting": (["--vary", "training.magic=1"], "got training.magic in --vary"),
    "an axis without a name": (["--vary", "0.1,0.2"], "expected section.field=value,value; got 0.1,0.2 in --vary"),
    "an axis twice": (["--vary", "model.dropout=0.1 model.dropout=0.2"], "got model.dropout twice in --vary"),
    "an axis that a flag sets": (["--epochs", "3", "--vary", "training.epochs=2,4"], "nothing else sets"),
    "test faces as a setting": (["--set", "data.selected_on_test=true"], "expected --recipe published, which alone"),
    "a report that cannot be written": (
        ["--compare", "--weights", "none", "--out", "/dev/null/x"],
        "a folder that the report",
    ),
    "a seed as a setting": (["--set", "training.rng_seed=3"], "expected --rng-seeds; got training.rng_seed in --set"),
    "weights of one backbone only": (["--weights", "resnet50=a.h5"], "expected weights for efficientnetb0"),
    "weights of a stranger": (
        ["--backbones", "resnet50", "--weights", "resnet50=a.h5,resnet=b.h5"],
        f"expected BACKBONE=FILE with a backbone of {', '.join(BACKBONES)}; got resnet in --weights",
    ),
    "weights that are not there": (["--weights", "resnet50=a.h5,efficientnetb0=b.h5"], "a.h5 in --weights"),
    "faces that are not there": (["--data", "absent", "--weights", "none"], "absent"),
    "a file that is not there": (["--file", "absent.yaml"], "a YAML file"),
    "one backbone to compare": (["--backbones", "resnet50", "--compare"], "two or more different ones"),
    "nothing registered to compare": (["--compare", "--no-register"], "expected registered versions to compare"),
}


@pytest.mark.parametrize(("arguments", "words"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_in_one_line_before_the_first_cell(capsys, nowhere, arguments, words):
    with pytest.raises(SystemExit) as stopped:
        main(["grid", *arguments])
    told = capsys.readouterr()
    assert (stopped.value.code, told.out, told.err.count("\n")) == (2, "", 1)
    assert words in told.err


def test_the_values_of_an_axis_stand_between_commas_or_else_semicolons():
    assert vary_of(("model.dropout=0.1,0.3", "")) == {"model.dropout": ("0.1", "0.3")}
    assert vary_of(("a.b=1 c.d=1,1;0.8,1.2;",)) == {"a.b": ("1",), "c.d": ("1,1", "0.8,1.2")}


def filed(tmp_path, text, **flags):
    file = tmp_path / "grid.yaml"
    file.write_text(text)
    return with_file(DEFAULTS | flags | {"file": str(file)})


def test_the_file_in_the_docs_is_a_grid(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("r.weights.h5", "e.weights.h5"):
        (tmp_path / name).touch()
    (text,) = re.findall(r"```yaml\n# grid\.yaml.*?```", (HOUSE / "docs" / "SCALING.md").read_text(), re.DOTALL)
    cells = cells_of(filed(tmp_path, text.removeprefix("```yaml\n").removesuffix("```")))
    assert len(cells) == 2 * 3 * 2 * 2


def test_a_file_says_what_flags_would(tmp_path):
    flags = filed(
        tmp_path,
        "backbones: [resnet50]\nrecipe: [probe, improved]\nrng_seeds: [1, 2]\nepochs: 3\nweights: none\n"
        "compare: false\nvary: {model.dropout: [0.1, 0.2]}\nset: {training.ramp: 0.1}\n",
    )
    cells = cells_of(flags)
    assert (flags["epochs"], flags["compare"]) == (3, False)
    assert len(cells) == 1 * 2 * 2 * 2
    assert cells[0].request.overrides == {
        "training.ramp": "0.1",
        "training.epochs": 3,
        "model.dropout": "0.1",
        "training.rng_seed": 1,
    }


def test_a_typed_flag_wins_over_the_file(tmp_path):
    typed = {"rng_seeds": "7", "settings": ("training.ramp=0.2",)}
    flags = filed(tmp_path, "rng_seeds: [1, 2]\nset: {training.ramp: 0.1}\nlimit: 64\n", **typed)
    assert (flags["rng_seeds"], flags["settings"], flags["limit"]) == ("7", ("training.ramp=0.2",), 64)


def test_mlflow_run_s_empty_set_counts_as_not_typed(tmp_path):
    assert filed(tmp_path, "set: {training.ramp: 0.1}\n", settings=("",))["settings"] == ("training.ramp=0.1",)


@pytest.mark.parametrize("text", ["limit: many", "compare: perhaps", "epochs: 1.5", "file: another.yaml"])
def test_a_value_in_the_file_that_no_flag_takes_is_a_mistake(tmp_path, text):
    with pytest.raises(ConfigError, match=r"grid\.yaml"):
        filed(tmp_path, text)


# Progress


@dataclass(frozen=True)
class Asked:
    backbone: str = "resnet50"


@dataclass(frozen=True)
class Planned:
    name: str
    recipe: str = "probe"
    request: Asked = field(default_factory=Asked)
    digest: str = ""


def ended(cell, seconds, status="finished", error=None):
    return SimpleNamespace(
        cell=cell, seconds=seconds, status=status, error=error, run_id="beef", model_version="3" if not error else None
    )


RESNET = Planned("resnet50 probe seed 1")
EFFICIENT = Planned("efficientnetb0 probe seed 1", request=Asked("efficientnetb0"))


def test_a_waiting_cell_takes_the_mean_of_its_kind():
    trained = [ended(RESNET, 100), ended(RESNET, 200), ended(EFFICIENT, 10)]
    assert seconds_left(trained, None, [RESNET, EFFICIENT], elapsed=0, share=0) == 150 + 10


def test_a_kind_not_trained_yet_takes_the_mean_of_all():
    assert seconds_left([ended(RESNET, 100)], None, [EFFICIENT], elapsed=0, share=0) == 100


def test_the_first_cell_s_epochs_say_how_long_all_take():
    assert seconds_left([], RESNET, [RESNET, RESNET], elapsed=30, share=0.25) == 90 + 120 + 120


def test_before_the_first_epoch_nothing_is_known():
    assert seconds_left([], RESNET, [RESNET], elapsed=30, share=0) is None


def test_a_cell_that_takes_longer_than_those_before_is_about_done():
    assert seconds_left([ended(RESNET, 20)], RESNET, [], elapsed=30, share=0) == 0


@pytest.mark.parametrize(
    ("current", "total", "room", "shown"),
    [(0, 4, 20, (0, 4)), (0, 40, 10, (0, 10)), (20, 40, 10, (15, 25)), (40, 40, 10, (30, 40)), (5, 9, -2, (4, 7))],
)
def test_a_long_table_shows_the_rows_around_the_current_one(current, total, room, shown):
    assert window(current, total, room) == shown


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (89, "89 s"), (720, "12 min"), (11_100, "3 h 05 min"), (3_590, "1 h 00 min")]
)
def test_durations_are_read_at_a_glance(seconds, text):
    assert duration(seconds) == text


def shown(table):
    """What a grid of three cells tells: one finished, one skipped, one failed."""
    cells = [RESNET, EFFICIENT, Planned("resnet50 probe seed 2 model.dropout=[0.1]")]
    table.planned(cells)
    table.started(cells[0], resumed="")
    table.line(cells[0], "a note of the training")
    table.line(cells[0], "epoch 1/2  loss 1.0")
    table.line(cells[0], "epoch 2/2  loss 0.5")
    table.ended(ended(cells[0], 100))
    table.ended(ended(cells[1], 0, status="skipped"))
    table.started(cells[2], resumed="f00d")
    table.ended(ended(cells[2], 5, status="failed", error="expected a finite loss; got nan"))


def test_without_a_terminal_every_line_carries_its_cell_s_name(capsys):
    shown(PlainTable())
    assert capsys.readouterr().err.splitlines() == [
        "grid of 3 cells",
        "resnet50 probe seed 1 | training (cell 1 of 3)",
        "resnet50 probe seed 1 | a note of the training",
        "resnet50 probe seed 1 | epoch 1/2  loss 1.0",
        "resnet50 probe seed 1 | epoch 2/2  loss 0.5",
        "resnet50 probe seed 1 | finished in 100 s: run beef",
        "efficientnetb0 probe seed 1 | skipped: finished before, in run beef",
        "resnet50 probe seed 2 model.dropout=[0.1] | going on in run f00d (cell 3 of 3, about 2 min left)",
        "resnet50 probe seed 2 model.dropout=[0.1] | FAILED after 5 s: expected a finite loss; got nan",
    ]


def test_a_cell_that_will_be_skipped_takes_no_time(capsys):
    cells = [Planned(f"resnet50 probe seed {seed}", digest=str(seed)) for seed in range(4)]
    table = PlainTable()
    table.planned(cells, finished={"2", "3"})
    table.started(cells[0], resumed="")
    table.ended(ended(cells[0], 100))
    assert table.seconds_left() == 100  # seed 1 alone
    assert "grid of 4 cells, 2 finished before" in capsys.readouterr().err


def test_only_a_line_of_an_epoch_names_one(capsys):
    shown(PlainTable())
    named = [line for line in capsys.readouterr().err.splitlines() if re.search(r"epoch \d", line)]
    assert [line.partition(" | ")[2][:9] for line in named] == ["epoch 1/2", "epoch 2/2"]


def test_a_resumed_cell_s_share_counts_the_epochs_it_trains_here(capsys):
    table = PlainTable()
    table.planned([RESNET])
    table.started(RESNET, resumed="f00d")
    table.line(RESNET, "epoch 9/10  loss 1")
    assert table._share() == 0.5


def test_on_a_terminal_one_table_shows_every_cell_and_its_state():
    table = LiveTable()
    table.console = Console(file=io.StringIO(), force_terminal=False, width=120, height=40)
    table.live.console = table.console
    table.live.auto_refresh = False
    shown(table)
    table.live.stop()
    with table.console.capture() as drawn:
        table.console.print(table.draw())
    text = drawn.get()
    assert "3 of 3 cells done" in text
    assert re.search(r"1 .*resnet50 probe seed 1 .*finished .*100 s|1 .*finished .*2 min", text)
    assert re.search(r"2 .*efficientnetb0 probe seed 1 .*skipped", text)
    assert re.search(r"3 .*model\.dropout=\[0\.1\] .*FAILED .*5 s", text)


def test_the_last_table_says_which_cell_failed_and_why():
    console = Console(file=io.StringIO(), width=140)
    console.print(outcome_table([ended(RESNET, 100), ended(EFFICIENT, 5, status="failed", error="got [nan]")]))
    text = console.file.getvalue()
    assert re.search(r"resnet50 probe seed 1 .*finished .*3 .*2 min .*beef", text)
    assert re.search(r"efficientnetb0 probe seed 1 .*FAILED .*5 s .*got \[nan\] \(run beef\)", text)


# Whole grids


@pytest.mark.slow
def test_a_grid_trains_two_seeds_goes_past_a_cell_that_fails_and_trains_none_twice(command, faces, cache, tmp_path):
    broken = tmp_path / "broken.weights.h5"
    broken.write_bytes(b"no weights")
    small = {"backbones": "mobilenetv3small", "recipe": "improved", "rng-seeds": "1,2", "epochs": 1, "image-size": 32}
    flags = [f"--{name}={value}" for name, value in small.items()]
    flags += ["--data", faces, "--cache-dir", cache, "--json"]
    quiet = {"cwd": tmp_path, "timeout": 1800, "PYTHONWARNINGS": ""}
    first = command("grid", *flags, "--vary", f"model.weights=none,{broken}", **quiet)
    answer = json.loads(first.stdout)
    assert (first.returncode, "Traceback" in first.stderr) == (1, False), first.stderr
    assert [cell["status"] for cell in answer["cells"]] == ["finished", "finished", "failed", "failed"]
    assert answer["comparison"] is None
    assert "broken.weights.h5" in answer["cells"][2]["error"]
    assert [cell["model_version"] for cell in answer["cells"]] == ["1", "2", None, None]
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    assert client.get_run(answer["parent_run_id"]).info.status == "FAILED"
    for cell, status in zip(answer["cells"], ["FINISHED", "FINISHED", "FAILED", "FAILED"], strict=True):
        run = client.get_run(cell["run_id"])
        assert (run.info.status, run.data.tags["mlflow.parentRunId"]) == (status, answer["parent_run_id"])
    name = "mobilenetv3small improved seed 2 model.weights=none | epoch 1/1  "
    assert sum(line.startswith(name) for line in first.stderr.splitlines()) == 1

    second = command("grid", *flags, "--vary", "model.weights=none", **quiet)
    again = json.loads(second.stdout)
    assert second.returncode == 0, second.stderr
    assert [cell["status"] for cell in again["cells"]] == ["skipped", "skipped"]
    assert [cell["run_id"] for cell in again["cells"]] == [cell["run_id"] for cell in answer["cells"][:2]]
