"""How a saved model's speed is measured."""

import time

import numpy as np
import pytest

from emotion_mlflow import timing


class Sleeper:
    """A model that takes a known time for each call; its first call of a kind is slow, as if it traced a graph."""

    def __init__(self):
        self.asked = []

    def answer(self, pixels):
        first = len(pixels) not in self.asked
        self.asked.append(len(pixels))
        time.sleep(0.3 if first else 0.01)


@pytest.fixture(scope="module")
def measured():
    model = Sleeper()
    return model, timing.measure(model, np.zeros((5, 4, 4, 3), np.uint8))


def test_one_picture_is_answered_30_times_and_a_full_batch_5_times_after_one_answer_that_is_not_counted(measured):
    assert measured[0].asked == [1] * 31 + [32] * 6


def test_the_first_answer_which_traces_the_graph_is_not_counted(measured):
    assert 10 <= measured[1]["cost/latency_ms_low"] <= measured[1]["cost/latency_ms_high"] < 250


def test_quartiles_lie_around_the_median(measured):
    low, latency, high = (measured[1][f"cost/latency_ms{end}"] for end in ("_low", "", "_high"))
    assert low <= latency <= high


def test_throughput_is_the_batch_over_its_time(measured):
    # 32 faces in at least .01 s, and in less than the .3 s of the call that is not counted
    assert 32 / 0.3 < measured[1]["cost/images_per_second_batch32"] <= 3200
