import pytest

from emotion_mlflow.errors import ConfigError
from emotion_mlflow.scale.file import read_grid_file

NAMES = ("backbones", "recipe", "rng_seeds", "weights", "vary", "set", "epochs", "learning_rate", "compare")


def reading(tmp_path, text):
    file = tmp_path / "grid.yaml"
    file.write_text(text)
    return read_grid_file(file, names=NAMES)


def test_lists_and_mappings_become_what_one_would_type(tmp_path):
    said = reading(
        tmp_path,
        """
        backbones: [resnet50, efficientnetb0]
        recipe: probe
        rng_seeds: [1, 2, 3]
        weights: {resnet50: r.weights.h5, efficientnetb0: e.weights.h5}
        vary:
          model.dropout: [0.1, 0.3]
          augment.contrast: [[1, 1], [0.8, 1.2]]
        set: {training.label_smoothing: 0.1, augment.contrast: [0.9, 1.1]}
        learning_rate: 1e-3
        compare: true
        """,
    )
    assert said == {
        "backbones": "resnet50,efficientnetb0",
        "recipe": "probe",
        "rng_seeds": "1,2,3",
        "weights": "resnet50=r.weights.h5,efficientnetb0=e.weights.h5",
        "vary": "model.dropout=0.1;0.3 augment.contrast=1,1;0.8,1.2",
        "set": "training.label_smoothing=0.1 augment.contrast=0.9,1.1",
        "learning_rate": "1e-3",
        "compare": "true",
    }


def test_what_may_be_typed_may_stand_in_the_file_as_text(tmp_path):
    said = reading(tmp_path, "backbones: a,b\nvary: model.dropout=0.1,0.3\nset: [training.ramp=0.1, model.dropout=0]")
    assert said["backbones"] == "a,b"
    assert (said["vary"], said["set"]) == ("model.dropout=0.1,0.3", "training.ramp=0.1 model.dropout=0")


@pytest.mark.parametrize(
    ("text", "words"),
    {
        "an unknown key": ("backbone: resnet50", "a key of backbones, recipe, "),
        "a tag": ("backbones: !!python/object/apply:os.getcwd []", "plain values; got could not determine a constr"),
        "a key twice": ("recipe: probe\nrecipe: improved", "got recipe stands there twice (line 1)"),
        "no mapping": ("- resnet50", "a mapping of grid's flags; got list"),
        "nothing": ("", "a mapping of grid's flags; got NoneType"),
        "no YAML": ("backbones: [a", "a YAML file of plain values; got"),
        "a date": ("recipe: 2026-01-01", "text, a number, true or false; got date"),
        "a mapping where none belongs": ("epochs: {a: 1}", "got dict in epochs: in"),
    }.values(),
)
def test_a_faulty_file_is_told_in_one_line(tmp_path, text, words):
    with pytest.raises(ConfigError) as told:
        reading(tmp_path, text)
    assert words in str(told.value)
    assert "grid.yaml" in str(told.value)


def test_an_absent_file_is_told(tmp_path):
    with pytest.raises(ConfigError, match="a YAML file"):
        read_grid_file(tmp_path / "absent.yaml", names=NAMES)
