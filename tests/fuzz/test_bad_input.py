"""The short form of `make campaign-fuzz`: 2,000 bad inputs, the same ones each time."""

import pytest
from click.testing import CliRunner

from benchmarks import campaign_fuzz

INPUTS = {
    "pictures": 300, "npy labels": 240, "journals": 100, "AffectNet folders": 60, "csv tables": 150,
    "Parquet tables": 80,
    "kept manifests": 60, "kept pixels": 60, "predictions tables": 60, "stored answers": 60, "settings (--set)": 250,
    "command lines": 80, "gates.yaml": 60, "grid.yaml": 60, "compose.yaml": 60, "served requests": 200,
    "starting weights": 70, "saved models and cards": 30, "kept features": 20,
}  # fmt: skip
"""Of each reader; the checkpoints' are in the campaign only."""
KNOWN = campaign_fuzz.readers()


def test_every_reader_is_tried_and_2000_inputs_in_all():
    assert set(INPUTS) == set(KNOWN) - {"checkpoints"}
    assert sum(INPUTS.values()) == 2000


def test_a_reader_that_is_none_is_told_with_the_right_ones():
    answered = CliRunner().invoke(campaign_fuzz.main, ["--reader", "journal"])
    assert (answered.exit_code, "--reader: journal is none of pictures, " in answered.output) == (2, True)


@pytest.mark.slow
@pytest.mark.parametrize("name", INPUTS)
def test_bad_input_is_refused_in_one_line_or_harms_nobody(name, tmp_path):
    tally = campaign_fuzz.shard(name, inputs=INPUTS[name], seed=0, faults=tmp_path / "faults")
    assert tally.told == {}
    assert tally.inputs >= 0.9 * INPUTS[name]  # hypothesis makes no input twice
    assert tally.refused + tally.read == tally.inputs
