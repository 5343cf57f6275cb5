"""`grid.yaml`: the flags of `grid` by name, as text that the command line reads like typed ones."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from emotion_mlflow.errors import ConfigError
from emotion_mlflow.yaml_file import read_yaml

PAIRS = {"set": " ", "weights": ",", "vary": " "}
"""Keys whose value may be a mapping, and what stands between its entries on the command line."""


def read_grid_file(file: Path, *, names: Collection[str]) -> dict[str, str]:
    """Text by flag name (`image_size`); lists become `a,b`, and what `--vary` takes keeps `;` between its values.

    ConfigError where the file is not there, is no YAML of plain values, or has a key that is no name.
    """
    where = str(file)
    said = read_yaml(file, what="a YAML file of plain values")
    if not isinstance(said, dict):
        raise ConfigError("a mapping of grid's flags", got=type(said).__name__, where=where)
    for name in said:
        if name not in names:
            raise ConfigError(f"a key of {', '.join(names)}", got=name, where=where)
    return {name: _text(name, value, where) for name, value in said.items() if value is not None}


def _text(name: str, value: Any, where: str) -> str:
    if isinstance(value, dict) and name in PAIRS:
        join = _values if name == "vary" else _listed
        pairs = [f"{key}={join(name, entry, where)}" for key, entry in value.items()]
        return PAIRS[name].join(pairs)
    if isinstance(value, list) and name == "set":
        return " ".join(_scalar(name, entry, where) for entry in value)
    return _listed(name, value, where)


def _values(name: str, value: Any, where: str) -> str:
    """The values of one `--vary`: those that are lists themselves (`augment.contrast`) keep their commas."""
    if not isinstance(value, list):
        return _scalar(name, value, where)
    texts = [_listed(name, entry, where) for entry in value]
    return ";".join(texts) + (";" if len(texts) == 1 and "," in texts[0] else "")


def _listed(name: str, value: Any, where: str) -> str:
    if isinstance(value, list):
        return ",".join(_scalar(name, entry, where) for entry in value)
    return _scalar(name, value, where)


def _scalar(name: str, value: Any, where: str) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (str, int, float)):
        return str(value)
    raise ConfigError("text, a number, true or false", got=type(value).__name__, where=f"{name}: in {where}")
