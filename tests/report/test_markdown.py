import re

import pytest
from markdown_it import MarkdownIt

from emotion_mlflow.report.context import Image
from emotion_mlflow.report.markdown import escaped, render_markdown

GITHUB = MarkdownIt("gfm-like", {"linkify": False})
NASTY = "a|b <script>alert(1)</script> `x` *y* _z_ [l](javascript:1) $m$ ~~s~~ \\"


def tables(text):
    return re.findall(r"<table>.*?</table>", GITHUB.render(text), re.DOTALL)


def test_every_section_becomes_a_table_with_a_line_a_row(comparison):
    made = tables(render_markdown(comparison, []))
    # what is compared, primary rows, six sections, disagreements
    assert len(made) == 9
    assert made[1].count("<tr>") == 1 + 8


def test_the_winner_is_bold_and_an_open_row_is_not(comparison):
    text = render_markdown(comparison, [])
    assert "| Valence RMSE | **0.500** [0.473, 0.527] | 0.580 [0.553, 0.607] |" in text
    assert "| −0.080 [−0.120, −0.040] | 0.0002 | **resnet50** |" in text
    assert "| 1.00 | no clear winner |" in text


def test_figures_are_named_with_their_text_alternative(comparison):
    image = Image(name="roc", alt="Two curves", caption="ROC of both", png=b"")
    assert "![Two curves](figures/roc.png)\n\nROC of both\n" in render_markdown(comparison, [image])


@pytest.mark.parametrize("text", [NASTY, "# no heading", "- no list", "1. no list", "a\n\nb", "<b>", "&lt;"])
def test_data_is_read_as_the_words_it_is(text):
    shown = re.sub(r"<[^>]+>", "", GITHUB.render(f"- {escaped(text)}\n")).strip()
    one_line = " ".join(text.split())
    assert shown == one_line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert GITHUB.render(escaped(text)).startswith("<p>")


def test_a_name_with_a_border_keeps_its_table_whole(make_comparison):
    made = tables(render_markdown(make_comparison((NASTY, "b|c")), []))
    assert len(made) == 9
    rows = re.findall(r"<tr>.*?</tr>", made[1], re.DOTALL)
    assert {len(re.findall(r"<t[hd]", row)) for row in rows} == {8}
    assert "<script>" not in "".join(made)


def test_the_forms_say_what_no_clear_winner_means_only_where_there_is_one(comparison, make_comparison):
    assert "does not say that the sides are equal" in render_markdown(comparison, [])
    decided = make_comparison(gaps=(0.12, 0.1, 0.15, -0.08, 0.2, -0.1, -0.02, -0.03))
    assert "does not say that the sides are equal" not in render_markdown(decided, [])
