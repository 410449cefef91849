"""A table is listed, run at its scale and printed beside the paper's."""

import json

import pytest
from typer.testing import CliRunner

from nestling.cli import app
from nestling.evaluation import formal_languages, mad, sequence_tasks
from nestling.evaluation.reproduction_tables import formal_languages_table, mad_table
from nestling.evaluation.reproductions import REPRODUCTIONS

runner = CliRunner()


def test_the_list_says_what_there_is_and_what_it_takes():
    shown = runner.invoke(app, ["reproduce", "--list"])
    assert shown.exit_code == 0
    for name, known in REPRODUCTIONS.items():
        assert name in shown.stdout and known.takes in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name a table"),
        (["table 99"], "there is no table"),
        (["mad", "--only", "lstm"], "the models are"),
        (["mad", "--seeds", "0"], "--seeds"),
    ],
)
def test_what_cannot_be_run_is_named(arguments, message):
    shown = runner.invoke(app, ["reproduce", *arguments])
    assert shown.exit_code != 0 and message in shown.output


def test_a_table_is_run_and_stands_beside_the_papers(tmp_path, monkeypatch):
    tiny = sequence_tasks.Course(
        width=16, layers=1, heads=2, steps=2, batch=2, rates=(1e-3,), asked=2
    )
    monkeypatch.setattr(sequence_tasks, "Course", lambda: tiny)
    shown = runner.invoke(
        app,
        ["reproduce", "mad", "--seeds", "1", "--only", "hope"]
        + ["--run", str(tmp_path / "runs.jsonl"), "--out", str(tmp_path)],
    )
    assert shown.exit_code == 0, shown.output
    assert "in the paper" in shown.stdout and REPRODUCTIONS["mad"].scale in shown.stdout
    rows = json.loads((tmp_path / "mad.json").read_text())["rows"]
    assert {row["task"] for row in rows} == set(mad.TASKS)


def test_tables_give_percent_and_the_range_over_seeds():
    rows = [
        {"model": "hope", "task": task, "bin": name, "seed": seed, "accuracy": accuracy}
        for task in formal_languages.LANGUAGES
        for name in formal_languages.BINS
        for seed, accuracy in enumerate((1.0, 0.5))
    ]
    lines = formal_languages_table(rows).splitlines()
    assert "75.0 (50–100) / 75.0 (50–100)" in lines[2]
    assert "*100 / 100*" in lines[3]
    rows = [
        {"model": model, "task": task, "seed": 0, "accuracy": accuracy}
        for model, accuracy in (("transformer", 0.5), ("hope", 0.75))
        for task in mad.TASKS
    ]
    lines = mad_table(rows).splitlines()
    assert lines[2].startswith("| hope") and lines[2].endswith("75.0 |")
    assert lines[3].startswith("| *in the paper*")
