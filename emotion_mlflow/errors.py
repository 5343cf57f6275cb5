"""Our error tree. Every message says what was expected, what came, and where. All rooms may use it.

EmotionError
├── ConfigError       a setting that cannot be
├── DataError         a picture, label, table or folder that cannot be read as asked
├── WeightsError      starting weights that are absent or do not fit the backbone
├── ModelError        a saved model that is damaged or is not one of ours
├── TrainingError     a training that cannot go on (a loss that is not finite)
├── TrackingError     a tracking server or registry that cannot be reached or used
└── StackError        a Docker engine, image or container that does not do what was asked

Stopped is none of them: a user or a scheduler asked the program to stop.
"""

import re


class EmotionError(Exception):
    """A mistake the user can mend, told in one line: `expected 68 points; got 67 in 000123.npy`."""

    exit_code = 2

    def __init__(self, expected: str, *, got: object, where: object = "") -> None:
        self.expected, self.got, self.where = expected, got, str(where)
        place = f" in {_short(where)}" if self.where else ""
        text = " ".join(f"expected {expected}; got {_short(got)}{place}".split())
        super().__init__(printable(without_password(text)))


def printable(text: str) -> str:
    """The text with control signs written out: names come from files, and go to a terminal."""
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)


def without_password(text: str) -> str:
    """The text with the password of every address in it left out: `https://user@host`."""
    text = re.sub(r"(://[^/:@\s]*):[^/\s]*@", r"\1@", text)
    text = re.sub(r"([?&](?:password|passwd|pwd|sslpassword)=)[^&\s]*", r"\1", text)
    # SQLAlchemy takes a / in a password as it is.
    return re.sub(r"(\b(?:postgresql|mysql|mariadb|mssql|oracle)[\w+]*://[^/:@\s]*):[^\s@]*@", r"\1@", text)


_LONGEST = 1000  # characters of what came, or of where


def _short(words: object) -> str:
    text = str(words)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + " ..."


class ConfigError(EmotionError):
    """A setting that cannot be."""


class DataError(EmotionError):
    """A picture, label, table or folder that cannot be read as asked."""


class WeightsError(EmotionError):
    """Starting weights that are absent or do not fit the backbone."""


class ModelError(EmotionError):
    """A saved model that is damaged or is not one of ours."""


class TrainingError(EmotionError):
    """A training that cannot go on."""


class TrackingError(EmotionError):
    """A tracking server or registry that cannot be reached or used."""


class StackError(EmotionError):
    """A Docker engine, image or container that does not do what was asked."""


class Stopped(BaseException):
    """A scheduler (SIGTERM) asked the program to stop.

    As KeyboardInterrupt no Exception: it may come anywhere, and Keras and others make another error of those.
    """

    def __init__(self, by: str, *, exit_code: int = 130) -> None:
        self.by, self.exit_code = by, exit_code
        super().__init__(by)


def first_line(error: BaseException, *, longest: int = 200) -> str:
    """What went wrong, in one line and without passwords: other libraries go on for pages and name whole addresses."""
    text = str(error) if isinstance(error, EmotionError) else (str(error).splitlines() or [""])[0]
    return without_password(text)[:longest] or type(error).__name__
