"""Paths as users type them. All rooms may use it."""

import os
from pathlib import Path

from emotion_mlflow.errors import ConfigError


def expanded(text: str, where: str = "") -> Path:
    """The path with `~` and `~user` written out; ConfigError, `where` being the flag, where there is no such user."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise ConfigError("a home folder that is known", got=text, where=where) from None


def in_full(text: str, where: str = "") -> Path:
    """As `expanded`, from the root on and with links followed: the same from any folder."""
    return Path(os.path.realpath(expanded(text, where)))
