"""Every mixer is timed in every mode, side by side."""

import sys
import types

import pytest
import torch
from torch import nn

from nestling.evaluation import speed
from nestling.evaluation.model_tables import speed_table
from nestling.evaluation.speed import MIXERS, MODES, Course, measure_speed
from nestling.evaluation.speed_titans import EQUAL, ONE_STATE

TINY = Course(
    width=16,
    layers=1,
    heads=2,
    chunk_size=4,
    vocabulary=50,
    lengths=(16, 32),
    model_lengths=(16, 32),
    titans_chunks=(4, 8),
    contexts=(1024, 2048),
    tokens=32,
    rounds=1,
)

TITANS = ("titans forward", "titans train")


@pytest.fixture(autouse=True)
def without_the_other_package(monkeypatch):
    monkeypatch.setattr(speed, "titans_pytorch_is_here", lambda: False)


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode not in ("decode", *TITANS)])
def test_every_mixer_has_a_row_for_every_length(mode):
    rows = list(measure_speed(modes=[mode], threads=[1], course=TINY))
    assert [(row["model"], row["tokens"]) for row in rows] == [
        (mixer, length) for length in TINY.lengths for mixer in MIXERS
    ]
    assert all(row["tokens_per_second"] > 0 and row["peak_bytes"] > 0 for row in rows)
    assert all(row["to_attention"] == 1.0 for row in rows if row["model"] == "attention")
    assert mode in speed_table(rows)


def test_training_keeps_more_than_reading():
    peaks = {
        mode: next(
            iter(measure_speed(mixers=["attention"], modes=[mode], threads=[1], course=TINY))
        )["peak_bytes"]
        for mode in ("forward", "train")
    }
    assert peaks["train"] > peaks["forward"]


def test_a_state_does_not_grow_with_the_context():
    rows = list(
        measure_speed(mixers=["attention", "delta_net"], modes=["decode"], threads=[1], course=TINY)
    )
    for mixer in ("attention", "delta_net"):
        assert len({row["state_bytes"] for row in rows if row["model"] == mixer}) == 1
    assert "2,048 tokens" in speed_table(rows)


def test_what_was_timed_is_not_timed_again(tmp_path, monkeypatch):
    options = {
        "mixers": ["attention", "delta_net"],
        "modes": ["forward", "decode"],
        "threads": [1],
        "course": TINY,
        "run_file": tmp_path / "speed.jsonl",
    }
    rows = measure_speed(**options)
    first = [next(rows) for _ in range(3)]  # stopped after the first length and a half
    monkeypatch.setattr(speed, "timed", lambda action, device: 1.0)
    again = list(measure_speed(**options))
    assert again[:4][:3] == first
    assert again[2]["tokens_per_second"] != 32 and again[-1]["milliseconds"] == 1000
    assert list(measure_speed(**options)) == again


def test_threads_are_put_back():
    before = torch.get_num_threads()
    list(measure_speed(mixers=["retention"], modes=["forward"], threads=[1], course=TINY))
    assert torch.get_num_threads() == before


def test_another_package_takes_part_where_it_is_installed(monkeypatch):
    asked = []

    class NeuralMemory(nn.Module):
        def __init__(self, dim, **options):
            super().__init__()
            asked.append(options)
            self.layer = nn.Linear(dim, dim)

        def forward(self, x):
            return self.layer(x), None

    assert list(measure_speed(modes=TITANS, threads=[1], course=TINY)) == []
    monkeypatch.setattr(speed, "titans_pytorch_is_here", lambda: True)
    monkeypatch.setitem(
        sys.modules, "titans_pytorch", types.SimpleNamespace(NeuralMemory=NeuralMemory)
    )
    rows = list(measure_speed(modes=TITANS, threads=[1], course=TINY))
    assert [(row["model"], row["chunk"]) for row in rows] == 2 * [
        (name, chunk) for chunk in (4, 8) for name in ("titans", EQUAL, ONE_STATE)
    ]
    assert all(row["to_theirs"] == 1.0 for row in rows if row["model"] == EQUAL)
    assert {(options["chunk_size"], options["batch_size"]) for options in asked} == {
        (4, 4),
        (4, None),
        (8, 8),
        (8, None),
    }
    assert "chunk of 8" in speed_table(rows)


@pytest.mark.parametrize("wrong", [{"mixers": ["lstm"]}, {"modes": ["sleep"]}])
def test_unknown_names_are_refused(wrong):
    with pytest.raises(ValueError, match="there is no"):
        list(measure_speed(**wrong))
