"""What a database holds, as one digest a table: independent of the order of rows, computed while the text flows by."""

import hashlib
import re
from typing import Any

_COPY = re.compile(rb'COPY (?:\w+\.)?"?(\w+)"? \(.*\) FROM stdin;')
_MODULUS = 1 << 256


class TableDigests:
    """A file to write the text of `pg_dump --data-only` to; counts rows and digests tables of what passes.

    A table's digest is the sum of its rows' SHA-256, modulo 2**256: dumps of the same rows agree whatever their order.
    """

    def __init__(self) -> None:
        self._sums: dict[str, int] = {}
        self._rows: dict[str, int] = {}
        self._table = ""
        self._rest = b""

    def write(self, piece: bytes) -> int:
        """Takes the next bytes; lines may be cut anywhere."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            self._take(line)
        return len(piece)

    def _take(self, line: bytes) -> None:
        if self._table:
            if line == rb"\.":
                self._table = ""
                return
            row = int.from_bytes(hashlib.sha256(line).digest(), "big")
            self._sums[self._table] = (self._sums[self._table] + row) % _MODULUS
            self._rows[self._table] += 1
        elif start := _COPY.match(line):
            self._table = start[1].decode()
            self._sums.setdefault(self._table, 0)
            self._rows.setdefault(self._table, 0)

    def tables(self) -> dict[str, dict[str, Any]]:
        """Table to its rows and digest (64 hex digits)."""
        return {
            name: {"rows": self._rows[name], "digest": f"{total:064x}"} for name, total in sorted(self._sums.items())
        }


def differences(wanted: dict[str, Any], got: dict[str, Any]) -> list[str]:
    """The names that are missing, too many, or of other content, in order."""
    return sorted(name for name in wanted.keys() | got.keys() if wanted.get(name) != got.get(name))
