"""A tiny model whose weights go on learning."""

import pytest
import torch

from nestling.memory.level import Level
from nestling.models.hope import Hope
from nestling.models.settings import HopeSettings


@pytest.fixture
def tiny_hope() -> Hope:
    torch.manual_seed(0)
    settings = HopeSettings(
        vocab_size=20,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        mixer="attention",
        sliding_window=32,
        levels=(Level(period=0),),
    )
    return Hope(settings).eval()
