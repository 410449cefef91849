"""A table is listed, run at its scale and printed beside the paper's."""

import gzip
import json

import pytest
from typer.testing import CliRunner

from nestling.cli import app
from nestling.evaluation import (
    ablation,
    formal_languages,
    language_modeling,
    mad,
    sequence_tasks,
)
from nestling.evaluation.reproduction_tables import (
    ablation_table,
    formal_languages_table,
    mad_table,
    needles_table,
)
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
        (["ablation"], "NESTLING_DATA"),
    ],
)
def test_what_cannot_be_run_is_named(arguments, message, monkeypatch):
    monkeypatch.delenv("NESTLING_DATA", raising=False)
    shown = runner.invoke(app, ["reproduce", *arguments])
    assert shown.exit_code != 0 and message in shown.output


def test_a_table_is_run_and_stands_beside_the_papers(tmp_path, monkeypatch):
    tiny = sequence_tasks.Course(
        width=16, layers=1, heads=2, steps=2, batch=2, rates=(1e-3,), asked=2
    )
    monkeypatch.setattr(mad, "Course", lambda **_: tiny)
    shown = runner.invoke(
        app,
        ["reproduce", "mad", "--seeds", "1", "--only", "hope"]
        + ["--run", str(tmp_path / "runs.jsonl"), "--out", str(tmp_path)],
    )
    assert shown.exit_code == 0, shown.output
    assert "in the paper" in shown.stdout and REPRODUCTIONS["mad"].scale in shown.stdout
    rows = json.loads((tmp_path / "mad.json").read_text())["rows"]
    assert {row["task"] for row in rows} == set(mad.TASKS)

    for model in ("transformer", "delta_net"):
        added = runner.invoke(
            app,
            ["reproduce", "mad", "--seeds", "1", "--only", model, "--add"]
            + ["--run", str(tmp_path / "runs.jsonl"), "--out", str(tmp_path)],
        )
        assert added.exit_code == 0, added.output
    assert all(f"| {model} |" in added.stdout for model in ("hope", "delta_net", "transformer"))
    kept = json.loads((tmp_path / "mad.json").read_text())
    assert kept["rows"][: len(rows)] == rows
    assert [row["model"] for row in kept["rows"][:: len(rows)]] == [
        "hope",
        "delta_net",
        "transformer",
    ]
    assert len(kept["earlier"]) == 2


def test_the_ablation_is_trained_on_data_and_stands_beside_the_papers(tmp_path, monkeypatch):
    (tmp_path / "lm").mkdir()
    for name in ("train", "valid"):
        with gzip.open(tmp_path / "lm" / f"wikitext2_{name}.txt.gz", "wt") as file:
            file.write("the cat sat on the mat and the dog lay by the door. " * 200)
    monkeypatch.setattr(ablation, "TOKENS", 1024)  # one step
    monkeypatch.setattr(language_modeling, "VOCABULARY", 300)
    shown = runner.invoke(
        app,
        ["reproduce", "ablation", "--seeds", "1", "--only", "hope", "--only", "static q"]
        + ["--data", str(tmp_path), "--run", str(tmp_path / "runs.jsonl"), "--out", str(tmp_path)],
    )
    assert shown.exit_code == 0, shown.output
    assert "12.19" in shown.stdout and "-0.4 %" in shown.stdout
    rows = json.loads((tmp_path / "ablation.json").read_text())["rows"]
    assert [row["model"] for row in rows] == ["hope", "static q"]
    assert rows[0]["perplexity"] != rows[1]["perplexity"]


def test_variants_are_compared_seed_by_seed_and_what_diverged_with_nothing():
    rows = [
        {"model": model, "seed": seed, "perplexity": value, "carried_perplexity": value}
        for model, values in (("hope", (10.0, 20.0)), ("static k", (11.0, 24.0)))
        for seed, value in enumerate(values)
    ]
    lost = {"model": "without DGD", "seed": 0, "perplexity": None, "carried_perplexity": None}
    lines = ablation_table([*rows, lost]).splitlines()
    assert "+0.0 %" in lines[2] and lines[3].count("+15.0 % (+10.0 to +20.0)") == 2
    assert lines[4].startswith(
        "| without DGD | 1 | 1 of 1 diverged | – | 1 of 1 diverged | – | 13.41 | +9.6 % |"
    )


def test_a_variant_alone_is_compared_with_nothing():
    assert "– |" in ablation_table([{"model": "static q", "seed": 0, "perplexity": 9.0}])


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


def test_needles_stand_by_length_beside_the_papers():
    rows = [
        {"model": "hope", "kind": kind, "length": length, "seed": 0, "accuracy": 0.5}
        for kind in ("single", "multi-value")
        for length in (1024, 16384)
    ]
    shown = needles_table(rows)
    assert "| hope | 1 | 50.0 | 50.0 |" in shown
    assert "| *in the paper* |  |  | *78.2* |" in shown and "*11.4*" in shown
    assert shown.index("**single**") < shown.index("**multi-value**")
