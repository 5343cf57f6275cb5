"""How quickly a saved model answers on this machine: repeated measures, logged by the training for `compare`."""

import time
from typing import Any

import numpy as np

LATENCY_REPEATS = 30
"""Answers to one picture."""
THROUGHPUT_REPEATS = 5
"""Answers to a full batch."""
BATCH = 32


def measure(model: Any, pixels: np.ndarray) -> dict[str, float]:
    """`cost/latency_ms` of one picture with its quartiles, `cost/images_per_second_batch32`: medians.

    `model`: an AffectModel; `pixels`: (N, S, S, 3) uint8, at least one. The first answer of each kind, which traces
    the graph, is not counted.
    """
    one = pixels[:1]
    batch = np.resize(pixels[:BATCH], (BATCH, *pixels.shape[1:]))
    low, latency, high = np.quantile(_seconds(model, one, LATENCY_REPEATS), [0.25, 0.5, 0.75]) * 1000
    seconds = float(np.median(_seconds(model, batch, THROUGHPUT_REPEATS)))
    return {
        "cost/latency_ms": float(latency),
        "cost/latency_ms_low": float(low),
        "cost/latency_ms_high": float(high),
        "cost/images_per_second_batch32": BATCH / seconds,
    }


def _seconds(model: Any, pixels: np.ndarray, repeats: int) -> list[float]:
    taken = []
    for _ in range(repeats + 1):
        started = time.perf_counter()
        model.answer(pixels)
        taken.append(time.perf_counter() - started)
    return taken[1:]
