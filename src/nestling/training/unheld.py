"""Ids that training hardly ever showed, and that a memory therefore cannot hold.

A byte-level vocabulary has pieces that occur inside other pieces alone, and words that the training
text happened not to have (under-trained tokens: Land and Bartolo 2024). A value that begins with
one of them is written in vain. What they spell is written with their parts instead.
"""

from __future__ import annotations

import json
from collections.abc import Collection

import torch
from tokenizers import Tokenizer

from nestling.models.dialogue import Dialogue, Note
from nestling.models.hope import Hope
from nestling.models.restate import learned, write_until_sure

KEY = "my name"
_TOGETHER = 64


@torch.no_grad()
def unheld_ids(model: Hope, dialogue: Dialogue, key: str = KEY) -> list[int]:
    """The ids that are words, and not recalled right after they were told as the value of `key`."""
    words = dialogue.whole_words()
    numbers, found = list(words), []
    prompt = torch.tensor([dialogue.recall(key)], device=model.embedding.weight.device)
    for start in range(0, len(numbers), _TOGETHER):
        some = numbers[start : start + _TOGETHER]
        notes = [Note(key, words[number]) for number in some]
        ids = torch.tensor([dialogue.note(note) for note in notes], device=prompt.device)[:, None]
        learn = learned(dialogue, notes[:1], ids)
        state, _, _ = write_until_sure(model, ids, learn, model.new_state(len(some)))
        recalled = model(prompt.expand(len(some), -1), state=state.clear_context()).logits[:, -1]
        right = recalled.argmax(-1) == torch.tensor(some, device=prompt.device)
        found += [number for number, held in zip(some, right.tolist(), strict=True) if not held]
    return found


def parts_of(tokenizer: Tokenizer, ids: Collection[int]) -> dict[int, list[int]]:
    """The ids that a byte-pair tokenizer merged into each of `ids`, and that are none of them."""
    known = tokenizer.get_vocab()
    merges: dict[str, tuple[str, str]] = {}
    for merge in json.loads(tokenizer.to_str())["model"]["merges"]:
        left, right = merge if isinstance(merge, list) else merge.split(" ")
        merges.setdefault(left + right, (left, right))

    def split(token: str) -> list[int]:
        if known[token] not in ids:
            return [known[token]]
        left, right = merges[token]
        return split(left) + split(right)

    return {number: split(token) for token, number in known.items() if number in ids}
