"""Facts over many sessions: every method lives through a stream and is graded alike."""

import importlib.util

import pytest
import torch

from nestling.evaluation.continual import fact_baselines, fact_learners, facts
from nestling.evaluation.continual.fact_learners import HopeLearner, graded, with_levels
from nestling.evaluation.continual.fact_methods import METHODS
from nestling.evaluation.continual.fact_stream import Query, Stream, StreamSize, Turn, draw_stream
from nestling.evaluation.continual.facts import Course, live, measure_continual_facts
from nestling.evaluation.continual.tables import continual_facts_table
from nestling.models.dialogue import Note
from nestling.resident.sleep import SleepOptions

torch.set_num_threads(1)

SIZE = StreamSize(sessions=2, turns=4, facts=2, changes=1, never_told=2)
FACTS = [("my dog", "Rex"), ("my city", "Porto"), ("my cat", "Mia"), ("my boat", "Nina")]


def make_stream():
    """Two sessions of four turns, read without a mistake; the dog is renamed in the second."""
    told = {0: FACTS[0], 1: FACTS[1], 4: FACTS[2], 5: FACTS[3], 6: ("my dog", "Pixel")}
    turns = []
    for place in range(8):
        if place in told:
            key, value = told[place]
            turns.append(Turn(f"{key} is {value}", (Note(key, value),)))
        else:
            turns.append(Turn(f"lovely weather number {place}", ()))
    queries = [
        Query(f"what is {FACTS[i][0]}", *FACTS[i], told=place)
        for i, place in ((1, 1), (2, 4), (3, 5))
    ]
    changed = Query("what is my dog", "my dog", "Pixel", 6, "Rex")
    never = Query("what is my house", "my house")
    return Stream(
        SIZE,
        tuple(turns),
        tuple(queries),
        (changed,),
        (never, never),
        (Turn("my fish is Bo", (Note("my fish", "Bo"),)),),
    )


@pytest.fixture(autouse=True)
def gentle_sleep(monkeypatch):
    """A model that never learned to recall is not to be judged by what sleep does to it."""
    monkeypatch.setattr(fact_learners, "SleepOptions", lambda: SleepOptions(base_bound=1e9))


@pytest.mark.parametrize("name", METHODS)
def test_every_method_lives_through_a_stream(name, tiny_bundle):
    for package in ("peft", "bm25s"):
        needs = {"peft": "lora", "bm25s": "retrieval"}[package]
        if name.startswith(needs) and importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    before = {n: p.clone() for n, p in tiny_bundle.model.named_parameters()}
    learner = METHODS[name].make(tiny_bundle, **METHODS[name].settings[0])
    row = live(learner, make_stream(), tiny_bundle)
    assert [len(line) for line in row["matrix"]] == [1, 2]
    assert all(0 <= value <= 1 for line in row["matrix"] for value in line)
    assert row["summary"]["recall, age 1000 and more"] == 0.0
    assert all(torch.equal(before[n], p) for n, p in tiny_bundle.model.named_parameters())


@pytest.mark.parametrize("name", ["fine-tuning", "fine-tuning, replay", "fine-tuning, all weights"])
def test_what_was_trained_until_it_was_sure_is_recalled(name, tiny_bundle, monkeypatch):
    monkeypatch.setattr(fact_baselines, "STEPS", 400)
    stream = make_stream()
    method = METHODS[name]
    learner = method.make(tiny_bundle, **{**method.settings[0], "rate": 0.01})
    assert learner.outcomes(stream.told[:1]) != ["right"]
    learner.tell(stream.turns[1])
    assert learner.outcomes(stream.told[:1]) == ["right"]


def test_a_frozen_model_learns_nothing(tiny_bundle):
    learner = METHODS["frozen"].make(tiny_bundle)
    stream = make_stream()
    before = learner.outcomes(stream.told)
    row = live(learner, stream, tiny_bundle)
    assert learner.outcomes(stream.told) == before
    assert row["summary"]["base loss after"] == row["summary"]["base loss"]
    assert row["summary"]["bytes"] == 0


def test_retrieval_finds_the_latest_of_what_was_said(tiny_bundle):
    pytest.importorskip("bm25s")
    learner = METHODS["retrieval (bm25)"].make(tiny_bundle)
    summary = live(learner, make_stream(), tiny_bundle)["summary"]
    assert summary["average accuracy"] == 1.0
    assert (summary["changed: new"], summary["changed: old"]) == (1.0, 0.0)
    assert summary["never told, refused"] == 1.0


@pytest.mark.parametrize("sleeps", [False, True])
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_levels_are_added_without_changing_the_model(count, sleeps, tiny_bundle):
    bundle = with_levels(tiny_bundle, count, sleeps=sleeps)
    levels = bundle.model.settings.levels
    assert len(levels) == count
    assert (levels[-1].source == "sleep") == (sleeps and count > 1)
    ids = torch.tensor([[5, 6, 7]])
    assert torch.equal(bundle.model(ids).logits, tiny_bundle.model(ids).logits)


def test_a_sleeping_learner_moves_what_it_holds(tiny_bundle):
    learner = HopeLearner(tiny_bundle, 3, sleeps=True)
    stream = make_stream()
    for turn in stream.turns[:4]:
        learner.tell(turn)
    learner.end_session()
    assert learner.last_sleep == 4 and set(learner.recalls) == {"my dog", "my city"}
    assert not bool(learner.memory["memory.delta.fast.down"].any())
    assert bool(learner.memory["memory.delta.slow.down"].any())


def test_grades():
    queries = [Query("", "k")] * 4
    outcomes = graded(queries, [1, -1, -1, -1], [1, 1, -1, -1], [1, 1, 1, -1])
    assert outcomes == ["right", "old", "refused", "other"]


def test_a_stream_has_its_changes_after_what_they_change(tiny_bundle):
    stream = draw_stream(tiny_bundle, SIZE, seed=0)
    assert len(stream.turns) == 8 and len(stream.told) == 3 and len(stream.changed) == 1
    assert len(stream.never_told) == 2
    (changed,) = stream.changed
    assert changed.told >= 4 and changed.value != changed.old
    for query in stream.told:
        assert query.value is not None and query.value in stream.turns[query.told].text
    again = draw_stream(tiny_bundle, SIZE, seed=0)
    assert again == stream and draw_stream(tiny_bundle, SIZE, seed=1) != stream


def test_too_many_facts_for_the_turns_are_refused():
    with pytest.raises(ValueError, match="98 facts and 4 changes do not fit into 100 turns"):
        StreamSize(facts=98)


def test_the_best_setting_is_taken_and_runs_are_kept(tiny_bundle, tmp_path, monkeypatch):
    monkeypatch.setattr(facts, "load_bundle", lambda model: tiny_bundle)
    monkeypatch.setattr(facts, "draw_stream", lambda *_: make_stream())
    lived = []
    real = facts.live
    monkeypatch.setattr(facts, "live", lambda *a: lived.append(a) or real(*a))

    def rows():
        return list(
            measure_continual_facts(
                models=["fine-tuning", "frozen"],
                seeds=[0, 1],
                course=Course(SIZE, SIZE),
                run_file=tmp_path / "runs.jsonl",
            )
        )

    first = rows()
    # Three rates on trial and two seeds; two seeds of the frozen one.
    assert len(lived) == 7
    assert {row["setting"] for row in first if row["method"] == "fine-tuning"} <= {
        "rate 0.0003",
        "rate 0.001",
        "rate 0.003",
    }
    assert rows() == first and len(lived) == 7
    matrix = [row for row in first if row["metric"].startswith("R[")]
    assert len(matrix) == 2 * 2 * 3
    assert "| frozen" in continual_facts_table(first)
