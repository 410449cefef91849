"""The races of the update rules, at toy size."""

import gzip
import json
import math
from dataclasses import replace

import pytest
import torch

from nestling.evaluation import inner_race, landscape, outer_race
from nestling.evaluation.figures import rule_landscape
from nestling.evaluation.finished import DIVERGED, Finished
from nestling.evaluation.inner_race import facts_held
from nestling.evaluation.outer_race import OPTIMIZERS, best_rate
from nestling.evaluation.peak_memory import PeakMemory
from nestling.evaluation.rule_cost import block, slow_step
from nestling.evaluation.rule_tables import (
    landscape_table,
    recall_table,
    stream_table,
    text_table,
)
from nestling.rules import M3, MomentumRule

TINY = outer_race.Course(width=16, layers=1, vocabulary=300, batch=2, length=16, steps=3, windows=2)


@pytest.fixture
def data(tmp_path):
    words = ["the", "cat", "sat", "on", "a", "mat", "and", "saw", "that", "it", "was", "good"]
    text = " ".join(words[i * 7 % 12] for i in range(3000))
    for name in ("lm/wikitext2_train.txt.gz", "lm/wikitext2_valid.txt.gz"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(gzip.compress(text.encode()))
    (tmp_path / "domains").mkdir()
    for name in ("one", "two"):
        rows = [{"split": split, "text": text + name} for split in ("train", "valid")]
        lines = "\n".join(map(json.dumps, rows)).encode()
        (tmp_path / f"domains/{name}.jsonl.gz").write_bytes(gzip.compress(lines))
    return tmp_path


def test_a_path_ends_below_the_target_for_good():
    valley = landscape.VALLEYS["gentle"]
    assert valley.height(torch.zeros(2)) == 0
    path = valley.walk(MomentumRule(rate=0.01), steps=200)
    assert path[0].tolist() == list(landscape.START)
    needed = valley.steps_to_target(path)
    assert 0 < needed < 200
    assert valley.height(path[needed - 1]) >= landscape.TARGET
    assert (valley.height(path[needed:]) < landscape.TARGET).all()


def test_the_landscape_is_measured_drawn_and_tabled(monkeypatch, tmp_path):
    monkeypatch.setattr(landscape, "STEPS", 5)
    monkeypatch.setattr(landscape, "RATES", (0.01, 0.1))
    rows = list(landscape.measure_landscape())
    assert {row["rule"] for row in rows} == set(landscape.RULES)
    assert "not reached" in landscape_table(rows)
    path = rule_landscape(rows, tmp_path / "picture.png")
    assert path.read_bytes()[:4] == b"\x89PNG"


def test_the_grid_grows_while_its_edge_is_best():
    rates = (0.1, 0.2, 0.4, 0.8)
    best, tried = best_rate(rates, lambda rate: abs(math.log(rate / 3.0)))
    assert best == 3.2
    assert tried == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4]
    best, tried = best_rate(rates, lambda rate: abs(math.log(rate / 0.21)))
    assert (best, len(tried)) == (0.2, 4)


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_every_optimizer_of_the_race_trains(name, data):
    rows = list(
        outer_race.measure_outer_race(
            data, models=["transformer"], optimizers=[name], seeds=[0], course=TINY
        )
    )
    assert all(0 < row["validation_loss"] <= DIVERGED for row in rows)
    assert sum(row["best"] for row in rows) == 1
    assert name in text_table(rows)


def test_a_race_goes_on_where_it_was_stopped(data, tmp_path):
    def start():
        rows = outer_race.measure_outer_race(
            data,
            models=["hope"],
            optimizers=["adamw"],
            seeds=[0, 1],
            course=TINY,
            run_file=tmp_path / "runs.jsonl",
        )
        return rows

    first = list(start())
    lines = (tmp_path / "runs.jsonl").read_text().splitlines()
    assert len(lines) == len(first)
    (tmp_path / "runs.jsonl").write_text("\n".join(lines[:-1]) + '\n{"key": {"mod')
    again = list(start())
    timeless = [{**row, "seconds_per_step": None} for row in (*first, *again)]
    assert timeless[: len(first)] == timeless[len(first) :]
    assert len(Finished(tmp_path / "runs.jsonl", TINY)._found) == len(first)


def test_the_stream_gives_the_loss_on_all_domains_at_the_end_of_each(data):
    rows = list(
        outer_race.measure_outer_race_stream(
            data, optimizers=["momentum"], domains=("one", "two"), seeds=[0, 1], course=TINY
        )
    )
    assert len(rows) == 2 * 2 * 2
    assert {(row["after"], row["domain"]) for row in rows} == {
        (one, other) for one in ("one", "two") for other in ("one", "two")
    }
    assert "momentum" in stream_table(rows)


def test_forgetting_is_what_the_old_domain_lost():
    losses = {("one", "one"): 2.0, ("one", "two"): 5.0, ("two", "one"): 2.5, ("two", "two"): 3.0}
    rows = [
        {"optimizer": "x", "lr": 1.0, "seed": 0, "order": ("one", "two").index(after)}
        | {"after": after, "domain": domain, "loss": loss}
        for (after, domain), loss in losses.items()
    ]
    assert stream_table(rows).splitlines()[-1] == "| x | 1 | 1 | 2.500 | 2.750 | 0.500 |"


@pytest.mark.parametrize("name", list(inner_race.RULES))
def test_every_rule_of_the_inner_race_is_trained_and_asked(name):
    course = inner_race.Course(steps=2, trial=1, notes=8, stages=(2,), facts=(2, 4), questions=8)
    course = replace(course, memory=24)
    rows = list(inner_race.measure_inner_race(rules=[name], seeds=[0], course=course))
    assert [row["facts"] for row in rows] == [2, 4]
    assert name in recall_table(rows)


@pytest.mark.parametrize(
    ("recalled", "held"),
    [
        ({32: 1.0, 128: 0.9, 512: 0.5}, 128),
        ({32: 1.0, 128: 0.8}, 64),
        ({32: 0.45, 128: 0.2}, 16),
        ({32: 1.0, 128: 0.95}, 128),
    ],
)
def test_facts_held_lie_between_the_numbers_measured(recalled, held):
    assert facts_held(recalled) == pytest.approx(held)


def test_the_slow_step_of_m3_is_counted_once_a_period():
    model = block("cpu", 32, 48)
    optimizer = M3(model.parameters(), period=4)
    optimizer.step()
    assert slow_step(optimizer, 0.0, "cpu") > 0
    assert all(int(values["step"]) == 4 for values in optimizer.state.values())


def test_the_peak_is_what_lived_together():
    kept = torch.ones(1000)
    with PeakMemory() as memory:
        for _ in range(5):
            one = kept * 2
            other = one + 1
            del one, other
        kept.mul_(2)
    assert memory.peak == 2 * 4000
