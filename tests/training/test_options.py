"""A configuration says what is wrong with it."""

from pathlib import Path

import pytest

from nestling.training.options import LoopOptions, ToldFactsOptions, read_options

ROOT = Path(__file__).parents[2]


def write(folder, text):
    path = folder / "c.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("recipe", sorted(ROOT.glob("recipes/*.toml")), ids=lambda path: path.name)
def test_every_committed_recipe_is_valid(recipe):
    options = read_options(recipe, {"steps": 3})
    assert options.loop.steps == 3


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[told_facts]\n[text]\n", "needs one task"),
        ("[loop]\nsteps = 3\n", "needs one task"),
        ("[told_facts]\nturn = 3\n", "has no \\['turn'\\]; it has"),
        ("[told_fact]\n", "unknown tables"),
        ("[told_facts\n", "not valid TOML"),
        ("[told_facts]\n[model]\nhidden_size = 30\n", "heads of even width"),
        ("[told_facts]\n[loop]\nprecision = 'half'\n", "precision is"),
    ],
)
def test_a_bad_configuration_is_refused_with_a_sentence(tmp_path, text, sentence):
    with pytest.raises(ValueError, match=sentence):
        read_options(write(tmp_path, text))


def test_a_missing_configuration_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no configuration"):
        read_options(tmp_path / "none.toml")


@pytest.mark.parametrize(
    "values", [{"steps": 0}, {"schedule": [[0.5, 1.0], [0.2, 0.0]]}, {"schedule": []}]
)
def test_loop_options_are_checked(values):
    with pytest.raises(ValueError):
        LoopOptions(**values)


def test_stages_are_checked():
    with pytest.raises(ValueError, match="stages are numbers"):
        ToldFactsOptions(stages=())


@pytest.mark.parametrize("name", ["slips", "open_facts", "known_only", "odd_words"])
def test_shares_are_checked(name):
    with pytest.raises(ValueError, match=f"{name} is a share between 0 and 1, got 1.5"):
        ToldFactsOptions(**{name: 1.5})
