import io

import pytest
from rich.console import Console

from emotion_mlflow.report.terminal import show

THREE = ("resnet50", "efficientnetb0", "mobilenetv3small")


def printed(comparison, width=120, encoding="utf-8"):
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, newline="")
    show(Console(file=stream, width=width, color_system=None, force_terminal=False), comparison)
    stream.flush()
    return raw.getvalue().decode(encoding)


def test_it_opens_with_what_is_compared_and_closes_with_the_verdict(comparison):
    lines = printed(comparison, width=1000).splitlines()
    assert lines[0] == "Comparing resnet50 and efficientnetb0"
    assert lines[1] == "on the same 1,291 test faces of faces (digest 1a2b3c4d5e6f)"
    assert lines[-1].startswith("resnet50 is better in 6 of 8 primary rows (Expression accuracy, ")


def test_a_setting_that_differs_is_marked(comparison):
    (line,) = [line for line in printed(comparison).splitlines() if line.startswith("training.learning_rate")]
    assert line.split() == ["training.learning_rate", "0.001", "0.0001", "<-", "differs"]


def test_a_winner_is_seen_without_colour(comparison):
    (line,) = [line for line in printed(comparison, width=160).splitlines() if line.startswith("Valence RMSE")]
    assert line.rstrip().endswith("0.0002  * resnet50")
    assert "* 0.500 [.473,\u00a0.527]" in line
    assert "-0.080 [-.120,\u00a0-.040]" in line


def test_an_open_row_says_no_clear_winner(comparison):
    (line,) = [line for line in printed(comparison, width=160).splitlines() if line.startswith("Arousal RMSE")]
    assert line.rstrip().endswith("no clear winner")
    assert "*" not in line


@pytest.mark.parametrize("width", [120, 80])
@pytest.mark.parametrize("names", [THREE[:2], THREE, ("emotion/12", "runs:/0123456789abcdef0123456789abcdef")])
def test_no_line_is_wider_than_the_terminal(make_comparison, width, names):
    assert max(len(line) for line in printed(make_comparison(names), width).splitlines()) <= width


def test_published_figures_say_that_they_are_of_other_data(comparison):
    text = printed(comparison)
    assert "published," in text
    assert "other data" in text
    assert "0.125 / 0.364" in text


def test_a_narrow_terminal_says_where_the_published_figures_are(comparison):
    text = " ".join(printed(comparison, width=80).split())
    assert "0.125 / 0.364" not in text
    assert "They are in the report's files: the terminal is narrow." in text


def test_warnings_findings_and_advice_with_its_figure_are_printed(comparison):
    text = printed(comparison, width=200)
    assert "Warning: the starting weights are not of the same kind" in text
    assert "efficientnetb0, emotion/2: collapsed to one class" in text
    assert "- Choose resnet50 if Expression macro F1 matters." in text
    assert "test/expression/macro_f1 0.500 against 0.400" in text


def test_markup_and_escapes_in_data_steer_nothing(make_comparison):
    text = printed(make_comparison(data_name="[bold]faces[/bold]\x1b[2J"))
    assert "[bold]faces[/bold]\\x1b[2J" in text
    assert "\x1b" not in text


def test_a_terminal_that_knows_latin_letters_only_can_show_it(make_comparison):
    assert "resnet50 -" in printed(make_comparison(THREE), encoding="latin-1")
