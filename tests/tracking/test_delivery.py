"""What the sender does with entries that cannot arrive, without a server; with one: test_journaled.py."""

from unittest import mock

import pytest

from emotion_mlflow.tracking.delivery import Delivery, Incomplete
from emotion_mlflow.tracking.journal import Journal


@pytest.fixture
def journal(tmp_path):
    """Of a run that logged one file and ended."""
    journal = Journal(tmp_path / "r1")
    journal.append("files", {}, {"a.txt": b"whole"})
    journal.append("end", {"run_id": "r1", "status": "FINISHED", "time": 1})
    yield journal
    journal.close()


def delivery(journal):
    """To a server that has lost the file."""
    client = mock.Mock()
    client.list_artifacts.return_value = []
    return Delivery(journal, client=client, run_id="r1", experiment_id="1"), client


def test_a_file_that_the_server_lost_is_sent_again_before_the_run_ends(journal):
    deliver, client = delivery(journal)
    with pytest.raises(Incomplete):
        deliver(journal.entries[-1], doubtful=False)
    assert (client.log_artifact.call_count, client.set_terminated.call_count) == (1, 0)


def test_a_run_whose_file_is_lost_on_both_sides_fails_and_is_not_left_running(journal):
    deliver, client = delivery(journal)
    (journal.folder / "files" / "1" / "a.txt").write_bytes(b"wh0le")
    assert deliver(journal.entries[-1], doubtful=False) == "FAILED"
    client.set_terminated.assert_called_once_with("r1", "FAILED", 1)
