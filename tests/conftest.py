"""A tiny model folder that knows a handful of turns by heart, for tests of all rooms."""

import random

import pytest
import torch

from nestling.memory.level import Level
from nestling.models.bundle import ModelBundle, load_bundle, save_bundle
from nestling.models.dialogue import Dialogue, Note, Restatement
from nestling.models.hope import Hope
from nestling.models.settings import HopeSettings
from nestling.training.tokenizer import train_tokenizer

TURNS = {
    "My dog is called Pixel.": Restatement((Note("my dog", "Pixel"),)),
    "I live in Porto and my cat is Mia.": Restatement(
        (Note("my city", "Porto"), Note("my cat", "Mia"))
    ),
    "What's my dog called?": Restatement(asked="my dog"),
    "Where do I live?": Restatement(asked="my city"),
    "Lovely weather today.": Restatement(),
}


@pytest.fixture(autouse=True)
def seeded() -> None:
    """What a test draws does not depend on the tests before it."""
    torch.manual_seed(0)
    random.seed(0)


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> ModelBundle:
    """Restates `TURNS` as given there; what it recalls is untrained."""
    torch.manual_seed(0)
    tokenizer = train_tokenizer(TURNS, 320)
    dialogue = Dialogue(tokenizer)
    settings = HopeSettings(
        vocab_size=320,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        mixer="attention",
        sliding_window=160,
        levels=(Level(), Level("slow", period=0, source="sleep")),
        continuum="nested",
    )
    model = Hope(settings)
    _learn_by_heart(model, dialogue)
    path = save_bundle(model, tokenizer, tmp_path_factory.mktemp("tiny"))
    return load_bundle(path)


def _learn_by_heart(model: Hope, dialogue: Dialogue) -> None:
    prompts = [dialogue.turn(text) for text in TURNS]
    lines = [p + dialogue.restatement(r) for p, r in zip(prompts, TURNS.values(), strict=True)]
    width = max(map(len, lines))
    ids = torch.tensor([line + [dialogue.pad_id] * (width - len(line)) for line in lines])
    targets = torch.full_like(ids, -100)
    for row, (prompt, line) in enumerate(zip(prompts, lines, strict=True)):
        targets[row, len(prompt) : len(line)] = ids[row, len(prompt) : len(line)]
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(80):
        logits = model(ids).logits[:, :-1]
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
