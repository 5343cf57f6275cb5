import dataclasses

import pytest

from emotion_mlflow.comparison.values import NO_WINNER, p_value
from emotion_mlflow.report import wording


@pytest.mark.parametrize(
    ("name", "value", "written"),
    [
        ("test/expression/accuracy", 0.55349, "0.553"),
        ("test/landmarks/nme", 0.04712, "0.0471"),
        ("parameters", 23_587_712.0, "23,587,712"),
        ("model_file_bytes", 98_312_345.0, "98.3"),
        ("latency_ms", 31.2449, "31.2"),
        ("epochs", 27.0, "27"),
        ("test/valence/ccc", "very low", "very low"),
        ("test/valence/ccc", None, ""),
    ],
)
def test_a_figure_is_written_as_its_metric_is_read(comparison, name, value, written):
    assert wording.figure(comparison.row(name), value) == written


def test_bytes_are_shown_and_named_as_megabytes(comparison):
    assert wording.title(comparison.row("model_file_bytes")) == "Model file (MB)"


def test_a_difference_has_its_sign_and_so_have_its_bounds(comparison):
    row = comparison.row("test/valence/rmse")
    assert wording.difference(row) == "−0.080"
    assert wording.bounds(row, -0.12, 0.0001, signed=True) == "[−0.120, 0.000]"


@pytest.mark.parametrize(("p", "written"), [(0.00002, "< 0.0001"), (0.0312, "0.0312"), (0.4, "0.40"), (None, "")])
def test_a_p_value_is_never_written_as_zero(p, written):
    assert p_value(p) == written


def test_the_verdict_names_the_rows_of_each_winner_and_the_open_ones(make_comparison):
    compared = make_comparison(gaps=(0.12, 0.1, -0.15, 0.0, 0.0, 0.0, 0.0, 0.0))
    assert wording.verdict(compared) == (
        "resnet50 is better in 2 of 8 primary rows (Expression accuracy, Expression macro F1); "
        "efficientnetb0 is better in 1 of 8 primary rows (Valence CCC); no clear winner in 5 (Valence RMSE, "
        "Arousal CCC, Arousal RMSE, Landmarks NME, Expression calibration error (ECE))."
    )


def test_the_verdict_without_any_winner_says_so(make_comparison):
    said = wording.verdict(make_comparison(gaps=(0.0,) * 8))
    assert said.startswith("No clear winner in any of the 8 primary rows (Expression accuracy, ")


def test_without_a_primary_row_no_winner_is_named(make_comparison):
    assert wording.verdict(make_comparison(rows=())) == "No primary row could be tested, so no winner is named."


def test_two_seeds_speak_of_versions_and_three_of_trainings(make_comparison):
    assert "these versions are compared, not the backbones" in wording.scope(make_comparison(seeds=2))
    assert "training procedures are compared" in wording.scope(make_comparison(seeds=3))
    assert any("permutation test" in part for part in wording.method(make_comparison(seeds=2)))
    assert any("Satterthwaite" in part for part in wording.method(make_comparison(seeds=3)))


def test_the_method_says_where_intervals_and_p_come_from(make_comparison):
    versions, trainings = (" ".join(wording.method(make_comparison(seeds=seeds))) for seeds in (1, 3))
    assert "Intervals of 95 % come from a paired bootstrap of 10,000 resamples" in versions
    assert "the larger one counts" in versions
    assert "Intervals of 95 % are Student's t" in trainings
    assert "permutation" not in trainings
    for said in (versions, trainings):
        assert "a bootstrap of 2,000 resamples" in said
        assert "Figures on validation faces have no interval" in said


def test_the_method_says_how_versions_and_epochs_were_chosen(make_comparison):
    chosen = make_comparison(seeds=1)
    on_test = dataclasses.replace(
        chosen, sides=tuple(dataclasses.replace(side, selected_on_test=True) for side in chosen.sides)
    )
    named = dataclasses.replace(
        chosen, sides=tuple(dataclasses.replace(side, name=f"emotion/{side.name}") for side in chosen.sides)
    )
    three = dataclasses.replace(chosen, sides=(*chosen.sides, chosen.sides[0]))
    assert "never by a figure on test faces" in " ".join(wording.method(chosen))
    assert "Validation faces were the test faces" in " ".join(wording.method(on_test))
    assert "never by a figure on test faces" not in " ".join(wording.method(on_test))
    assert "Versions were named by hand." in " ".join(wording.method(named))
    assert wording.method(chosen)[0].startswith("Both sides answered")
    assert wording.method(three)[0].startswith("All sides answered")


def test_what_steers_a_terminal_is_written_as_its_escape():
    assert wording.plain("a\x1b[31mb\nc\u202e") == "a\\x1b[31mb c\\u202e"


def test_a_winner_that_no_test_names_is_not_counted_as_won(comparison):
    rows = tuple(dataclasses.replace(row, winner=NO_WINNER if row.primary else None) for row in comparison.rows)
    assert "is better" not in wording.verdict(dataclasses.replace(comparison, rows=rows))
