"""`promote` refuses, and no model is needed for that; mistakes are told."""

import json
from pathlib import Path

import pytest

from emotion_mlflow.errors import ConfigError, ModelError
from emotion_mlflow.jobs.promotion import history
from emotion_mlflow.jobs.promotion_request import HistoryRequest, PromoteRequest
from emotion_mlflow.tracking import aliases
from tests.jobs.promotion.versions import FACES, failed, gate, held, predictions


def test_a_version_without_a_model_fails_that_gate_alone_and_moves_nothing(client, name, add, ask):
    decision = ask(version=str(add()))
    assert failed(decision) == ["reload"]
    assert "predictions/check.parquet" in gate(decision, "reload").why
    assert (decision.promoted, decision.refused, decision.previous) == (False, True, None)
    assert held(client, name) == {}


def test_a_refusal_is_a_run_that_failed_and_says_why(client, name, add, ask):
    decision = ask(version=str(add()))
    run = client.get_run(decision.run_id)
    assert run.info.status == "FAILED"
    assert (run.data.tags["kind"], run.data.tags["decision"]) == ("promotion", "refused")
    assert "reload: cannot be judged" in run.data.tags["error"]
    assert run.data.params["config/gates/ece"] == "0.15"
    assert run.data.metrics["gate/latency_ms"] == 40
    written = json.loads(Path(client.download_artifacts(decision.run_id, "decision.json")).read_text())
    assert written == json.loads(json.dumps(decision.to_dict()))


def test_a_refusal_gives_the_lease_back(client, name, add, ask):
    ask(version=str(add()))
    assert aliases.take(name, seconds=0.1).number == 2


@pytest.mark.parametrize(
    ("changes", "which", "words"),
    [
        ({"status": "FAILED"}, "finished", "the training run is FAILED"),
        ({"tags": {"selected_on_test": "true"}}, "not_selected_on_test", "chosen on the test faces"),
        ({"params": {"config/git/dirty": "true"}}, "clean_git", "no commit holds"),
        ({"params": {"config/git/commit": "not a git checkout"}}, "clean_git", "does not say which commit"),
        ({"metrics": {"cost/latency_ms": None}}, "latency_ms", "the run logged no cost/latency_ms"),
        ({"metrics": {"cost/model_file_bytes": None}}, "model_file_mb", "the run logged no cost/model_file_bytes"),
        ({"metrics": {"cost/latency_ms": 9000.0}}, "latency_ms", "9000 is above 500"),
        ({"predictions": False}, "ece", "predictions/test.parquet"),
        ({"predictions": False}, "recall", "predictions/test.parquet"),
        ({"right": 0.0}, "recall", "never recognised: neutral (32 faces)"),
    ],
)
def test_a_fault_fails_its_gate(add, ask, changes, which, words):
    decision = ask(version=str(add(**changes)))
    assert which in failed(decision)
    assert words in gate(decision, which).why


def test_dirty_code_is_let_through_where_allowed(add, ask):
    decision = ask(version=str(add(params={"config/git/dirty": "true"})), allow_dirty=True)
    assert gate(decision, "clean_git").passed


def test_a_version_worse_than_the_champion_is_refused_with_the_figures(client, name, add, ask):
    champion, worse = add(right=0.9), add("efficientnetb0", right=0.4, seed=3)
    client.set_registered_model_alias(name, "champion", champion)
    decision = ask(version=str(worse))
    one = gate(decision, "better_than_champion")
    assert not one.passed
    assert one.value < -0.3
    assert f"neither better than version {champion}" in one.why
    assert (decision.previous, held(client, name)) == (str(champion), {"champion": str(champion)})


def test_a_better_version_passes_that_gate(client, name, add, ask):
    client.set_registered_model_alias(name, "champion", add(right=0.4))
    assert gate(ask(version=str(add(right=0.9, seed=3))), "better_than_champion").passed


def test_as_good_and_half_the_size_passes_that_gate(client, name, add, ask):
    client.set_registered_model_alias(name, "champion", add(right=0.6))
    smaller = add(right=0.6, metrics={"cost/model_file_bytes": 10e6})
    one = gate(ask(version=str(smaller)), "better_than_champion")
    assert one.passed
    assert "2.00 times smaller" in one.why


def test_a_champion_without_predictions_fails_the_gate_and_is_named(client, name, add, ask):
    client.set_registered_model_alias(name, "champion", add(predictions=False))
    one = gate(ask(version=str(add(right=0.9))), "better_than_champion")
    assert not one.passed
    assert one.why.startswith("cannot be judged: of the champion: expected a run that logged predictions/test.parquet")


@pytest.fixture
def rescored(monkeypatch):
    """The champion is right on every face it was trained on, 00 to 191, and on none of the others."""
    table = predictions(right=1.0, seed=0)
    table["content_hash"] = table["id"]
    wrong = predictions(right=0.0, seed=0)
    late = slice(192, None)
    names = [name for name in table if name.startswith("probability_")]
    table.loc[late, names] = wrong.loc[late, names]
    monkeypatch.setattr("emotion_mlflow.jobs.promotion_facts._rescore", lambda *told: table)
    return table


def test_faces_that_the_champion_was_trained_on_are_left_out_of_the_contest(client, name, add, ask, rescored):
    learnt = rescored["id"][:192].tolist()
    client.set_registered_model_alias(name, "champion", add(digest="bbbb", learnt=learnt))
    one = gate(ask(version=str(add(right=0.7))), "better_than_champion")
    assert one.passed
    assert "without 192 test faces that version 1 was trained on" in one.why
    assert "against 0.000" in one.why


@pytest.mark.parametrize(
    ("learnt", "words"),
    [
        (
            {"learnt": [f"face{row:03d}" for row in range(FACES)]},
            "it was trained on all 256 of the candidate's test faces",
        ),
        ({}, "which faces it was trained on is not known: expected a run that logged predictions/train.parquet"),
    ],
    ids=["all", "not known"],
)
def test_a_champion_that_cannot_be_scored_on_unseen_faces_fails_the_gate(
    client, name, add, ask, rescored, learnt, words
):
    client.set_registered_model_alias(name, "champion", add(digest="bbbb", **learnt))
    one = gate(ask(version=str(add(right=0.7))), "better_than_champion")
    assert not one.passed
    assert words in one.why


def test_other_limits_decide_and_are_logged(client, name, add, ask, here):
    from emotion_mlflow.promotion.limits import SHIPPED

    file = here / "strict.yaml"
    file.write_text(SHIPPED.read_text().replace("latency_ms: 500", "latency_ms: 10"))
    decision = ask(version=str(add()), gates=file)
    assert "latency_ms" in failed(decision)
    assert client.get_run(decision.run_id).data.params["config/gates/latency_ms"] == "10.0"


def test_a_backbone_means_the_version_that_compare_named(client, name, add, ask):
    first = add("efficientnetb0")
    add("efficientnetb0")
    client.set_registered_model_alias(name, "efficientnetb0", first)
    assert ask(backbone="efficientnetb0").version == str(first)


def test_a_dry_run_judges_and_writes_nothing(client, name, add, ask):
    number = add()
    before = len(client.search_runs(["1"]))
    decision = ask(version=str(number), dry_run=True)
    assert failed(decision) == ["reload"]
    assert (decision.run_id, decision.promoted, decision.refused) == (None, False, True)
    assert len(client.search_runs(["1"])) == before
    assert aliases.take(name, seconds=0.1).number == 1  # no lease either


def test_the_champion_itself_moves_nothing_and_is_promoted(client, name, add, ask):
    number = add()
    client.set_registered_model_alias(name, "champion", number)
    decision = ask(version=str(number))
    assert (decision.promoted, decision.already, decision.gates) == (True, True, ())
    assert client.get_run(decision.run_id).info.status == "FINISHED"
    assert held(client, name) == {"champion": str(number)}
    assert history(HistoryRequest(model_name=name)).moves[-1].kind == "by hand"


def test_while_another_promotes_one_is_told_who_and_until_when(client, name, add, ask):
    number = add()
    with aliases.holding(name, seconds=30):
        decision = ask(version=str(number))
    assert failed(decision) == ["lease"]
    assert f"{aliases.who()}, at the latest until" in gate(decision, "lease").why
    assert (decision.promoted, held(client, name)) == (False, {})
    assert client.get_run(decision.run_id).info.status == "FAILED"


# Mistakes.


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "one of --backbone and --version; got neither"),
        ({"backbone": "resnet50", "version": "1"}, "got both"),
        ({"backbone": "vgg"}, "vgg"),
        ({"version": "one"}, "a version's number; got one in --version"),
        ({"version": "1", "to": "previous"}, "in --to"),
        ({"version": "1", "to": "v2"}, "got v2 in --to"),
        ({"version": "1", "to": "resnet50"}, "that compare does not move without a gate; got resnet50 in --to"),
        ({"version": "1", "gates": Path("nowhere.yaml")}, "in nowhere.yaml"),
    ],
)
def test_a_mistake_in_the_flags_is_told_before_anything_is_asked(fields, words):
    with pytest.raises(ConfigError, match=words):
        PromoteRequest(**fields).check()


def test_a_version_that_is_not_there_is_a_mistake(add, ask):
    with pytest.raises(ModelError, match="got models:/emotion"):
        ask(version="99")


def test_a_backbone_that_compare_has_not_named_is_a_mistake_with_the_way_out(add, ask):
    add("efficientnetb0")
    with pytest.raises(ModelError, match=r"a version called @efficientnetb0 \(emotion-mlflow compare names it"):
        ask(backbone="efficientnetb0")


def test_a_version_of_somebody_else_is_a_mistake(client, name, add, ask):
    run = client.create_run("0").info
    number = client.create_model_version(name, f"{run.artifact_uri}/model", run.run_id).version
    with pytest.raises(ModelError, match="a version that `train` registered"):
        ask(version=str(number))
