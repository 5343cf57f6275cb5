"""A user's YAML file -> plain values, read without trusting it. Used by the gates' limits, the grid and the stack."""

from pathlib import Path
from typing import Any

import yaml

from emotion_mlflow.errors import ConfigError, first_line

LARGEST = 1 << 20
"""Bytes of a settings file at most."""
MOST = 100_000
"""Values at most, those that an alias repeats counted each time: nine lines of aliases make a billion words."""

_UNREADABLE = (
    yaml.YAMLError, ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError, OverflowError,
)  # fmt: skip  # what PyYAML's constructors raise for `!!bool x`, `!!int ''`, `!!timestamp x` and such


class _Loader(yaml.SafeLoader):
    """Plain values only, and no key twice, which YAML forbids and PyYAML lets pass."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value]
        for place, name in enumerate(names):
            if name in names[:place]:
                raise yaml.constructor.ConstructorError(None, None, f"{name} stands there twice", node.start_mark)
        return super().construct_mapping(node, deep)


def read_yaml(file: Path, *, what: str) -> Any:
    """The values in `file`; ConfigError where it is not there, no YAML of plain values, too large or circular."""
    try:
        with file.open("rb") as source:
            content = source.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise ConfigError(f"{what} of at most {LARGEST >> 20} MiB", got="a larger one", where=file)
        loader = _Loader(content.decode())
        try:
            node = loader.get_single_node()
            _require_few(node, file)
            return _plain(loader.construct_document(node) if node is not None else None)
        finally:
            loader.dispose()
    except OSError as error:
        raise ConfigError(what, got=error.strerror or error, where=file) from None
    except _UNREADABLE as error:
        raise ConfigError(what, got=_first(error), where=file) from None


def _require_few(node: yaml.Node | None, file: Path) -> None:
    if node is not None and _count(node, {}, set()) > MOST:
        raise ConfigError(f"at most {MOST} values", got="aliases that make far more", where=file)


def _count(node: yaml.Node, known: dict[int, int], above: set[int]) -> int:
    """Values below `node` once aliases are followed; ValueError where it holds itself."""
    if isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) in above:
        raise ValueError("a value that holds itself")
    if id(node) not in known:
        parts = [part for pair in node.value for part in (pair if isinstance(pair, tuple) else (pair,))]
        known[id(node)] = 1 + sum(_count(part, known, above | {id(node)}) for part in parts)
    return known[id(node)]


def _plain(value: Any) -> Any:
    """As it came; ValueError where a whole number has more digits than any setting."""
    if isinstance(value, dict):
        return {_plain(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, int) and abs(value) >= 1 << 64:
        raise ValueError("a number of more than 64 bits")
    return value


def _first(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    place = f" (line {mark.line + 1})" if mark else ""
    words = first_line(error)
    return f"{getattr(error, 'problem', None) or words}{place}"
