"""The short form of `make campaign-load`."""

import pytest

from benchmarks import campaign_load

pytestmark = pytest.mark.server


def test_sixteen_trainings_at_once_lose_and_double_nothing_on_sqlite():
    lines = []
    assert campaign_load.run("sqlite", seconds=8, show=lines.append), lines


@pytest.mark.usefixtures("installed")
def test_sixteen_trainings_at_once_lose_and_double_nothing_on_postgresql():
    lines = []
    assert campaign_load.run("postgresql", seconds=8, show=lines.append), lines


@pytest.mark.usefixtures("installed")
def test_more_batches_at_once_than_a_worker_takes_are_all_answered_on_postgresql(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with campaign_load.serving("postgresql") as server:
        assert [refusal for count in (60, 61, 62) for refusal in campaign_load.at_once(server.uri, count)] == []


def test_a_lost_a_doubled_and_a_changed_figure_are_noticed(server):
    import mlflow

    client, names = mlflow.MlflowClient(server), campaign_load.names()
    run = client.create_run(client.create_experiment("noticed"), run_name="0-3")
    for epoch in (1, 2):
        for name in names:
            client.log_metric(run.info.run_id, name, campaign_load.figure(3, epoch, name), step=epoch)
    assert campaign_load.faults(server, {run.info.run_id: 2}) == []
    assert len(campaign_load.faults(server, {run.info.run_id: 3})) == len(names)
    assert len(campaign_load.lacking(server, run.info.run_id)) == len(campaign_load.SETTINGS) + len(campaign_load.FILES)
    client.log_metric(run.info.run_id, names[0], campaign_load.figure(3, 2, names[0]), step=2)
    assert campaign_load.faults(server, {run.info.run_id: 2}) == [f"{run.info.run_id} {names[0]}: 3 of 2"]
