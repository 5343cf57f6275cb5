import math
from dataclasses import replace

import pytest

from emotion_mlflow.promotion.gates import Champion, Contest, Cost, Facts, Missing, Recall, Reload, judge, passed
from emotion_mlflow.promotion.limits import read_limits

LIMITS = read_limits()
COST = Cost(latency_ms=40.0, file_bytes=20e6, machine="here CPU")
GOOD = Facts(
    status="FINISHED",
    selected_on_test=False,
    clean=True,
    champion=None,
    cost=COST,
    ece=0.05,
    recalls=[Recall(expression="happy", faces=100, recall=0.7), Recall(expression="fear", faces=30, recall=0.1)],
    reload=Reload(pictures=32, largest=1e-6, task="expression"),
)


def gate(facts, name, limits=LIMITS):
    return next(one for one in judge(facts, limits) if one.name == name)


def against(*, difference, bound, p, metric="expression/macro_f1", cost=COST):
    one = Contest(metric=metric, candidate=0.5 + difference, champion=0.5, difference=difference, bound=bound, p=p)
    return Champion(version="3", cost=cost, contests=[one])


def test_a_good_first_version_passes_every_gate():
    gates = judge(GOOD, LIMITS)
    assert passed(gates)
    assert [one.name for one in gates] == [
        "finished",
        "not_selected_on_test",
        "clean_git",
        "better_than_champion",
        "ece",
        "latency_ms",
        "model_file_mb",
        "recall",
        "reload",
    ]


def test_no_gate_is_no_pass():
    assert not passed([])


def test_without_a_champion_the_gate_says_that_the_others_decide():
    one = gate(GOOD, "better_than_champion")
    assert (one.passed, one.value) == (True, None)
    assert one.why == "there is no champion yet: the other gates decide"


@pytest.mark.parametrize(
    ("changes", "name", "words"),
    [
        ({"status": "FAILED"}, "finished", "the training run is FAILED"),
        ({"selected_on_test": True}, "not_selected_on_test", "chosen on the test faces"),
        ({"clean": False}, "clean_git", "no commit holds (see --allow-dirty)"),
        ({"ece": 0.16}, "ece", "0.16 is above 0.15"),
        ({"cost": replace(COST, latency_ms=501.0)}, "latency_ms", "501 is above 500"),
        ({"cost": replace(COST, file_bytes=251e6)}, "model_file_mb", "251 is above 250"),
        ({"recalls": [Recall(expression="fear", faces=30, recall=0.0)]}, "recall", "never recognised: fear (30 faces)"),
        ({"reload": Reload(pictures=32, largest=0.01, task="valence")}, "reload", "not reproduced"),
        ({"reload": Reload(pictures=32, largest=math.inf, task="valence")}, "reload", "difference inf, in valence"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_one_fault_fails_its_own_gate_alone(changes, name, words):
    gates = judge(replace(GOOD, **changes), LIMITS)
    assert [one.name for one in gates if not one.passed] == [name]
    assert words in gate(replace(GOOD, **changes), name).why


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"selected_on_test": Missing("no tag")}, "not_selected_on_test"),
        ({"clean": Missing("no tag")}, "clean_git"),
        ({"ece": Missing("no tag")}, "ece"),
        ({"cost": replace(COST, latency_ms=Missing("no tag"))}, "latency_ms"),
        ({"cost": replace(COST, file_bytes=Missing("no tag"))}, "model_file_mb"),
        ({"recalls": Missing("no tag")}, "recall"),
        ({"reload": Missing("no tag")}, "reload"),
        ({"champion": Champion(version="3", cost=COST, contests=Missing("no tag"))}, "better_than_champion"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_missing_figure_fails_its_gate_and_says_which(changes, name):
    one = gate(replace(GOOD, **changes), name)
    assert (one.passed, one.value) == (False, None)
    assert "no tag" in one.why


def test_limits_themselves_pass():
    facts = replace(GOOD, ece=0.15, cost=replace(COST, latency_ms=500.0, file_bytes=250e6))
    assert passed(judge(facts, LIMITS))


def test_a_dirty_tree_passes_where_allowed_and_the_gate_says_so():
    one = gate(replace(GOOD, clean=False, allow_dirty=True), "clean_git")
    assert (one.passed, one.value) == (True, "dirty")
    assert "let through by --allow-dirty" in one.why


def test_an_expression_with_29_faces_is_not_judged_and_named():
    recalls = [Recall(expression="happy", faces=50, recall=0.5), Recall(expression="fear", faces=29, recall=0.0)]
    one = gate(replace(GOOD, recalls=recalls), "recall")
    assert one.passed
    assert "too few faces to judge fear" in one.why


def test_too_few_faces_of_every_expression_pass_in_words():
    one = gate(replace(GOOD, recalls=[Recall(expression="happy", faces=4, recall=0.0)]), "recall")
    assert one.passed
    assert "no expression has 30 test faces (at most 4)" in one.why


def test_without_expression_its_gates_do_not_apply():
    facts = replace(GOOD, ece=None, recalls=None)
    assert "expression was not learnt" in gate(facts, "ece").why
    assert passed(judge(facts, LIMITS))


def test_a_better_version_passes_though_it_costs_more():
    champion = against(difference=0.04, bound=0.01, p=0.05, cost=replace(COST, file_bytes=1e6, latency_ms=1.0))
    one = gate(replace(GOOD, champion=champion), "better_than_champion")
    assert (one.passed, one.value, one.limit) == (True, pytest.approx(0.04), 0.0)
    assert one.why.startswith("better than version 3: expression/macro_f1 0.540 against 0.500")


def test_a_difference_that_may_be_chance_is_not_better():
    one = gate(replace(GOOD, champion=against(difference=0.04, bound=-0.001, p=0.06)), "better_than_champion")
    assert not one.passed
    assert "not 1.25 times cheaper (1.00 times faster, 1.00 times smaller)" in one.why


def test_a_significantly_worse_version_is_refused_however_cheap():
    cheap = replace(COST, file_bytes=20e9)
    one = gate(
        replace(GOOD, champion=against(difference=-0.1, bound=-0.12, p=0.001, cost=cheap)), "better_than_champion"
    )
    assert not one.passed
    assert one.limit == -0.02


def test_not_worse_and_a_quarter_smaller_passes():
    champion = against(difference=-0.005, bound=-0.0199, p=0.6, cost=replace(COST, file_bytes=25e6))
    one = gate(replace(GOOD, champion=champion), "better_than_champion")
    assert (one.passed, one.value, one.limit) == (True, -0.0199, -0.02)
    assert "cheaper by 1.25 or more (1.00 times faster, 1.25 times smaller)" in one.why


@pytest.mark.parametrize(("latency", "allowed"), [(32.0, True), (31.9, False)])
def test_a_smaller_version_may_not_be_as_much_slower(latency, allowed):
    # 25 / 20 = 1.25 times smaller; 32 / 40 = 1 / 1.25 times faster
    champion = against(difference=0.0, bound=-0.01, p=0.9, cost=replace(COST, file_bytes=25e6, latency_ms=latency))
    assert gate(replace(GOOD, champion=champion), "better_than_champion").passed is allowed


def test_a_bound_at_the_margin_is_not_above_it():
    champion = against(difference=-0.005, bound=-0.02, p=0.6, cost=replace(COST, file_bytes=25e6))
    assert not gate(replace(GOOD, champion=champion), "better_than_champion").passed


def test_latencies_of_two_machines_are_not_compared():
    champion = against(difference=0.0, bound=-0.01, p=0.9, cost=replace(COST, latency_ms=400.0, machine="there"))
    one = gate(replace(GOOD, champion=champion), "better_than_champion")
    assert not one.passed
    assert "measured on different machines" in one.why


def test_a_champion_without_costs_leaves_cheaper_unknown():
    champion = against(difference=0.0, bound=-0.01, p=0.9, cost=Missing("its run is gone"))
    one = gate(replace(GOOD, champion=champion), "better_than_champion")
    assert not one.passed
    assert "whether it is cheaper is not known: its run is gone" in one.why


@pytest.mark.parametrize(("second", "better"), [(0.04, True), (0.2, False)], ids=["both", "one only"])
def test_without_expression_every_affect_task_must_be_better(second, better):
    first = against(difference=0.05, bound=0.02, p=0.01, metric="valence/ccc").contests
    other = against(difference=0.05, bound=0.02, p=second, metric="arousal/ccc").contests
    champion = Champion(version="3", cost=COST, contests=[*first, *other])
    assert gate(replace(GOOD, champion=champion), "better_than_champion").passed is better
