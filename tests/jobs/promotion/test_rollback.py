"""`rollback` and `history`, and the three commands at the terminal."""

import json

import pytest

from emotion_mlflow.cli.progress import PlainReporter
from emotion_mlflow.errors import ModelError, TrackingError
from emotion_mlflow.jobs.promotion import history, rollback
from emotion_mlflow.jobs.promotion_request import HistoryRequest, RollbackRequest
from emotion_mlflow.tracking import aliases, runs
from tests.jobs.promotion.versions import back, failed, held


def test_a_rollback_swaps_champion_and_previous_and_is_written_down(client, name, uri, add):
    for alias in ("previous", "champion"):
        client.set_registered_model_alias(name, alias, add())
    decision = back(name, uri)
    assert (decision.promoted, decision.version, decision.previous) == (True, "1", "2")
    assert held(client, name) == {"champion": "1", "previous": "2"}
    run = client.get_run(decision.run_id)
    assert (run.info.status, run.data.tags["kind"], run.data.tags["decision"]) == ("FINISHED", "rollback", "moved")
    moves = history(HistoryRequest(model_name=name)).moves
    assert [(move.version, move.kind, move.gated) for move in moves] == [
        ("2", "by hand", False),
        ("1", "rollback", False),
    ]


def test_without_a_previous_a_rollback_is_a_mistake_and_no_run(client, name, uri, add):
    client.set_registered_model_alias(name, "champion", add())
    before = len(client.search_runs(["1"]))
    with pytest.raises(ModelError, match="a version @previous to go back to; got none"):
        back(name, uri)
    assert len(client.search_runs(["1"])) == before


def test_a_rollback_waits_for_no_promotion(client, name, uri, add):
    for alias in ("previous", "champion"):
        client.set_registered_model_alias(name, alias, add())
    with aliases.holding(name, seconds=30):
        decision = back(name, uri)
    assert (decision.refused, failed(decision)) == (True, ["lease"])
    assert held(client, name) == {"champion": "2", "previous": "1"}


def test_a_rollback_moves_the_champion_first(client, name, uri, add, moved):
    for alias in ("previous", "champion"):
        client.set_registered_model_alias(name, alias, add())
    back(name, uri)
    assert moved == [("champion", "1"), ("previous", "2")]


def test_another_alias_has_a_previous_and_a_chain_of_its_own(client, name, uri, add):
    for alias in ("previous_canary", "canary"):
        client.set_registered_model_alias(name, alias, add())
    asked = RollbackRequest(model_name=name, tracking_uri=uri, to="canary")
    assert rollback(asked, PlainReporter()).version == "1"
    assert held(client, name) == {"canary": "1", "previous_canary": "2"}
    moves = history(HistoryRequest(model_name=name, to="canary")).moves
    assert [(move.version, move.kind) for move in moves] == [("2", "by hand"), ("1", "rollback")]
    assert history(HistoryRequest(model_name=name)).moves == ()


def test_what_cannot_be_written_after_a_move_is_a_warning(client, name, uri, add, monkeypatch, capsys):
    for alias in ("previous", "champion"):
        client.set_registered_model_alias(name, alias, add())

    def refuse(self, *told):
        raise TrackingError("a server", got="none")

    monkeypatch.setattr(runs.Run, "log_text", refuse)
    decision = back(name, uri)
    assert (decision.promoted, held(client, name)["champion"]) == (True, "1")
    assert client.get_run(decision.run_id).info.status == "FINISHED"
    assert "@champion is version 1, but not all could be written" in capsys.readouterr().err


# At the command line.


def test_the_command_answers_one_object_and_exits_with_1_when_refused(typed, name, uri, add):
    place = ["--model-name", name, "--tracking-uri", uri]
    code, out, _ = typed("promote", "--version", add(), "--json", *place)
    answer = json.loads(out)
    assert code == 1
    assert list(answer)[:5] == ["promoted", "version", "alias", "previous", "run_id"]
    assert set(answer["gates"][0]) == {"name", "value", "limit", "passed", "why"}
    assert answer["promoted"] is False


def test_the_table_shows_every_gate_and_the_end(typed, name, uri, add, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    place = ["--model-name", name, "--tracking-uri", uri]
    code, out, _ = typed("promote", "--version", add(), "--dry-run", *place)
    assert code == 1
    assert out.count("passed") >= 8
    assert "REFUSED" in out
    assert "would be refused; nothing moved" in out


def test_the_commands_tell_mistakes_with_exit_code_2(typed, name, uri):
    place = ["--model-name", name, "--tracking-uri", uri]
    assert typed("promote", "--version", "7", *place)[0] == 2
    code, out, err = typed("rollback", *place)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert typed("history", "--model-name", "nobody", "--tracking-uri", uri)[0] == 2


def test_history_marks_what_passed_no_gate(typed, client, name, uri, add, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    place = ["--model-name", name, "--tracking-uri", uri]
    code, out, _ = typed("history", *place)
    assert (code, out.strip()) == (0, f"{name} has never had a @champion")
    client.set_registered_model_alias(name, "champion", add())
    assert "NO GATE PASSED" in typed("history", *place)[1]
    answer = json.loads(typed("history", "--json", *place)[1])
    assert (answer["current"], answer["moves"][0]["gated"]) == ("1", False)
