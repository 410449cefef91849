from functools import partial

import pytest
import torch

from nestling.memory.continuum import ContinuumMemory, adapted_linear
from nestling.memory.level import Level

torch.set_num_threads(1)

close = partial(torch.testing.assert_close, rtol=1e-12, atol=1e-12)
LEVELS = (Level("fast", written=("gate", "up", "down")), Level("slow"), Level("still", period=0))


def make_memory(levels=LEVELS, hidden_size=6, intermediate_size=15, **options):
    torch.manual_seed(0)
    memory = ContinuumMemory(levels, hidden_size, intermediate_size, **options).double()
    with torch.no_grad():
        for parameter in memory.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return memory


def draw_deltas(memory, batch, scale=0.5):
    return {
        name: {
            part: scale * torch.randn(batch, *shape, dtype=torch.float64)
            for part, shape in memory.delta_shapes(name).items()
        }
        for name in memory.levels
    }


@torch.no_grad()
def test_zero_deltas_are_exactly_the_static_chain():
    memory = make_memory()
    x = torch.randn(2, 5, 6, dtype=torch.float64)
    assert torch.equal(memory(x, draw_deltas(memory, 2, scale=0.0)), memory(x))


@torch.no_grad()
def test_a_delta_equals_a_changed_weight():
    memory = make_memory()
    x = torch.randn(3, 5, 6, dtype=torch.float64)
    deltas = draw_deltas(memory, 3)
    together = memory(x, deltas)
    for b in range(3):
        changed = make_memory()
        for name, parts in deltas.items():
            for part, delta in parts.items():
                getattr(changed.levels[name], part).weight += delta[b]
        close(together[b], changed(x[b : b + 1])[0])
        assert (together[b] - memory(x)[b]).abs().amax() > 1e-2


@torch.no_grad()
def test_levels_follow_one_another_fast_first():
    memory = make_memory()
    x = torch.randn(2, 5, 6, dtype=torch.float64)
    deltas = draw_deltas(memory, 2)
    y = x
    for name in ("fast", "slow", "still"):
        y = memory.levels[name](y, memory.changes(name, deltas))
    close(memory(x, deltas), y)


@torch.no_grad()
def test_deltas_of_one_level_leave_the_others_as_they_are():
    memory = make_memory()
    x = torch.randn(2, 5, 6, dtype=torch.float64)
    deltas = draw_deltas(memory, 2)
    alone = memory(x, {"slow": deltas["slow"]})
    y = memory.levels["fast"](x)
    y = memory.levels["slow"](y, memory.changes("slow", deltas))
    close(alone, memory.levels["still"](y))


@torch.no_grad()
def test_a_level_without_output_is_the_identity():
    memory = make_memory()
    for mlp in memory.levels.values():
        mlp.down.weight.zero_()
    x = torch.randn(2, 5, 6, dtype=torch.float64)
    assert torch.equal(memory(x), x)


def test_delta_shapes_are_those_of_the_weights():
    memory = make_memory()
    assert memory.delta_shapes("fast") == {"gate": (5, 6), "up": (5, 6), "down": (6, 5)}
    assert memory.delta_shapes("slow") == {"down": (6, 5)}
    assert memory.delta_shapes("still") == {}


def test_a_chain_narrower_than_its_levels_is_refused():
    with pytest.raises(ValueError, match="width 2 does not split into 3 levels"):
        make_memory(intermediate_size=2)


def test_an_adapted_linear_adds_the_delta_of_each_sequence():
    x, weight = torch.randn(2, 3, 4), torch.randn(5, 4)
    delta = torch.randn(2, 5, 4)
    y = adapted_linear(x, weight, [delta])
    for b in range(2):
        torch.testing.assert_close(y[b], x[b] @ (weight + delta[b]).T)
    assert torch.equal(adapted_linear(x, weight), torch.nn.functional.linear(x, weight))


@pytest.mark.parametrize(
    ("variant", "levels", "sentence"),
    [
        ("ring", LEVELS, r"continuum is one of \('sequential', .*\), got 'ring'"),
        ("nested", LEVELS, "'fast' and 'slow' do not"),
        ("nested", (Level("a"), Level("b", period=64)), "'a' and 'b' do not"),
        ("nested", (Level("a"), Level("b", period=0)), "'a' and 'b' do not"),
        ("nested", (Level("a"), Level("b", period=128, written=("up",))), "'a' and 'b' do not"),
        (
            "nested",
            (Level("a", rank=2), Level("b", period=128, rank=2)),
            "hand over full deltas: set rank to 0",
        ),
        (
            "nested",
            (Level("a"), Level("b", period=128, source="next_token")),
            "'b' has the source 'next_token', and 'a' 'context'",
        ),
    ],
)
def test_levels_that_do_not_fit_together_are_refused(variant, levels, sentence):
    with pytest.raises(ValueError, match=sentence):
        ContinuumMemory(levels, 6, 15, variant=variant)


@torch.no_grad()
def test_nested_levels_add_up_in_one_mlp():
    levels = (Level("fast"), Level("slow", period=128))
    memory = make_memory(levels, variant="nested")
    assert list(memory.levels) == ["fast"]
    x = torch.randn(2, 5, 6, dtype=torch.float64)
    deltas = {
        name: {"down": torch.randn(2, 6, 15, dtype=torch.float64)} for name in ("fast", "slow")
    }
    total = {"fast": {"down": deltas["fast"]["down"] + deltas["slow"]["down"]}}
    close(memory(x, deltas), memory(x, total))


@torch.no_grad()
def test_independent_levels_stand_side_by_side():
    memory = make_memory(LEVELS, variant="independent")
    x = torch.randn(2, 5, 6, dtype=torch.float64)
    deltas = draw_deltas(memory, 2)
    y = x
    for share, name in zip(memory.shares, memory.levels, strict=True):
        y = y + share * (memory.levels[name](x, memory.changes(name, deltas)) - x)
    close(memory(x, deltas), y)


@torch.no_grad()
def test_a_delta_of_low_rank_is_the_product_of_its_factors():
    levels = (Level("fast", rank=2),)
    memory = make_memory(levels)
    x = torch.randn(2, 5, 6, dtype=torch.float64)
    assert memory.delta_shapes("fast") == {"down_out": (6, 2), "down_in": (2, 15)}
    factors = draw_deltas(memory, 2)["fast"]
    inner = memory.bases["fast_down"] + factors["down_in"]
    key = memory.levels["fast"].inputs(x)["down"]
    added = key @ inner.mT @ factors["down_out"].mT
    close(memory(x, {"fast": factors}), memory(x) + added)
    fresh = {name: torch.zeros_like(factor) for name, factor in factors.items()}
    assert torch.equal(memory(x, {"fast": fresh}), memory(x))
