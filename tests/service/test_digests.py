import hashlib

import pytest

from emotion_mlflow.service.digests import TableDigests, differences

RUNS = b"COPY public.runs (id, name) FROM stdin;\n"
END = b"\\.\n\n"
DUMP = b"SET x = 1;\n" + RUNS + b"1\tone\n2\ttwo\n" + END + b'COPY public."keys" (id) FROM stdin;\n' + END


def tables(text, piece=1 << 20):
    digests = TableDigests()
    for start in range(0, len(text), piece):
        digests.write(text[start : start + piece])
    return digests.tables()


def test_a_table_s_digest_is_the_sum_of_its_rows():
    rows = (int.from_bytes(hashlib.sha256(row).digest(), "big") for row in (b"1\tone", b"2\ttwo"))
    assert tables(DUMP) == {
        "keys": {"rows": 0, "digest": "0" * 64},
        "runs": {"rows": 2, "digest": f"{sum(rows) % 2**256:064x}"},
    }


@pytest.mark.parametrize("piece", [1, 7, 40])
def test_lines_may_be_cut_anywhere(piece):
    assert tables(DUMP, piece) == tables(DUMP)


def test_the_order_of_rows_does_not_matter_but_their_content_does():
    def runs(rows):
        return tables(RUNS + rows + END)["runs"]

    assert runs(b"2\ttwo\n1\tone\n") == runs(b"1\tone\n2\ttwo\n")
    assert runs(b"1\tone\n2\ttwO\n") != runs(b"1\tone\n2\ttwo\n")
    assert runs(b"1\tone\n1\tone\n") != runs(b"1\tone\n")


def test_differences_names_what_is_missing_too_many_or_other():
    assert differences({"a": 1, "b": 2, "c": 3}, {"b": 2, "c": 4, "d": 5}) == ["a", "c", "d"]
