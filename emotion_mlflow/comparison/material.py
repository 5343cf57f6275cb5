"""What a comparison is made from: each version's stored answers, history, params and metrics. Plain values."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from emotion_mlflow.comparison.choice import Candidate
from emotion_mlflow.metrics.suite import Answers

MACHINE = ("name", "cpu", "platform", "device")
"""Params `machine/...` by which two machines are told apart."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Material:
    """One version and all that its run logged for a comparison."""

    candidate: Candidate
    answers: Answers
    """Of the test faces, in order of id."""
    ids: np.ndarray
    """(N,) the faces, as str, in the same order; identities ("" where unknown) and content hashes likewise."""
    identities: np.ndarray
    contents: np.ndarray
    history: pd.DataFrame
    """A row an epoch; empty where the run has none."""
    params: Mapping[str, str]
    """Without `config/`."""
    metrics: Mapping[str, float]

    @property
    def settings(self) -> dict[str, str]:
        """The resolved configuration, flat."""
        sections = ("data.", "model.", "augment.", "training.")
        return {name: text for name, text in self.params.items() if name == "recipe" or name.startswith(sections)}

    @property
    def machine(self) -> str:
        """Where it was trained and timed: timings of two machines say nothing about the models."""
        return " ".join(filter(None, (self.params.get(f"machine/{name}", "") for name in MACHINE)))

    @property
    def best_epoch(self) -> int:
        """1-based; 0 where the run does not say."""
        return int(self.metrics.get("best_epoch", 0))
