import csv
import io
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from matplotlib.figure import Figure

from emotion_mlflow.comparison.values import Cell
from emotion_mlflow.errors import DataError
from emotion_mlflow.plots.comparison import Picture
from emotion_mlflow.report.files import SCHEMA, require_folder, to_csv, to_json, write_report

FORMS = ["report.html", "report.md", "comparison.json", "table.csv"]


def a_picture():
    return Picture(figure=Figure(figsize=(8, 2)), alt="A flat line: 0.5", caption="What it shows")


def schema_faults(answer):
    schema = json.loads(SCHEMA.read_text())
    Draft202012Validator.check_schema(schema)
    return [error.message for error in Draft202012Validator(schema).iter_errors(answer)]


def test_every_form_and_figure_is_written_and_named(comparison, tmp_path):
    paths = write_report(tmp_path / "report", comparison, {"flat": a_picture()})
    assert [str(path.relative_to(tmp_path / "report")) for path in paths] == [*FORMS, "figures/flat.png"]
    assert all(path.stat().st_size > 100 for path in paths)
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_a_second_report_replaces_the_first_whole(comparison, tmp_path):
    write_report(tmp_path, comparison, {"flat": a_picture()})
    write_report(tmp_path, comparison, {})
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FORMS)


def test_a_folder_with_other_files_is_left_alone(comparison, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(DataError, match=r"earlier report only; got thesis\.tex in it"):
        write_report(tmp_path, comparison, {})
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_a_report_that_fails_leaves_nothing_behind(comparison, tmp_path):
    broken = replace(comparison, rows=(replace(comparison.rows[0], better="sideways", low="x"), *comparison.rows[1:]))
    with pytest.raises(TypeError):
        write_report(tmp_path / "report", replace(broken, faces=object()), {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "check", [require_folder, lambda folder: write_report(folder, None, {})], ids=["early", "late"]
)
@pytest.mark.parametrize("place", ["file/report", "file/a/b", "."])
def test_a_place_that_takes_no_report_is_told_in_one_line(tmp_path, monkeypatch, check, place):
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    folder = Path(place) if place == "." else tmp_path / place
    with pytest.raises(DataError, match="expected a folder "):
        check(folder)


def test_a_place_that_is_only_looked_at_is_left_as_it_was(tmp_path):
    require_folder(tmp_path / "new" / "report")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("seeds", [1, 3])
def test_the_json_is_what_the_published_schema_says(make_comparison, tmp_path, seeds):
    write_report(tmp_path / "report", make_comparison(("a", "b", "c"), seeds=seeds), {})
    answer = json.loads((tmp_path / "report" / "comparison.json").read_text())
    assert schema_faults(answer) == []
    assert [model["name"] for model in answer["models"]] == ["a", "b", "c"]


def test_the_schema_refuses_what_is_not_a_comparison(comparison, tmp_path):
    write_report(tmp_path / "report", comparison, {})
    answer = json.loads((tmp_path / "report" / "comparison.json").read_text())
    answer["rows"][0]["winner"] = 5
    del answer["rows"][1]["p"]
    assert sorted(schema_faults(answer)) == ["'p' is a required property", "5 is not of type 'string', 'null'"]


@pytest.mark.parametrize(
    "place",
    [
        lambda answer: answer,
        lambda answer: answer["models"][0],
        lambda answer: answer["rows"][0],
        lambda answer: answer["rows"][0]["values"]["resnet50"],
        lambda answer: answer["diagnosis"][0],
        lambda answer: answer["recommendations"][0],
        lambda answer: answer["disagreements"][0],
    ],
    ids=["top", "model", "row", "cell", "diagnosis", "recommendation", "disagreement"],
)
def test_the_schema_refuses_a_key_it_does_not_know(comparison, place):
    answer = json.loads(to_json(comparison))
    place(answer)["more"] = 1
    (fault,) = schema_faults(answer)
    assert "'more' was unexpected" in fault


def test_what_is_not_defined_is_null_in_json(comparison, tmp_path):
    first = replace(comparison.rows[0], values={name: Cell(value=math.nan) for name in comparison.names})
    write_report(tmp_path / "report", replace(comparison, rows=(first,)), {})
    answer = json.loads((tmp_path / "report" / "comparison.json").read_text())
    assert answer["rows"][0]["values"]["resnet50"] == {"value": None, "low": None, "high": None, "bounds": None}
    assert schema_faults(answer) == []


def test_the_table_has_a_line_a_row_with_unrounded_figures(comparison):
    lines = list(csv.DictReader(io.StringIO(to_csv(comparison))))
    assert len(lines) == len(comparison.rows)
    (line,) = [line for line in lines if line["label"] == "Valence RMSE"]
    assert float(line["efficientnetb0"]) == comparison.row("test/valence/rmse").values["efficientnetb0"].value
    assert (line["winner"], line["primary"], line["p_corrected"]) == ("resnet50", "true", "0.00024")
    assert lines[3]["published efficientnetb0 (other data)"] == "0.364"


def test_a_name_that_a_spreadsheet_would_run_is_made_harmless(make_comparison):
    table = to_csv(make_comparison(("=HYPERLINK(1)", "b")))
    assert "'=HYPERLINK(1)" in table
    assert ",=HYPERLINK(1)" not in table
