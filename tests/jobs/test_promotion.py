"""`promote`, `rollback`, `history` on a real store with runs written by hand; with a real model in the slow tier."""

import itertools
import json
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

from emotion_mlflow.cli.progress import PlainReporter
from emotion_mlflow.errors import ConfigError, ModelError, TrackingError
from emotion_mlflow.jobs.promotion import history, promote, rollback
from emotion_mlflow.jobs.promotion_request import HistoryRequest, PromoteRequest, RollbackRequest
from emotion_mlflow.labels import EXPRESSIONS
from emotion_mlflow.reproduce import read_check
from emotion_mlflow.tracking import aliases, runs

FACES = 256
NAMES = (f"emotion{number}" for number in itertools.count())
TAGS = {
    "recipe": "probe",
    "rng_seed": "1",
    "config_digest": "c1",
    "selected_on_test": "false",
    "data_name": "by <b>hand</b>",
    "tasks": "expression,valence,arousal",
    "selection_score": "0.5",
}
PARAMS = {"config/git/commit": "abc", "config/git/dirty": "false", "config/machine/platform": "here"}
METRICS = {"cost/latency_ms": 40.0, "cost/model_file_bytes": 20e6, "final/test/expression/macro_f1": 0.5}


def predictions(*, right, seed, ids="face"):
    """A table without landmarks: right on a share of the faces, and as sure as it is right."""
    rng = np.random.default_rng(seed)
    true = np.arange(FACES) % 8
    answered = np.where(rng.random(FACES) < right, true, (true + 1) % 8)
    table = pd.DataFrame({"id": [f"{ids}{row:03d}" for row in range(FACES)]})
    table = table.assign(content_hash="c", identity="", source="", expression_true=true.astype(np.int8))
    sure = max(right, 0.2)
    for label, name in enumerate(EXPRESSIONS):
        table[f"probability_{name}"] = np.where(answered == label, sure, (1 - sure) / 7).astype(np.float32)
    table["valence_true"] = np.linspace(-1, 1, FACES).astype(np.float32)
    table["valence_predicted"] = (table["valence_true"] * right).astype(np.float32)
    table["arousal_true"] = table["arousal_predicted"] = np.float32(0.5)
    table["landmarks_true"] = [np.zeros(0, np.float32)] * FACES
    return table


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    """One store for all: a new one takes seconds to set up."""
    return f"sqlite:///{tmp_path_factory.mktemp('promotion') / 'mlflow.db'}"


@pytest.fixture
def client(here, uri):
    mlflow.set_tracking_uri(uri)
    runs.quiet_libraries()
    return mlflow.MlflowClient(uri)


@pytest.fixture
def name(client):
    """A registered model of this test's own."""
    made = next(NAMES)
    client.create_registered_model(made)
    return made


@pytest.fixture
def add(client, name, here):
    """Writes one version as `train` does; gives its number. `model`: (folder of a saved model, its check)."""

    def write(backbone="resnet50", *, right=0.5, seed=0, digest="aaaa", status="FINISHED", model=None, **changed):
        experiment = client.get_experiment_by_name("emotion")
        run = client.create_run(experiment.experiment_id if experiment else client.create_experiment("emotion")).info
        for key, value in (PARAMS | changed.get("params", {})).items():
            client.log_param(run.run_id, key, value)
        for key, value in (METRICS | changed.get("metrics", {})).items():
            if value is not None:
                client.log_metric(run.run_id, key, value)
        folder = here / run.run_id / "predictions"
        folder.mkdir(parents=True)
        if changed.get("predictions", True):
            predictions(right=right, seed=seed).to_parquet(folder / "test.parquet")
        if "learnt" in changed:
            pd.DataFrame({"content_hash": changed["learnt"]}).to_parquet(folder / "train.parquet")
        if model:
            model[1].to_parquet(folder / "check.parquet")
        client.log_artifacts(run.run_id, str(folder.parent))
        client.set_terminated(run.run_id, status)
        tags = TAGS | {"backbone": backbone, "test_digest": digest} | changed.get("tags", {})
        source = str(model[0]) if model else f"{run.artifact_uri}/model"
        return client.create_model_version(name, source, run.run_id, tags=tags).version

    return write


@pytest.fixture
def ask(uri, name):
    """`promote` with a request of these fields."""

    def call(**fields):
        request = PromoteRequest(model_name=name, tracking_uri=uri, resamples=200, **{"lease_seconds": 30.0} | fields)
        return promote(request, PlainReporter())

    return call


def gate(decision, name):
    return next(one for one in decision.gates if one.name == name)


def failed(decision):
    return [one.name for one in decision.gates if not one.passed]


def held(client, name):
    return {alias: str(number) for alias, number in client.get_registered_model(name).aliases.items()}


# Refusals: no model is needed to refuse.


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


# Rollback and history.


def back(name, uri):
    return rollback(RollbackRequest(model_name=name, tracking_uri=uri), PlainReporter())


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


@pytest.fixture
def moved(monkeypatch):
    """What was moved, in order."""
    done, move = [], aliases.move
    monkeypatch.setattr(aliases, "move", lambda lease, *told: done.append(told) or move(lease, *told))
    return done


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


# With a real model: what passes.


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
