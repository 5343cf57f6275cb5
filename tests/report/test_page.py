import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest

from emotion_mlflow.comparison.values import Advice, Disagreement, Finding
from emotion_mlflow.report.context import Image
from emotion_mlflow.report.outline import primary_block
from emotion_mlflow.report.page import bar, render_page

PNG = b"\x89PNG\r\n\x1a\n" + b"\x00\x00\x00\rIHDR" + (1000).to_bytes(4, "big") + (600).to_bytes(4, "big")
EVIL = ('<script>alert("1")</script>', '"onload=alert(1) x="')


class Page(HTMLParser):
    """Tags with their attributes, and the words between them."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words += data

    def all(self, name):
        return [attributes for tag, attributes in self.tags if tag == name]


def test_it_loads_nothing_and_its_policy_forbids_all_but_its_own(comparison):
    text = render_page(comparison, [Image(name="roc", alt="Two curves", caption="ROC", png=PNG)])
    page = Page(text)
    policy = next(meta["content"] for meta in page.all("meta") if "http-equiv" in meta)
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    for tag in ("style", "script"):
        held = re.search(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)[1]
        digest = base64.b64encode(hashlib.sha256(held.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    addresses = [a[name] for _, a in page.tags for name in ("src", "href", "srcset", "action") if name in a]
    assert {address.partition(":")[0] if ":" in address else "#" for address in addresses} == {"data", "#"}
    assert "http" not in "".join(addresses)
    assert "url(" not in text


def test_a_figure_has_its_text_alternative_its_size_and_a_caption(comparison):
    page = Page(render_page(comparison, [Image(name="roc", alt='Two "curves"', caption="ROC <both>", png=PNG)]))
    (image,) = page.all("img")
    assert (image["alt"], image["width"], image["height"]) == ('Two "curves"', "1000", "600")
    assert base64.b64decode(image["src"].partition(",")[2]) == PNG
    assert "ROC <both>" in page.words


def test_every_word_of_data_is_escaped(make_comparison):
    one, two = EVIL
    compared = make_comparison(
        EVIL,
        data_name=one,
        test_digest=two,
        warnings=(one, two),
        other_groups=(one,),
        created=two,
        command=one,
        differing={one: dict.fromkeys(EVIL, two)},
        diagnosis=(Finding(side=one, version=two, kind=two, text=one),),
        recommendations=(Advice(side=one, kind="choose", text=one, figure=two),),
        disagreements=(Disagreement(face=one, true=two, answers=dict.fromkeys(EVIL, one), gap=0.5),),
    )
    page = Page(render_page(compared, [Image(name="x", alt=two, caption=one, png=PNG)], ui='http://x"onload='))
    assert len(page.all("script")) == 1
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert page.words.count(one) > 20


@pytest.mark.parametrize("ui", ["", "javascript:alert(1)", "sqlite:///mlflow.db"])
def test_without_a_web_address_nothing_links_out(comparison, ui):
    assert {link["href"][0] for link in Page(render_page(comparison, [], ui=ui)).all("a")} == {"#"}


def test_versions_link_into_mlflow_s_pages(make_comparison):
    compared = make_comparison()
    page = Page(render_page(compared, [], ui="http://127.0.0.1:5000/"))
    out = [link["href"] for link in page.all("a") if link["href"][0] != "#"]
    assert out == [f"http://127.0.0.1:5000/#/models/emotion/versions/{number}" for number in (1, 2)]


def test_contents_name_every_section_and_no_other(comparison, make_comparison):
    for compared in (comparison, make_comparison(warnings=(), diagnosis=(), disagreements=(), recommendations=())):
        page = Page(render_page(compared, []))
        listed = [link["href"][1:] for link in page.all("a") if link.get("class") != "skip"]
        assert listed == [section["id"] for section in page.all("section")]


def test_verdict_comes_first_and_no_clear_winner_is_explained(comparison):
    words = Page(render_page(comparison, [])).words
    assert words.index("resnet50 is better in 6 of 8") < words.index("Origin and settings")
    assert "does not say that the sides are equal" in words


def test_columns_sort_by_buttons_and_say_their_state(comparison):
    page = Page(render_page(comparison, []))
    sortable = [head for head in page.all("th") if "aria-sort" in head]
    assert {head["aria-sort"] for head in sortable} == {"none"}
    assert len([button for button in page.all("button") if button["class"] == "sort"]) == len(sortable)


def test_every_table_sorts_by_every_column_and_back(comparison):
    text = render_page(comparison, [])
    tables = re.findall(r"<table>.*?</table>", text, re.DOTALL)
    assert len(tables) == text.count("<table") > 5
    for table in tables:
        heads, rows = Page(table).all("th"), Page(table).all("tr")[1:]
        assert all("aria-sort" in head or head.get("class") == "picture" for head in heads if head["scope"] == "col")
        assert [row["data-place"] for row in rows] == [str(number) for number in range(1, len(rows) + 1)]


def test_a_bar_has_its_zero_in_the_middle_and_the_better_side_right(comparison):
    lines = {line.label: line for line in primary_block(comparison).lines}
    assert bar(lines["Expression accuracy"]) == (93.3, 114.7, 136.0)  # .06, .12, .18 of .18: 72 + 64 / 3, ...
    assert bar(lines["Valence RMSE"]) == (93.3, 114.7, 136.0)
    low, _, high = bar(lines["Arousal CCC"])
    assert low < 72 < high


def test_the_page_of_three_sides_names_each_pair(make_comparison):
    assert "a − b" in Page(render_page(make_comparison(("a", "b", "c")), [])).words
