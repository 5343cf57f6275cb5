"""Hypothesis strategies that every format shares: bytes with damage, and text that means harm."""

from collections.abc import Callable, Sequence

from hypothesis import strategies as st

INTERESTING = (b"\x00", b"\xff", b"\x7f", b"\x80", b"\x00\x00", b"\xff\xff", b"\x00\x01\x86\xa0", b"\xa0\x86\x01\x00")
"""Sizes and signs that break parsers; the last two are 100,000 in both byte orders."""
HUGE = (b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\xff\xff\xff\xff", b"\x00\x0f\x42\x40", b"\x40\x42\x0f\x00")

PATHS = (
    "../outside/secret.png", "a/../../outside/secret.png", "..\\outside\\secret.png", "/etc/passwd", "~/secret.png",
    "link.png", "linked/secret.png", "./link.png", "images/../link.png", "C:\\secret.png", "//host/share/x.png",
    "file:///etc/passwd", "https://example.org/x.png", "\x00", "face.png\x00.jpg", "", ".", "..", "/", "face.png/",
    "pipe.png", "loop.png", "x" * 300 + ".png", "a/" * 3000, "face.png", "./face.png", "FACE.PNG", "\ud800", "%2e%2e/x",
)  # fmt: skip
"""Names of pictures; `campaign_fuzz` lays the links and the pipe."""


@st.composite
def damaged(draw: Callable, sources: Sequence[bytes], *, head: int = 200) -> bytes:
    """One of `sources` after one to five changes, every second of them within its first `head` bytes."""
    content = bytearray(draw(st.sampled_from(sources)))
    for _ in range(draw(st.integers(1, 5))):
        end = min(head, len(content)) if draw(st.booleans()) else len(content)
        _change(draw, content, draw(st.integers(0, max(end - 1, 0))))
    return bytes(content)


def _change(draw: Callable, content: bytearray, place: int) -> None:
    kind = draw(st.integers(0, 6))
    if kind == 0:
        del content[place:]
    elif kind == 1 and content:
        content[min(place, len(content) - 1)] ^= 1 << draw(st.integers(0, 7))
    elif kind in (2, 3):
        new = draw(st.sampled_from(INTERESTING + HUGE))
        content[place : place + len(new)] = new
    elif kind == 4:
        content[place:place] = draw(st.binary(min_size=1, max_size=12))
    elif kind == 5:
        del content[place : place + draw(st.integers(1, 40))]
    else:
        content[place:place] = content[place : place + draw(st.integers(1, 200))]


def plain_values() -> st.SearchStrategy[object]:
    """What JSON or YAML may hold where a number or a word is wanted."""
    return st.one_of(numbers(), words(), st.none(), st.booleans(), st.lists(st.integers(0, 9), max_size=3), nested())


def nested() -> st.SearchStrategy[object]:
    """Mappings and lists within each other."""
    return st.recursive(
        st.none() | st.text(max_size=5), lambda kids: st.lists(kids) | st.dictionaries(st.text(max_size=4), kids)
    )


def numbers() -> st.SearchStrategy[object]:
    """Numbers, most of them impossible."""
    far = (0, -1, 2**31, 2**63, 2**64, 10**30, -(10**30), 1e308, -1e308, 1e-320, float("inf"), float("nan"), 0.5, 96)
    return st.one_of(st.sampled_from(far), st.integers(), st.floats())


def words() -> st.SearchStrategy[str]:
    """Text: numbers written oddly, paths, control signs, anything."""
    odd = (
        "", " ", "nan", "inf", "-inf", "1_0", "0x10", "1e400", "1" * 5000, "٣", "½", "1,2", "1;2;3", ";", "True",
        "yes", "None", "null", "\x00", "\ufeff1", "1\n2", "'", '"', "=1+1", "{}", "[]", "!!python/object", "é" * 100,
        "-", "--", "9" * 400, "1e-400", "%s%n", "\u202e", "1e5", "-2", "8", "3",
    )  # fmt: skip
    return st.one_of(st.sampled_from(odd), st.text(max_size=20), st.sampled_from(PATHS), numbers().map(str))
