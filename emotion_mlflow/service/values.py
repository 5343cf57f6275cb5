"""A mapping of compose.yaml, asked for each key by its kind. Used by `compose`."""

import re
from collections.abc import Callable
from typing import Any, TypeVar

from emotion_mlflow.errors import ConfigError

NAME = re.compile(r"[a-z][a-z0-9_-]{0,40}")
"""Of a service, network, volume or secret."""
_LONGEST = 200  # signs of a value in a message
_MANY = 1_000_000
_Number = TypeVar("_Number", int, float)


def told(value: Any) -> str:
    """A value for a message: its beginning, odd signs written out."""
    return ascii(value)[:_LONGEST]


class Values:
    """The mapping, which must have no keys but `allowed`. Each method raises ConfigError that names the key."""

    def __init__(self, keys: Any, allowed: frozenset[str], where: str) -> None:
        if not isinstance(keys, dict):
            raise ConfigError("a mapping", got=told(keys), where=where)
        if others := sorted(set(map(str, keys)) - allowed):
            expected = f"keys among {', '.join(sorted(allowed))}" if allowed else "no keys"
            raise ConfigError(expected, got=told(", ".join(others)).strip("'"), where=where)
        self.keys, self.where = keys, where

    def wrong(self, what: str, name: str) -> ConfigError:
        """The error to raise where the key `name` is not `what`."""
        got = told(self.keys[name]) if name in self.keys else "none"
        return ConfigError(f"{what} for the key {name}", got=got, where=self.where)

    def text(self, name: str, default: str = "") -> str:
        """Not empty."""
        value = self.keys.get(name, default)
        if not isinstance(value, str) or not value:
            raise self.wrong("text", name)
        return value

    def flag(self, name: str) -> bool:
        """False where it is absent."""
        value = self.keys.get(name, False)
        if not isinstance(value, bool):
            raise self.wrong("true or false", name)
        return value

    def number(self, name: str, kind: Callable[[str], _Number], default: str = "") -> _Number:
        """From 0 to a million; a variable fills in text."""
        try:
            value = kind(str(self.keys.get(name, default)))
        except ValueError:
            raise self.wrong("a number", name) from None
        if not 0 <= value <= _MANY:
            raise self.wrong(f"a number from 0 to {_MANY:,}", name)
        return value

    def words(self, name: str, *, least: int = 0) -> tuple[str, ...]:
        """A list of text and numbers, as text."""
        value = self.keys.get(name, [])
        if not isinstance(value, list) or not all(map(_is_word, value)) or len(value) < least:
            raise self.wrong("a list of words", name)
        return tuple(map(str, value))

    def pairs(self, name: str) -> dict[str, str]:
        """A mapping of text and numbers, as text."""
        value = self.keys.get(name, {})
        if not isinstance(value, dict) or not all(map(_is_word, (*value, *value.values()))):
            raise self.wrong("a mapping of words to words", name)
        return {str(key): str(each) for key, each in value.items()}

    def named(self, name: str) -> dict[str, Any]:
        """A mapping whose keys the engine is to know as names; empty where it is absent."""
        value = self.keys.get(name) or {}
        if not isinstance(value, dict) or not all(isinstance(key, str) and NAME.fullmatch(key) for key in value):
            raise self.wrong("a mapping of names in lower-case letters, digits, - and _", name)
        return value


def _is_word(value: Any) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)
