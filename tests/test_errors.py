from emotion_mlflow.errors import DataError, without_password


def test_control_signs_from_a_file_are_written_out_on_one_line():
    error = DataError("a column path", got="\x1b[31mred\x00\n\udcff é", where="a\x7f.csv")
    assert str(error) == r"expected a column path; got \x1b[31mred\x00 \udcff é in a\x7f.csv"


def test_what_came_is_cut_where_it_is_endless():
    assert len(str(DataError("a number", got="9" * 10_000))) < 1100


def test_a_password_in_an_address_is_never_told():
    error = DataError("an answer", got="none of https://ann:s3cret@host/a", where="postgresql+psycopg://ann:s3@db:1/x")
    assert str(error) == "expected an answer; got none of https://ann@host/a in postgresql+psycopg://ann@db:1/x"
    assert without_password("https://host:5000/a sqlite:///a.db") == "https://host:5000/a sqlite:///a.db"
