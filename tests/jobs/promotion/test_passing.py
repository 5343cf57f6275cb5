"""`promote` with a real model: what passes, and what happens meanwhile."""

import pytest

from emotion_mlflow.cli.progress import PlainReporter
from emotion_mlflow.errors import TrackingError
from emotion_mlflow.jobs.promotion import history
from emotion_mlflow.jobs.promotion_request import HistoryRequest
from emotion_mlflow.reproduce import read_check
from emotion_mlflow.tracking import aliases
from tests.jobs.promotion.versions import back, failed, gate, held


@pytest.fixture(scope="module")
def model(trained, tmp_path_factory):
    """(a saved model's folder, its answers to the drawn faces)."""
    place = tmp_path_factory.mktemp("model")
    check = read_check(trained.file("predictions/check.parquet", place))
    return trained.model(place), check


@pytest.mark.slow
def test_the_first_champion_needs_the_absolute_gates_alone(client, name, add, ask, model):
    decision = ask(version=str(add(model=model)))
    assert (decision.promoted, decision.previous, failed(decision)) == (True, None, [])
    assert held(client, name) == {"champion": "1"}
    assert client.get_run(decision.run_id).info.status == "FINISHED"
    version = client.get_model_version(name, "1")
    assert (version.tags["promoted_to"], version.tags["promotion_run"]) == ("champion", decision.run_id)


@pytest.mark.slow
def test_a_better_one_follows_goes_back_and_the_chain_tells_it(client, name, uri, add, ask, model):
    assert ask(version=str(add(right=0.4, model=model))).promoted
    second = ask(version=str(add(right=0.9, seed=3, model=model)))
    assert (second.promoted, second.previous) == (True, "1")
    assert held(client, name) == {"champion": "2", "previous": "1"}
    assert back(name, uri).version == "1"
    moves = history(HistoryRequest(model_name=name)).moves
    told = [(move.version, move.previous, move.kind, move.gated) for move in moves]
    assert told == [("1", None, "promoted", True), ("2", "1", "promoted", True), ("1", "2", "rollback", True)]
    assert moves[1].run_id == second.run_id


@pytest.mark.slow
def test_the_description_is_the_model_card_and_says_what_may_not_be_done(client, name, add, ask, model):
    ask(version=str(add(model=model)))
    card = client.get_model_version(name, "1").description
    for words in (
        "A face shows an expression, not what somebody feels",
        "Article 5(1)(f)",
        "at work or in education",
        "expression macro f1",
        "| neutral | ",
        "Decided ",
    ):
        assert words in card
    assert "<b>" not in card
    assert r"by \<b\>hand" in card


@pytest.mark.slow
def test_answers_that_the_model_does_not_reproduce_are_refused(client, name, add, ask, model):
    folder, check = model
    decision = ask(version=str(add(model=(folder, check.assign(valence=check["valence"] + 0.01)))))
    assert failed(decision) == ["reload"]
    assert gate(decision, "reload").value == pytest.approx(0.01, rel=0.01)


@pytest.fixture
def meanwhile(monkeypatch):
    """Something that happens after the gates were judged, while the reporter is told of the move."""

    def happen(action):
        def stage(self, name):
            if name == "moving the alias":
                action()

        monkeypatch.setattr(PlainReporter, "stage", stage)

    return happen


@pytest.mark.slow
def test_a_promotion_moves_previous_first(client, name, add, ask, model, moved):
    client.set_registered_model_alias(name, "champion", add(right=0.4))
    assert ask(version=str(add(right=0.9, seed=3, model=model))).promoted
    assert moved == [("previous", "1"), ("champion", "2")]


@pytest.mark.slow
@pytest.mark.parametrize("amiss", ["the entry's second writing", "the tags", "the card"])
def test_a_promotion_that_moved_stays_one_whatever_fails_then(client, name, add, ask, model, monkeypatch, amiss):
    def refuse(*told, **fields):
        raise TrackingError("a server", got="none")

    write = aliases.write_entry
    if amiss == "the tags":
        monkeypatch.setattr("emotion_mlflow.tracking.registry.tag_version", refuse)
    elif amiss == "the card":
        monkeypatch.setattr(aliases, "describe", refuse)
    else:
        monkeypatch.setattr(aliases, "write_entry", lambda *a, key="": refuse() if key else write(*a))
    decision = ask(version=str(add(model=model)))
    assert (decision.promoted, held(client, name)) == (True, {"champion": "1"})
    assert client.get_run(decision.run_id).info.status == "FINISHED"
    moves = history(HistoryRequest(model_name=name)).moves
    assert [(move.version, move.kind, move.gated) for move in moves] == [("1", "promoted", True)]


@pytest.mark.slow
def test_a_promotion_that_cannot_be_written_down_moves_nothing(client, name, add, ask, model, monkeypatch):
    def lost(*told, **fields):
        raise aliases.LeaseLostError("its own lease", got="another promotion's")

    monkeypatch.setattr(aliases, "write_entry", lost)
    with pytest.raises(aliases.LeaseLostError):
        ask(version=str(add(model=model)))
    assert held(client, name) == {}


@pytest.mark.slow
def test_a_champion_that_somebody_moved_meanwhile_refuses_the_promotion(client, name, add, ask, model, meanwhile):
    numbers = [add(model=model) for _ in range(2)]
    meanwhile(lambda: client.set_registered_model_alias(name, "champion", numbers[1]))
    decision = ask(version=str(numbers[0]))
    assert failed(decision) == ["same_champion"]
    assert (decision.promoted, held(client, name)) == (False, {"champion": "2"})


@pytest.mark.slow
def test_a_lease_taken_over_meanwhile_refuses_the_promotion(client, name, add, ask, model, meanwhile):
    number = add(model=model)
    meanwhile(lambda: client.create_experiment(f"promotion lease {name} 2"))
    decision = ask(version=str(number))
    assert failed(decision) == ["lease"]
    assert (decision.promoted, held(client, name)) == (False, {})


@pytest.mark.slow
def test_a_dry_run_that_would_pass_moves_nothing(client, name, add, ask, model):
    decision = ask(version=str(add(model=model)), dry_run=True)
    assert (decision.passed, decision.promoted, decision.refused) == (True, False, False)
    assert held(client, name) == {}


@pytest.mark.slow
def test_a_champion_scored_on_faces_that_cannot_be_had_fails_the_gate_with_the_reason(client, name, add, ask, model):
    client.set_registered_model_alias(name, "champion", add(digest="bbbb", model=model))
    one = gate(ask(version=str(add(right=0.9, model=model))), "better_than_champion")
    assert not one.passed
    assert "of the champion: it cannot be scored on the candidate's test faces: expected " in one.why
