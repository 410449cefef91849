"""Every committed result names a command that there is, with options that it takes."""

import shlex
from pathlib import Path

import pytest
import typer

from nestling.cli import app
from nestling.cli.common import chosen
from nestling.evaluation.reproductions import reproduction
from nestling.evaluation.results import read_results

RESULTS = sorted((Path(__file__).parents[2] / "results").glob("*.json"))


def parsed(line):
    """The name of the command that a line calls and the values of its parameters; it is not run."""

    def disarm(command, name):
        inner = getattr(command, "commands", None)
        if inner is None:
            command.callback = lambda **values: (name, values)
            return
        for word, one in inner.items():
            disarm(one, f"{name} {word}")

    program, *arguments = shlex.split(line)
    command = typer.main.get_command(app)
    disarm(command, "nestling")
    return command.main(arguments, program, standalone_mode=False)


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_a_result_names_a_command_that_there_is(path):
    name, values = parsed(read_results(path)["command"])
    if name == "nestling reproduce":
        assert values["table"] == path.stem
        chosen(values["only"], reproduction(path.stem).models, "models")


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("nestling evaluate nonsense", "nonsense"),
        ("nestling evaluate recall --sedes 3", "--sedes"),
        ("nestling reproduce mad extra", "extra"),
    ],
)
def test_what_the_command_line_does_not_know_is_refused(line, wrong):
    with pytest.raises(Exception, match=wrong):
        parsed(line)
