"""Contract 7: memory works, and it is one's own."""

from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nestling.memory.level import Level
from nestling.models.hope import Deltas, Hope
from nestling.models.settings import HopeSettings

SYMBOLS, FACTS, LENGTH = 40, 4, 7
START, IS, END = 1, 2, 3
KEYS, VALUES = 4, 4 + SYMBOLS
STEPS, BATCH, RESIDENTS = 150, 16, 64


@dataclass(frozen=True)
class Notes:
    """`[START, key (1-2), IS, value (1-2), END]`, padded: ids [B, N, L], where values stand."""

    ids: Tensor
    is_value: Tensor

    @property
    def mask(self) -> Tensor:
        return self.ids > 0


def draw_notes(residents: int, generator: torch.Generator, *, held_out: bool) -> Notes:
    """Values of two symbols whose sum divides by five are held out of training."""

    def integer(size: int) -> int:
        return int(torch.randint(size, (), generator=generator))

    ids = torch.zeros(residents, FACTS, LENGTH, dtype=torch.int64)
    is_value = torch.zeros_like(ids, dtype=torch.bool)
    for notes, places in zip(ids, is_value, strict=True):
        # The first symbols of a resident's keys differ, so no key is told twice.
        first = torch.randperm(SYMBOLS, generator=generator)[:FACTS].tolist()
        for n in range(FACTS):
            key = [KEYS + first[n], *(KEYS + integer(SYMBOLS) for _ in range(integer(2)))]
            while True:
                value = [integer(SYMBOLS) for _ in range(1 + integer(2))]
                if (len(value) == 2 and sum(value) % 5 == 0) is held_out:
                    break
            row = [START, *key, IS, *(VALUES + symbol for symbol in value), END]
            notes[n, : len(row)] = torch.tensor(row)
            places[n, len(key) + 2 : len(row) - 1] = True
    return Notes(ids, is_value)


def ask(model: Hope, notes: Notes, hidden: Tensor, deltas: Deltas) -> tuple[Tensor, float]:
    """Loss of the value symbols, and the share of values recalled without an error."""
    top = model.above_mixers(hidden.flatten(1, 2), deltas).view_as(hidden)[:, :, :-1]
    scored, targets = notes.is_value[:, :, 1:], notes.ids[:, :, 1:]
    logits = model.head(top[scored])
    wrong = torch.zeros_like(scored)
    wrong[scored] = logits.argmax(-1) != targets[scored]
    return F.cross_entropy(logits, targets[scored]), 1 - wrong.any(-1).double().mean().item()


@pytest.fixture(scope="module")
def trained() -> Hope:
    torch.manual_seed(0)
    model = Hope(
        HopeSettings(
            vocab_size=VALUES + SYMBOLS,
            hidden_size=64,
            intermediate_size=128,
            memory_intermediate_size=256,
            num_hidden_layers=2,
            num_attention_heads=4,
            mixer="attention",
            levels=(Level(rate=16.0, period=64),),
            sliding_window=8,
        )
    )
    writer = list(model.writer.parameters())
    others = [p for name, p in model.named_parameters() if not name.startswith("writer.")]
    optimizer = torch.optim.AdamW(
        [{"params": others, "lr": 2e-3}, {"params": writer, "lr": 1e-2}],
        betas=(0.9, 0.95),
        weight_decay=0.0,
    )
    generator = torch.Generator().manual_seed(1)
    for _ in range(STEPS):
        notes = draw_notes(BATCH, generator, held_out=False)
        hidden, state = model.read_turns(notes.ids, notes.mask, model.new_state(BATCH))
        loss, _ = ask(model, notes, hidden, model.writer.deltas(state))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return model


@pytest.fixture(scope="module")
def told(trained: Hope):
    """Held-out notes of many residents, their hidden, and the state after all writes."""
    notes = draw_notes(RESIDENTS, torch.Generator().manual_seed(2), held_out=True)
    with torch.no_grad():
        return notes, *trained.read_turns(notes.ids, notes.mask, trained.new_state(RESIDENTS))


@torch.no_grad()
def recall(model: Hope, told, state) -> float:
    notes, hidden, _ = told
    return ask(model, notes, hidden, model.writer.deltas(state))[1]


def test_recall_with_memory_beats_recall_without(trained, told):
    with_memory, without = recall(trained, told, told[2]), recall(trained, told, None)
    assert with_memory - without >= 0.5


def test_the_memory_of_another_resident_is_worth_no_more_than_none(trained, told):
    other = told[2].index(torch.arange(RESIDENTS).roll(1))
    assert abs(recall(trained, told, other) - recall(trained, told, None)) <= 0.1


@torch.no_grad()
def test_a_value_is_answered_token_by_token_in_an_emptied_context(trained, told):
    """The way a user asks: the key alone, then what the model itself said before."""
    notes, _, state = told
    right = 0
    for b in range(16):
        row = notes.ids[b, 0]
        start = int(notes.is_value[b, 0].int().argmax())
        resident, said = state.index(b).clear_context(), []
        reading = trained(row[None, :start], state=resident)
        for _ in range(2):
            said.append(reading.logits[:, -1].argmax(-1))
            reading = trained(said[-1][None], state=reading.state)
        right += torch.cat(said).tolist() == row[start : start + 2].tolist()
    assert right >= 10


@torch.no_grad()
def test_notes_read_one_by_one_are_recalled_as_well(trained, told):
    notes, _, _ = told
    state = trained.new_state(RESIDENTS)
    for n in range(FACTS):
        reading = trained(notes.ids[:, n], attention_mask=notes.mask[:, n], state=state, learn=True)
        state = trained.end_turn(reading.state)
    assert abs(recall(trained, told, state) - recall(trained, told, told[2])) <= 0.02
