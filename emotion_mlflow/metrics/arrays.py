"""The one division of the metrics, which gives NaN where a figure is undefined. For the metrics only."""

import numpy as np

from emotion_mlflow.errors import DataError


def ratio(numerator: np.ndarray | float, denominator: np.ndarray | float) -> np.ndarray:
    """Numerator / denominator elementwise (float64, broadcast), NaN where the denominator is zero."""
    top, bottom = np.broadcast_arrays(np.asarray(numerator, float), np.asarray(denominator, float))
    quotient = np.full(top.shape, np.nan)
    np.divide(top, bottom, out=quotient, where=bottom != 0)
    return quotient


def mean(values: np.ndarray) -> float:
    """Mean of (N,) values, NaN for none."""
    return float(ratio(values.sum(), len(values)))


def require_equal_rows(expected: str, *arrays: np.ndarray) -> None:
    """Raise DataError unless all arrays have as many rows as the first."""
    rows = [len(array) for array in arrays]
    if len(set(rows)) > 1:
        raise DataError(expected, got=" and ".join(f"{count} rows" for count in rows))
