"""What is asked of a promotion, a rollback or the history, and what comes back: plain values.

Imports no MLflow: `check` tells a mistake in the flags before the long imports.
"""

import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from emotion_mlflow import cache
from emotion_mlflow.errors import ConfigError
from emotion_mlflow.jobs.request import require_experiment
from emotion_mlflow.metrics.paired import RESAMPLES
from emotion_mlflow.models.facts import BACKBONES, backbone_facts
from emotion_mlflow.promotion import chain
from emotion_mlflow.promotion.gates import Gate
from emotion_mlflow.promotion.limits import read_limits

LEASE_SECONDS = 60.0
PREVIOUS = "previous"


@dataclass(frozen=True, kw_only=True)
class Place:
    """Which alias of which model, and where it is tracked."""

    to: str = chain.ALIAS
    """The alias."""
    model_name: str = "emotion"
    experiment: str = "emotion"
    tracking_uri: str | None = None
    command: str = ""
    lease_seconds: float = LEASE_SECONDS
    """How long a promotion that was killed still keeps others out."""

    @property
    def before(self) -> str:
        """The alias of the version that was there before: `previous`; for another alias `previous_<alias>`."""
        return PREVIOUS if self.to == chain.ALIAS else f"{PREVIOUS}_{self.to}"

    def check(self) -> None:
        """Raises what can be known of a mistake without asking the registry."""
        require_experiment(self.experiment)
        good = re.fullmatch(r"[A-Za-z0-9_-]+", self.to) and not re.fullmatch(r"[vV]?\d+|latest", self.to)
        if self.to in BACKBONES:
            raise ConfigError("an alias that compare does not move without a gate", got=self.to, where="--to")
        if not good or self.to.split("_")[0] == PREVIOUS:
            expected = f"an alias of letters, digits, _ and - that is no version, not latest and not {PREVIOUS}"
            raise ConfigError(expected, got=self.to or "nothing", where="--to")


@dataclass(frozen=True, kw_only=True)
class PromoteRequest(Place):
    """What a user asked for: one of `backbone` and `version`."""

    backbone: str = ""
    """The version of alias `@<backbone>`, which `compare` sets."""
    version: str = ""
    gates: Path | None = None
    """None: the limits shipped."""
    allow_dirty: bool = False
    dry_run: bool = False
    cache_dir: Path = field(default_factory=cache.default_cache_dir)
    resamples: int = RESAMPLES

    def check(self) -> None:
        """See above."""
        super().check()
        if bool(self.backbone) == bool(self.version):
            got = "both" if self.backbone else "neither"
            raise ConfigError("one of --backbone and --version", got=got)
        if self.backbone:
            backbone_facts(self.backbone)
        elif not self.version.isascii() or not self.version.isdigit():
            raise ConfigError("a version's number", got=self.version, where="--version")
        read_limits(self.gates)


@dataclass(frozen=True, kw_only=True)
class RollbackRequest(Place):
    """What a user asked for."""


@dataclass(frozen=True, kw_only=True)
class HistoryRequest(Place):
    """What a user asked for."""


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What came of a promotion or a rollback."""

    promoted: bool
    """For a rollback: done."""
    version: str
    alias: str
    previous: str | None
    """The version that had the alias before; for one that has it already the version before it."""
    gates: tuple[Gate, ...] = ()
    run_id: str | None = None
    """None for a dry run, which writes none."""
    already: bool = False
    dry_run: bool = False
    passed: bool = False
    """Every gate; of a dry run this is the answer."""
    model_name: str
    tracking_uri: str = ""

    @property
    def refused(self) -> bool:
        """Nothing was moved because a gate did not let it."""
        return not (self.promoted or (self.dry_run and self.passed))

    def to_dict(self) -> dict[str, Any]:
        """What `promote --json` prints."""
        kept = ("promoted", "version", "alias", "previous", "run_id", "already", "dry_run")
        plain = {name: getattr(self, name) for name in kept}
        return plain | {"gates": [asdict(gate) for gate in self.gates]}


@dataclass(frozen=True, kw_only=True)
class History:
    """All champions, oldest first."""

    model_name: str
    alias: str
    current: str | None
    previous: str | None
    moves: tuple[chain.Move, ...]

    def to_dict(self) -> dict[str, Any]:
        """What `history --json` prints."""
        plain = {name: getattr(self, name) for name in ("model_name", "alias", "current", "previous")}
        return plain | {"moves": [move.to_dict() for move in self.moves]}
