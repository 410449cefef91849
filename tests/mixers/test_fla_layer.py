"""A layer of flash-linear-attention is a mixer by its name."""

import sys
import types
from dataclasses import replace

import pytest
import torch
from torch import nn

from nestling.models.hope import Hope
from nestling.models.settings import HopeSettings

SETTINGS = HopeSettings(
    vocab_size=20,
    hidden_size=16,
    intermediate_size=16,
    num_hidden_layers=2,
    num_attention_heads=2,
    mixer=("fla:Running", "attention"),
)


class Running(nn.Module):
    """The mean of what was read so far, in the signature of such layers."""

    def __init__(self, mode="chunk", hidden_size=1024, num_heads=4, layer_idx=None, **options):
        super().__init__()
        assert layer_idx == 0 and not options
        self.num_heads = num_heads
        self.linear = nn.Linear(hidden_size, hidden_size)

    def forward(self, hidden_states, attention_mask=None, past_key_values=None, **options):
        count = torch.arange(1, hidden_states.shape[1] + 1)[:, None]
        return self.linear(hidden_states.cumsum(1) / count), None, past_key_values


class Widening(Running):
    def __init__(self, hidden_size=1024, num_heads=None, head_dim=64, expand=2, layer_idx=None):
        super().__init__(hidden_size=hidden_size, layer_idx=layer_idx)
        assert num_heads is None and head_dim == hidden_size // 2


@pytest.fixture
def layers(monkeypatch):
    module = types.ModuleType("fla.layers")
    module.__all__ = ["Running", "Widening"]
    module.Running, module.Widening = Running, Widening
    monkeypatch.setitem(sys.modules, "fla", types.ModuleType("fla"))
    monkeypatch.setitem(sys.modules, "fla.layers", module)


def test_it_is_made_in_the_sizes_of_the_block_and_trained_with_it(layers):
    torch.manual_seed(0)
    model = Hope(SETTINGS)
    assert model.layers[0].mixer.inner.num_heads == 2
    ids = torch.randint(20, (2, 9))
    logits = model(ids).logits
    logits.square().mean().backward()
    assert model.layers[0].mixer.inner.linear.weight.grad.abs().sum() > 0
    # Right padding changes nothing of what stands before it.
    mask = torch.ones_like(ids, dtype=torch.bool)
    mask[0, 5:] = False
    padded = model(ids.where(mask, 0), mask).logits
    torch.testing.assert_close(padded[0, :5], logits[0, :5])
    torch.testing.assert_close(padded[1], logits[1])
    Hope(replace(SETTINGS, mixer=("fla:Widening", "attention")))


def test_what_it_cannot_do_is_said(layers, monkeypatch):
    model = Hope(SETTINGS)
    with pytest.raises(ValueError, match="Running .* carries no memory state"):
        model(torch.zeros(1, 3, dtype=torch.int64), state=model.new_state(1))
    with pytest.raises(ValueError, match=r"no layer 'Walking'; it has \['Running', 'Widening'\]"):
        Hope(replace(SETTINGS, mixer=("fla:Walking", "attention")))
    monkeypatch.setitem(sys.modules, "fla.layers", None)
    with pytest.raises(ValueError, match=r"pip install 'nestling\[fla\]'"):
        Hope(SETTINGS)
