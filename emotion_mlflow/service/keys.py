"""The stack's passwords and keys: made once, kept in files only their owner may read, never shown or defaulted."""

import json
import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path

from emotion_mlflow.errors import ConfigError

CONTAINER_USER = 10001
"""Who the containers run as where root starts them."""
LETTERS = 32
"""Random bytes in each: 256 bits."""
_SEVERAL = frozenset(("store_users",))


def owner() -> str:
    """The user of the containers, `uid:gid`: whoever starts the stack, but never root."""
    user = os.geteuid()
    return f"{user}:{os.getegid()}" if user else f"{CONTAINER_USER}:{CONTAINER_USER}"


def ensure(files: Mapping[str, Path], user: str) -> list[str]:
    """Makes the files that are not there, mode 0600 in a folder 0700, and says which; root gives them to `user`.

    A file that is there stays as it is. Raises ConfigError for one that is empty or that others may read, and for a
    folder that is there and open to others: closing it (it may be /tmp) is not for this program to do.
    """
    made = []
    for name in sorted(files, key=lambda each: each in _SEVERAL):
        file = files[name]
        if file.exists():
            _check(file)
            continue
        _ensure_folder(file.parent)
        text = _store_users(files["store_key"]) if name == "store_users" else secrets.token_urlsafe(LETTERS)
        _write(file, text, user)
        made.append(name)
    return made


def _ensure_folder(folder: Path) -> None:
    if not folder.exists():
        folder.mkdir(parents=True, mode=0o700)
    _for_its_owner("a folder of secrets that only its owner may enter (chmod 700)", folder)


def _check(file: Path) -> None:
    _for_its_owner("a secret that only its owner may read (chmod 600)", file)
    if not file.stat().st_size:
        raise ConfigError("a secret", got="an empty file", where=file)


def _for_its_owner(what: str, place: Path) -> None:
    mode = stat.S_IMODE(place.stat().st_mode)
    if mode & 0o077:
        raise ConfigError(what, got=f"mode {mode:03o}", where=place)


def _store_users(key: Path) -> str:
    """Who may use the object store: the server alone, with its own bucket alone."""
    user = {
        "name": "mlflow",
        "credentials": [{"accessKey": "mlflow", "secretKey": key.read_text().strip()}],
        "actions": [f"{action}:mlflow" for action in ("Admin", "Read", "Write", "List", "Tagging")],
    }
    return json.dumps({"identities": [user]}, indent=1)


def _write(file: Path, text: str, user: str) -> None:
    opened = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(opened, "w") as out:
            out.write(text + "\n")
        if not os.geteuid():
            owner, _, group = user.partition(":")
            os.chown(file, int(owner), int(group or owner))
    except BaseException:  # a full disk, a stop: half a secret would be taken for one
        file.unlink()
        raise
