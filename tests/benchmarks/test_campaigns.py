"""Short forms of the campaigns: the long ones have make targets."""

import pytest

from benchmarks import campaign_compare, campaign_kill

pytestmark = pytest.mark.slow


def test_equal_models_and_equal_trainings_rarely_name_a_winner_and_a_true_difference_is_found():
    lines = []
    assert campaign_compare.run(short=True, show=lines.append), lines


def test_a_training_killed_at_random_moments_goes_on_to_the_same_result_bit_for_bit(tmp_path):
    lines = []
    assert campaign_kill.run(kills=3, each=3, seed=20, folder=tmp_path, show=lines.append), lines
