"""Consolidation: a slow level learns lessons, and the faster ones are emptied."""

from dataclasses import replace

import pytest
import torch

from nestling.memory.consolidation import Consolidation, ConsolidationOptions, Lessons
from nestling.memory.level import Level
from nestling.memory.state import MemoryState
from nestling.models.hope import Hope
from nestling.models.settings import HopeSettings

torch.set_num_threads(1)

FAST, MIDDLE = Level("fast", period=4, rate=4.0), Level("middle", period=8, rate=0.5)
SLOW = Level("slow", period=0, source="sleep")
OPTIONS = ConsolidationOptions(steps=80, rate=0.03, batch=8)


def make_model(levels=(FAST, MIDDLE, SLOW), continuum="nested"):
    torch.manual_seed(0)
    return Hope(
        HopeSettings(
            vocab_size=20,
            hidden_size=16,
            intermediate_size=24,
            num_hidden_layers=1,
            num_attention_heads=2,
            mixer="attention",
            levels=levels,
            continuum=continuum,
            initializer_range=0.3,
        )
    )


def make_lessons(count=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return Lessons(
        torch.randn(count, 16, generator=generator),
        torch.randint(20, (count,), generator=generator),
        torch.arange(count),
    )


@torch.no_grad()
def learned_state(model):
    tokens = torch.randint(20, (1, 10), generator=torch.Generator().manual_seed(1))
    return model.end_turn(model(tokens, learn=True).state)


def begin(model, state, lessons=None, options=OPTIONS, into="slow"):
    lessons = [(make_lessons(), 1.0)] if lessons is None else lessons
    return Consolidation(model.writer, state, into, model.pair_loss, lessons, options)


def share_right(model, state):
    lessons = make_lessons()
    with torch.no_grad():
        top = model.above_mixers(lessons.hidden[None], model.writer.deltas(state))
        return (model.head(top)[0].argmax(-1) == lessons.targets).float().mean().item()


@pytest.mark.parametrize("continuum", ["nested", "sequential", "independent"])
def test_lessons_are_known_to_the_slow_level_alone(continuum):
    model = make_model(continuum=continuum)
    state = learned_state(model)
    consolidation = begin(model, state)
    while consolidation.rehearse():
        pass
    after = consolidation.result()
    assert share_right(model, state) < 0.5 and share_right(model, after) == 1.0
    model.check_state(after, 1)
    for name, leaf in after.items():
        if ".fast." in name or ".middle." in name:
            assert not bool(leaf.any())
    assert bool(after["memory.delta.slow.down"].any())


def test_without_lessons_nested_levels_hand_over_what_they_hold():
    model = make_model()
    state = learned_state(model)
    after = begin(model, state, lessons=[]).result()
    whole = sum(state[f"memory.delta.{name}.down"] for name in ("fast", "middle", "slow"))
    assert bool(whole.any())
    torch.testing.assert_close(after["memory.delta.slow.down"], whole)


def test_the_state_it_started_from_is_left_alone():
    model = make_model()
    state = learned_state(model)
    before = {name: leaf.clone() for name, leaf in state.items()}
    consolidation = begin(model, state)
    while consolidation.rehearse():
        pass
    consolidation.result()
    assert all(torch.equal(before[name], leaf) for name, leaf in state.items())


def test_a_middle_level_learns_beside_a_slower_one_that_stays():
    model = make_model(
        (FAST, Level("night", period=0, source="sleep"), SLOW), continuum="sequential"
    )
    state = learned_state(model)
    state = state.replace({"memory.delta.slow.down": torch.randn(1, 16, 8)})
    consolidation = begin(model, state, into="night")
    while consolidation.rehearse():
        pass
    after = consolidation.result()
    assert torch.equal(after["memory.delta.slow.down"], state["memory.delta.slow.down"])
    assert bool(after["memory.delta.night.down"].any())


@pytest.mark.parametrize("stop", [1, 30, 79])
def test_an_interrupted_one_goes_on_to_the_same_end(stop):
    model = make_model()
    state = learned_state(model)
    whole = begin(model, state)
    while whole.rehearse():
        pass
    first = begin(model, state)
    for _ in range(stop):
        first.rehearse()
    second = begin(model, state)
    second.load_state_dict({name: value.clone() for name, value in first.state_dict().items()})
    while second.rehearse():
        pass
    for name, leaf in whole.result().items():
        assert torch.equal(leaf, second.result()[name]), name


def test_it_ends_as_soon_as_everything_is_sure():
    model = make_model()
    options = ConsolidationOptions(steps=500, rate=0.03, batch=8, sure=0.5, check_every=10)
    consolidation = begin(model, learned_state(model), options=options)
    while consolidation.rehearse():
        pass
    assert consolidation.is_sure() and consolidation.step < 500
    assert consolidation.step % 10 == 0


def level_norm(consolidation):
    return torch.stack([x.norm() for x in consolidation.deltas()["slow"].values()]).norm().item()


def test_a_level_that_has_grown_too_large_begins_at_the_bound():
    model = make_model()
    state = learned_state(model)
    free = begin(model, state, options=replace(OPTIONS, norm=None))
    size = level_norm(free)
    bounded = begin(model, state, options=replace(OPTIONS, norm=size / 2))
    assert level_norm(bounded) == pytest.approx(size / 2)
    for part, delta in bounded.deltas()["slow"].items():
        torch.testing.assert_close(delta, free.deltas()["slow"][part] / 2)


@pytest.mark.parametrize("norm", [41.0, 47.0, 128.0, 1e6])
def test_a_level_within_the_bound_keeps_every_bit(norm):
    model = make_model()
    state = learned_state(model)
    free = begin(model, state, options=replace(OPTIONS, norm=None))
    bounded = begin(model, state, options=replace(OPTIONS, norm=norm))
    assert 0 < level_norm(free) < norm
    for part, delta in bounded.deltas()["slow"].items():
        assert torch.equal(delta, free.deltas()["slow"][part])


def test_rehearsal_restores_what_the_bound_took():
    model = make_model()
    state = learned_state(model)
    bound = level_norm(begin(model, state)) / 2
    consolidation = begin(model, state, options=replace(OPTIONS, norm=bound))
    while consolidation.rehearse():
        pass
    assert share_right(model, consolidation.result()) == 1.0


def test_nothing_to_rehearse_leaves_a_level_as_large_as_it_is():
    model = make_model()
    state = learned_state(model)
    size = level_norm(begin(model, state, options=replace(OPTIONS, norm=None)))
    options = replace(OPTIONS, norm=size / 2)
    empty = Consolidation(model.writer, state, "slow", model.pair_loss, [], options)
    assert level_norm(empty) == pytest.approx(size)


def test_it_works_where_no_gradients_are_taken():
    model = make_model()
    state = learned_state(model)
    with torch.inference_mode():
        consolidation = begin(model, state.fork())
        while consolidation.rehearse():
            pass
        assert share_right(model, consolidation.result()) == 1.0
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_level_without_a_delta_is_refused():
    model = make_model((FAST, Level("still", period=0)), continuum="sequential")
    for name in ("still", "nowhere"):
        with pytest.raises(ValueError, match=r"no level '\w+' with a delta; there are \['fast'\]"):
            begin(model, model.new_state(1), into=name)


def test_several_sequences_are_refused():
    model = make_model()
    with pytest.raises(ValueError, match="the state holds 2; choose one with"):
        begin(model, MemoryState.stack([model.new_state(1)] * 2))


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"steps": 0}, "steps is 1 or more"),
        ({"batch": 0}, "batch is 1 or more"),
        ({"check_every": 0}, "check_every is 1 or more"),
        ({"rate": 0.0}, "rate is positive"),
        ({"rate": float("inf")}, "rate is positive and finite"),
        ({"sure": 1.0}, "sure lies between 0 and 1"),
        ({"norm": 0.0}, "norm is positive and finite, or None"),
        ({"norm": float("nan")}, "norm is positive and finite, or None"),
    ],
)
def test_options_out_of_range_are_refused(wrong, sentence):
    with pytest.raises(ValueError, match=sentence):
        ConsolidationOptions(**wrong)


def test_a_written_level_that_is_slept_into_starts_to_gather_anew():
    model = make_model((replace(FAST), Level("middle", period=16, rate=0.5)), "sequential")
    state = learned_state(model)
    assert state["memory.gathered.middle"] > 0
    sleep = begin(model, state, into="middle")
    while sleep.rehearse():
        pass
    after = sleep.result()
    assert after["memory.gathered.middle"] == 0
    gathered = [leaf for name, leaf in after.items() if name.startswith("memory.gradient.middle")]
    assert gathered and not any(leaf.any() for leaf in gathered)
    assert any(leaf.any() for name, leaf in after.items() if name.startswith("memory.delta.middle"))
