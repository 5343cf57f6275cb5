import pytest
import yaml

from emotion_mlflow.errors import ConfigError
from emotion_mlflow.promotion.limits import SHIPPED, read_limits


@pytest.fixture
def file(tmp_path):
    """Writes the shipped limits with changes; a value of None takes the key away."""

    def write(**changes):
        kept = yaml.safe_load(SHIPPED.read_text()) | changes
        place = tmp_path / "gates.yaml"
        place.write_text(yaml.safe_dump({key: value for key, value in kept.items() if value is not None}))
        return place

    return write


def test_the_shipped_limits_are_read():
    limits = read_limits()
    assert (limits.alpha, limits.cheaper_factor, limits.recall_faces) == (0.05, 1.25, 30)


def test_every_shipped_limit_has_a_comment():
    lines = SHIPPED.read_text().splitlines()
    keys = [number for number, line in enumerate(lines) if line and not line.startswith("#")]
    assert len(keys) == 10
    assert [lines[number] for number in keys if not lines[number - 1].startswith("#")] == []


def test_a_metric_has_its_own_margin():
    limits = read_limits()
    names = ("expression/macro_f1", "valence/ccc", "landmarks/nme", "landmarks/nme_box")
    assert [limits.margin(name) for name in names] == [0.02, 0.02, 0.005, 0.005]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ece": 2}, "a share from 0 to 1 for ece; got 2"),
        ({"alpha": "much"}, "a number for alpha; got 'much'"),
        ({"alpha": True}, "a number for alpha; got True"),
        ({"latency_ms": float("inf")}, "a number for latency_ms; got inf"),
        ({"cheaper_factor": 1}, "a factor above 1 for cheaper_factor"),
        ({"recall_faces": 2.5}, "a whole number for recall_faces; got 2.5"),
        ({"recall_faces": 0}, "a whole number from 1 for recall_faces"),
        ({"model_file_mb": -1}, "a number above 0 for model_file_mb"),
        ({"speed": 1}, "got speed"),
        ({"ece": None}, "got no ece"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_bad_limit_is_told_by_name(file, changes, words):
    with pytest.raises(ConfigError, match=words.replace("(", r"\(")):
        read_limits(file(**changes))


def test_a_number_that_yaml_reads_as_text_is_a_number(tmp_path):
    place = tmp_path / "gates.yaml"
    place.write_text(SHIPPED.read_text().replace("tolerance: 0.0001", "tolerance: 1e-3"))
    assert read_limits(place).tolerance == 0.001


@pytest.mark.parametrize("text", ["- a\n- b\n", "a: [\n", ""], ids=["a list", "no YAML", "empty"])
def test_a_file_of_another_kind_is_told(tmp_path, text):
    place = tmp_path / "gates.yaml"
    place.write_text(text)
    with pytest.raises(ConfigError, match=r"gates\.yaml"):
        read_limits(place)


def test_an_absent_file_is_told(tmp_path):
    with pytest.raises(ConfigError, match="a YAML file with the gates' limits"):
        read_limits(tmp_path / "none.yaml")
