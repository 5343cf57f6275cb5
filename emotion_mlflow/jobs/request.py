"""What is asked of a training job and what comes back: plain values between the command line and the jobs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emotion_mlflow import cache
from emotion_mlflow.config import AUTO, DataConfig


@dataclass(frozen=True, kw_only=True)
class TrainRequest:
    """What a user asked for; `auto` is decided by the faces."""

    backbone: str
    recipe: str = AUTO
    weights: str = AUTO
    tasks: tuple[str, ...] = ()
    """Empty: those the data has labels for."""
    data: DataConfig = field(default_factory=DataConfig)
    overrides: Mapping[str, Any] = field(default_factory=dict)
    """Fields by `section.name`."""
    experiment: str = "emotion"
    model_name: str = "emotion"
    tracking_uri: str | None = None
    register: bool = True
    show_faces: str = AUTO
    cache_dir: Path = field(default_factory=cache.default_cache_dir)
    cache_limit: float = cache.DEFAULT_LIMIT
    command: str = ""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A finished job."""

    run_id: str
    model_name: str | None
    model_version: str | None
    backbone: str
    recipe: str
    seconds: float
    scores: dict[str, float]
    tracking_uri: str
