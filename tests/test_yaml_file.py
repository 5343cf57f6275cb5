import pytest

from emotion_mlflow.errors import ConfigError
from emotion_mlflow.yaml_file import LARGEST, read_yaml

ALIASES = "{a: &a [x,x,x,x,x,x,x,x,x], " + ", ".join(
    f"{name}: &{name} [{','.join(['*' + before] * 9)}]" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"key: {ALIASES}}}", "at most 100000 values; got aliases that make far more"),
        ("key: &a [*a]", "a value that holds itself"),
        ("key: !!bool x", "got 'x'"),
        ("key: !!int ''", "string index out of range"),
        ("key: !!float '.'", "could not convert"),
        ("key: !!timestamp x", "got "),
        ("key: 2001-99-99", "month must be in"),
        ("key: " + "[" * 3000, "recursion"),
        ("key: 0x" + "f" * 6000, "more than 64 bits"),
        ("key: 1\nkey: 2", "key stands there twice"),
        ("key: !!python/object/apply:os.mkdir ['executed']", "could not determine a constructor"),
        ("key: \x00", "special characters are not allowed"),
        ("#" * (LARGEST + 1), "a larger one"),
    ],
    ids=lambda text: text[:24],
)
def test_a_file_that_means_harm_is_refused_in_one_line(tmp_path, monkeypatch, text, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_yaml(tmp_path / "a.yaml", what="a YAML file")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "executed").exists()


def test_an_alias_in_measure_is_read(tmp_path):
    (tmp_path / "a.yaml").write_text("a: &one [1, 2.5, yes]\nb: *one\n")
    assert read_yaml(tmp_path / "a.yaml", what="a YAML file") == {"a": [1, 2.5, True], "b": [1, 2.5, True]}
