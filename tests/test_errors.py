from emotion_mlflow.errors import DataError


def test_control_signs_from_a_file_are_written_out_on_one_line():
    error = DataError("a column path", got="\x1b[31mred\x00\n\udcff é", where="a\x7f.csv")
    assert str(error) == r"expected a column path; got \x1b[31mred\x00 \udcff é in a\x7f.csv"


def test_what_came_is_cut_where_it_is_endless():
    assert len(str(DataError("a number", got="9" * 10_000))) < 1100
