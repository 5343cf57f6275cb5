import pytest

from emotion_mlflow.promotion.chain import history


def entry(version, previous, kind="promoted"):
    return {"version": version, "previous": previous, "kind": kind, "time": "2026-11-25T10:00:00+00:00", "by": "me"}


def told(moves):
    return [(move.version, move.previous, move.kind, move.gated) for move in moves]


def test_nothing_happened_is_an_empty_chain():
    assert history([], current=None) == []


def test_promotions_follow_each_other():
    moves = history([entry("1", None), entry("4", "1")], current="4")
    assert told(moves) == [("1", None, "promoted", True), ("4", "1", "promoted", True)]


def test_an_alias_that_differs_from_the_last_entry_was_moved_by_hand():
    moves = history([entry("1", None)], current="2")
    assert told(moves)[-1] == ("2", "1", "by hand", False)


def test_an_alias_taken_away_is_a_move_by_hand_to_nobody():
    assert told(history([entry("1", None)], current=None))[-1] == ("", "1", "by hand", False)


def test_an_alias_set_before_any_promotion_was_set_by_hand():
    assert told(history([], current="5")) == [("5", None, "by hand", False)]


def test_a_move_by_hand_between_two_promotions_is_put_between_them():
    moves = history([entry("1", None), entry("4", "3")], current="4")
    assert told(moves)[1] == ("3", "1", "by hand", False)


def test_a_rollback_to_a_promoted_version_counts_as_gated():
    moves = history([entry("1", None), entry("2", "1"), entry("1", "2", "rollback")], current="1")
    assert told(moves)[-1] == ("1", "2", "rollback", True)


def test_a_rollback_to_a_version_that_never_passed_is_marked():
    moves = history([entry("2", "1"), entry("1", "2", "rollback")], current="1")
    assert told(moves) == [("1", None, "by hand", False), ("2", "1", "promoted", True), ("1", "2", "rollback", False)]


def test_a_promotion_that_was_killed_before_it_moved_leaves_no_trace():
    begun = entry("2", "1") | {"begun": True}
    assert told(history([entry("1", None), begun], current="1")) == [("1", None, "promoted", True)]
    later = history([entry("1", None), begun, entry("3", "1")], current="3")
    assert told(later) == [("1", None, "promoted", True), ("3", "1", "promoted", True)]


def test_a_promotion_that_was_killed_after_it_moved_counts():
    begun = entry("2", "1") | {"begun": True}
    assert told(history([entry("1", None), begun], current="2"))[-1] == ("2", "1", "promoted", True)


def test_a_move_back_by_hand_is_no_promotion_that_was_killed():
    moves = history([entry("1", None), entry("2", "1")], current="1")
    assert told(moves)[-1] == ("1", "2", "by hand", False)


@pytest.mark.parametrize("broken", [{}, {"version": 7}, {"version": "7", "kind": "magic"}])
def test_an_edited_entry_does_not_stop_the_history(broken):
    assert history([broken], current=None)[0].kind == "by hand"
