"""Recommendations: each sentence's figure holds the sentence's own number."""

import re
from dataclasses import replace

import numpy as np
import pytest

from emotion_mlflow.comparison.advice import advise
from emotion_mlflow.comparison.values import NO_WINNER, Cell, Row

NAMES = ("resnet50", "efficientnetb0")


def row(metric, values, *, names=NAMES, **changes):
    cells = dict(zip(names, (Cell(value=value) for value in values), strict=True))
    told = {"section": "", "split": "", "task": "", "label": metric, "values": cells}
    return Row(metric=metric, **told | changes)


def sides(material, **changes):
    return {name: [material(n, name, seed=n, **changes)] for n, name in enumerate(NAMES, 1)}


def told(found, kind, words):
    return next(one for one in found if one.kind == kind and words in one.text)


def constant(one, label):
    probabilities = np.where(np.arange(8) == label, 0.65, 0.05) * np.ones((len(one.ids), 1))
    return replace(one, answers=replace(one.answers, probabilities=probabilities))


def test_of_two_versions_the_one_that_collapsed_is_named_with_its_own_figure(material):
    fine, gone = material(1, "resnet50", seed=1), constant(material(2, "resnet50", seed=2), 4)
    found = advise([], {"resnet50": [fine, gone], "efficientnetb0": [material(3, "efficientnetb0")]})
    one = told(found, "avoid", "collapsed")
    assert "1 of 2 versions did; emotion/2 answers fear for 100.0% of the test faces" in one.text
    assert one.figure == "emotion/2: largest share of one answer on test faces 1.000"


@pytest.mark.parametrize(
    ("metric", "values", "text", "figure"),
    [
        (
            "latency_ms",
            (10.0, 25.0),
            "beside efficientnetb0 it answers one picture 2.5 times as fast",
            "10 ms against 25",
        ),
        ("model_file_bytes", (4e6, 6e6), "its file is 1.5 times smaller", "4,000,000 bytes against 6,000,000"),
        ("parameters", (100.0, 130.0), "it has 1.3 times fewer parameters", "100 against 130"),
    ],
)
def test_a_cost_that_is_clearly_lower_is_a_reason_to_choose(material, metric, values, text, figure):
    one = told(advise([row(metric, values)], sides(material)), "choose", "Choose resnet50 if cost matters")
    assert text in one.text
    assert figure in one.figure


@pytest.mark.parametrize("values", [(10.0, 12.0), (None, 5.0), (0.0, 5.0)], ids=["close", "unknown", "none"])
def test_a_cost_that_is_close_or_not_known_is_no_reason(material, values):
    assert [one.kind for one in advise([row("latency_ms", values)], sides(material))] == ["none"]


def test_latencies_of_two_machines_are_no_reason(material):
    materials = sides(material)
    elsewhere = material(2, "efficientnetb0", params={"machine/name": "another", "machine/platform": "Linux"})
    rows = [row("latency_ms", (10.0, 25.0)), row("parameters", (100.0, 200.0))]
    texts = " ".join(one.text for one in advise(rows, materials | {"efficientnetb0": [elsewhere]}))
    assert "as fast" not in texts
    assert "2.0 times fewer parameters" in texts


def test_of_three_sides_each_cheaper_pair_is_told(material):
    names = (*NAMES, "mobilenetv3small")
    materials = {name: [material(n, name)] for n, name in enumerate(names, 1)}
    found = advise([row("parameters", (400.0, 200.0, 100.0), names=names)], materials)
    factors = [re.search(r"Choose (\S+) .*beside (\S+) it has (\S+) times", one.text) for one in found]
    assert [match.groups() for match in factors if match] == [
        ("efficientnetb0", "resnet50", "2.0"),
        ("mobilenetv3small", "resnet50", "4.0"),
        ("mobilenetv3small", "efficientnetb0", "2.0"),
    ]


def test_poor_calibration_and_classes_that_are_never_found_are_to_be_avoided(material):
    rows = [
        row("ece", (0.12, 0.1), split="test", task="expression"),
        row("f1_fear", (0.5, 0.049), split="test", task="expression"),
        row("f1_sad", (0.05, 0.0), split="test", task="expression"),
    ]
    found = advise(rows, sides(material))
    assert told(found, "avoid", "resnet50 where probabilities").figure == "test/expression/ece 0.120"
    rare = told(found, "avoid", "efficientnetb0 because it hardly ever finds fear, sad")
    assert rare.figure == "test/expression/f1_fear 0.049; test/expression/f1_sad 0.000"
    assert len([one for one in found if one.kind == "avoid"]) == 2


def test_a_winner_is_recommended_with_its_figures_and_a_p_that_is_never_zero(material):
    known = {"split": "test", "task": "valence", "primary": True, "between": NAMES, "winner": "resnet50"}
    one = row("ccc", (0.5, 0.4), **known, difference=0.1, low=0.05, high=0.15, p=1e-12, p_corrected=8e-12)
    (found,) = advise([one], sides(material))
    assert found.text == "Choose resnet50 if ccc matters: it was tested and found better there."
    assert found.figure == (
        "test/valence/ccc resnet50 0.500, efficientnetb0 0.400; difference 0.100 [0.050, 0.150], corrected p < 0.0001"
    )


@pytest.mark.parametrize(
    ("p", "figure"),
    [
        (0.3, "smallest corrected p of 1 primary rows: valence/ccc 0.30"),
        (None, "0 of 1 primary rows could be tested"),
    ],
)
def test_where_nothing_separates_them_the_figure_says_how_much_was_tested(material, p, figure):
    one = row("ccc", (0.5, 0.5), task="valence", primary=True, p_corrected=p, winner=NO_WINNER if p else None)
    assert advise([one], sides(material))[-1].figure == figure


def test_of_three_sides_it_is_said_that_none_beats_every_other_one(material):
    one = row("ccc", (0.8, 0.8), task="valence", primary=True, p_corrected=1.0, winner=NO_WINNER)
    three = {**sides(material), "third": [material(9, "mobilenetv3small")]}
    told = advise([one], three)[-1]
    assert told.kind == "none"
    assert told.text.startswith("None of ")
    assert "is better than every other one" in told.text
