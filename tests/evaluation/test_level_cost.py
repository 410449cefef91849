"""What levels cost, and how strengths fade, at a tiny size."""

import pytest
import torch

from nestling.evaluation.continual import fact_learners, strength
from nestling.evaluation.continual.fact_stream import Query, Stream, StreamSize, Turn
from nestling.evaluation.continual.strength import measure_strength
from nestling.evaluation.continual.tables import level_cost_table, strength_table
from nestling.evaluation.level_cost import Course, kinds, measure_level_cost
from nestling.models.dialogue import Note
from nestling.resident.sleep import SleepOptions

torch.set_num_threads(1)

TINY = Course(width=16, layers=1, vocabulary=50, tokens=70, rounds=1, rank=2)


def test_every_kind_is_timed_and_compared_with_one_that_is():
    rows = list(measure_level_cost(course=TINY))
    names = [row["kind"] for row in rows]
    assert names == list(kinds(TINY))
    assert all(row["compared_with"] in ("", *names) for row in rows)
    assert all(row["milliseconds"] > 0 and row["ratio"] > 0 for row in rows)
    assert rows[0]["ratio"] == 1.0
    table = level_cost_table(rows)
    assert all(name in table for name in names)


def test_a_level_that_is_never_due_stays_empty():
    settings, learns, _ = kinds(TINY)["nested, one that is not due"]
    from nestling.models.hope import Hope

    model = Hope(settings)
    ids = torch.randint(50, (1, 130))
    with torch.no_grad():
        state = model(ids, state=model.new_state(1), learn=learns).state
    assert bool(state["memory.delta.fast.down"].any())
    assert not bool(state["memory.delta.slow.down"].any())


@pytest.fixture
def short_stream(monkeypatch, tiny_bundle):
    size = StreamSize(sessions=2, turns=50, facts=1, changes=0, never_told=1)
    turns = [Turn("lovely weather", ())] * 100
    turns[3] = Turn("my dog is Rex", (Note("my dog", "Rex"),))
    turns[60] = Turn("my cat is Mia", (Note("my cat", "Mia"),))
    told = (Query("", "my dog", "Rex", 3), Query("", "my cat", "Mia", 60))
    stream = Stream(size, tuple(turns), told, (), (), ())
    monkeypatch.setattr(strength, "load_bundle", lambda model: tiny_bundle)
    monkeypatch.setattr(strength, "draw_stream", lambda *_: stream)
    monkeypatch.setattr(fact_learners, "SleepOptions", lambda: SleepOptions(base_bound=1e9))


def test_margins_are_followed_with_and_without_sleep(short_stream):
    rows = list(measure_strength(seeds=[0]))
    assert [(row["sleep"], row["turn"]) for row in rows] == [
        ("never", 50),
        ("never", 100),
        ("once, at the end", 100),
        ("every session", 50),
        ("every session", 100),
    ]
    # Of the first session alone.
    assert all(row["facts"] == 1 for row in rows)
    assert "every session" in strength_table(rows)
