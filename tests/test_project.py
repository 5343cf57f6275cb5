"""MLproject, command line and README say the same."""

import re
from pathlib import Path

import click
import pytest
import yaml

from emotion_mlflow.cli import COMMANDS, group
from emotion_mlflow.cli.options import ENTRY_POINTS

HOUSE = Path(__file__).parents[1]
TEXT = (HOUSE / "MLproject").read_text()
PROJECT = yaml.safe_load(TEXT)["entry_points"]
OPTIONS = [(entry, option) for entry, options in ENTRY_POINTS.items() for option in options]
NAMES = [f"{entry}-{option.name}" for entry, option in OPTIONS]


def flags_of(name):
    command = group.get_command(click.Context(group), name)
    return {option.opts[0]: option for option in command.params if isinstance(option, click.Option)}


def helps_in_project():
    """The comment above each parameter, in the order of the file."""
    return re.findall(r"^ +# (.+)\n +(\w+): \{type", TEXT, flags=re.MULTILINE)


def test_every_entry_point_is_a_command():
    assert list(PROJECT) == list(ENTRY_POINTS)
    assert set(ENTRY_POINTS) <= set(COMMANDS)


@pytest.mark.parametrize("entry", ENTRY_POINTS)
def test_mlproject_has_the_same_parameters_in_the_same_order(entry):
    assert list(PROJECT[entry]["parameters"]) == [option.name for option in ENTRY_POINTS[entry]]


@pytest.mark.parametrize("entry", ENTRY_POINTS)
def test_the_command_takes_these_flags_and_json(entry):
    assert list(flags_of(entry)) == [*(option.flag for option in ENTRY_POINTS[entry]), "--json"]


@pytest.mark.parametrize(("entry", "option"), OPTIONS, ids=NAMES)
def test_a_default_is_the_same_in_mlproject_and_on_the_command_line(entry, option):
    flag = flags_of(entry)[option.flag]
    listed = PROJECT[entry]["parameters"][option.name]["default"]
    typed = flag.type_cast_value(click.Context(group.get_command(click.Context(group), entry)), flag.default)
    assert typed == (() if option.repeatable else option.default)
    assert str(listed) == ("false" if option.default is False else str(option.default))


@pytest.mark.parametrize(("entry", "option"), OPTIONS, ids=NAMES)
def test_a_parameter_is_typed_and_its_help_is_the_same_everywhere(entry, option):
    parameters = [(name, text) for text, name in helps_in_project()]
    place = [f"{each}-{one.name}" for each, one in OPTIONS].index(f"{entry}-{option.name}")
    assert parameters[place] == (option.name, option.help)
    assert flags_of(entry)[option.flag].help == option.help
    assert PROJECT[entry]["parameters"][option.name]["type"] == ("float" if option.kind is float else "string")


@pytest.mark.parametrize("entry", ENTRY_POINTS)
def test_mlproject_hands_every_parameter_to_its_own_flag(entry):
    command = PROJECT[entry]["command"]
    assert re.findall(r"(--[a-z-]+) \{(\w+)\}", command) == [(one.flag, one.name) for one in ENTRY_POINTS[entry]]
    assert command.startswith(f"python -m emotion_mlflow {entry} ")


def test_the_readme_names_every_command():
    text = (HOUSE / "README.md").read_text()
    assert [name for name in COMMANDS if f"emotion-mlflow {name}" not in text] == []


@pytest.mark.parametrize("entry", ENTRY_POINTS)
def test_the_readme_has_a_row_for_every_flag_with_its_default_and_help(entry):
    """In the command's own table, in order, as `| --epochs | auto | All epochs of the run. |`."""
    text = (HOUSE / "README.md").read_text()
    (table,) = re.findall(rf"^`{entry}`[^\n]*:\n\n((?:\|.*\n)+)", text, flags=re.MULTILINE)
    rows = re.findall(r"^\| `(--[a-z-]+)` \| *`?([^|`]*?)`? *\| (.*) \|$", table, flags=re.MULTILINE)
    wanted = [
        (one.flag, "false" if one.default is False else str(one.default), one.help) for one in ENTRY_POINTS[entry]
    ]
    assert rows == wanted
