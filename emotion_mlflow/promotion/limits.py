"""The limits that gates are held against: `gates.yaml`, or a file of the user's with the same keys."""

import math
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from emotion_mlflow.errors import ConfigError
from emotion_mlflow.yaml_file import read_yaml

SHIPPED = Path(__file__).with_name("gates.yaml")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """See `gates.yaml` for what each one means; ConfigError for a value that cannot be."""

    alpha: float
    margin_macro_f1: float
    margin_ccc: float
    margin_nme: float
    cheaper_factor: float
    ece: float
    latency_ms: float
    model_file_mb: float
    recall_faces: int
    tolerance: float

    def __post_init__(self) -> None:
        shares = ("alpha", "margin_macro_f1", "margin_ccc", "margin_nme", "ece")
        for name in shares:
            self._require(name, "a share from 0 to 1", 0 <= getattr(self, name) <= 1)
        self._require("cheaper_factor", "a factor above 1", self.cheaper_factor > 1)
        for name in ("latency_ms", "model_file_mb"):
            self._require(name, "a number above 0", getattr(self, name) > 0)
        self._require("tolerance", "a number from 0 to 0.1", 0 <= self.tolerance <= 0.1)
        self._require("recall_faces", "a whole number from 1", self.recall_faces >= 1)

    def margin(self, metric: str) -> float:
        """How much worse `expression/macro_f1`, `valence/ccc`, `landmarks/nme` ... may be."""
        name = metric.split("/")[1]
        return float({"macro_f1": self.margin_macro_f1, "ccc": self.margin_ccc}.get(name, self.margin_nme))

    def to_dict(self) -> dict[str, float]:
        """By key, as in the file."""
        return asdict(self)

    def _require(self, name: str, expected: str, fine: bool) -> None:
        if not fine:
            raise ConfigError(f"{expected} for {name}", got=getattr(self, name), where="the gates")


def read_limits(file: Path | None = None) -> Limits:
    """The limits of a YAML file, or the shipped ones; ConfigError names the key that is unknown, absent or bad."""
    place = file or SHIPPED
    read = read_yaml(place, what="a YAML file with the gates' limits")
    if not isinstance(read, dict):
        raise ConfigError("keys and values, one a line", got=type(read).__name__, where=place)
    names = [field.name for field in fields(Limits)]
    if unknown := [str(key) for key in read if key not in names]:
        raise ConfigError(f"keys of {', '.join(names)}", got=", ".join(unknown), where=place)
    if absent := [name for name in names if name not in read]:
        raise ConfigError(f"all of {', '.join(names)}", got=f"no {', '.join(absent)}", where=place)
    return Limits(**{name: _number(name, read[name], place) for name in names})


def _number(name: str, value: Any, place: Path) -> Any:
    """YAML reads `1e-4` as text, so text that is a number is one; `yes` is none."""
    try:
        number = float("nan" if isinstance(value, bool) else value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    whole = name == "recall_faces"
    if not math.isfinite(number) or (whole and number != int(number)):
        raise ConfigError(f"a {'whole ' if whole else ''}number for {name}", got=repr(value), where=place)
    return int(number) if whole else number
