"""What the told-facts task shows a model, and what it asks."""

import random
from itertools import islice

import pytest
import torch

from nestling.models.dialogue import Dialogue
from nestling.training.options import ToldFactsOptions
from nestling.training.recipe import told_facts_texts
from nestling.training.tokenizer import train_tokenizer
from nestling.training.told_facts import Fact, FactSource
from nestling.training.told_facts.open_families import OpenFact
from nestling.training.told_facts_task import ToldFactsTask, draw_turns, merge_before


@pytest.fixture(scope="module")
def task():
    dialogue = Dialogue(train_tokenizer(told_facts_texts(0, turns=300), 500))
    return ToldFactsTask(dialogue, ToldFactsOptions(), seed=0)


def test_turns_tell_ask_and_chat():
    rng = random.Random(0)
    turns = list(islice(draw_turns(FactSource(rng), rng), 500))
    sizes = [len(restated.notes) for _, restated in turns]
    assert {0, 1, 2, 3} <= set(sizes)
    assert sum(restated.asked is not None for _, restated in turns) > 100
    assert sum(restated.asked is None and not restated.notes for _, restated in turns) > 10


def test_only_the_restatement_is_scored(task):
    rng = random.Random(0)
    groups = task.turns(FactSource(rng), rng, 40)
    assert [len(group.ids) for group in groups] == [16, 16, 8]
    restate = task.dialogue.ids["<|restate|>"]
    for turns in groups:
        for ids, mask, scored in zip(turns.ids, turns.mask, turns.scored, strict=True):
            first = ids.tolist().index(restate) + 1
            assert scored.nonzero().flatten().tolist() == list(range(first, int(mask.sum())))


def test_turns_of_like_length_are_read_together(task):
    rng = random.Random(0)
    sizes = [group.mask.sum(1) for group in task.turns(FactSource(rng), rng, 40)]
    assert torch.equal(torch.cat(sizes), torch.cat(sizes).sort().values)


def test_of_a_changed_fact_only_the_last_telling_is_asked(task):
    rng = random.Random(1)
    told, asked, absent = task.notes(FactSource(rng), rng, residents=2, facts=20)
    assert told.ids.shape[:2] == (2, 22)
    assert asked.sum(1).tolist() == [20, 20]
    for row, keep in zip(told.ids, asked, strict=True):
        keys = [tuple(ids[: ids.index(task.dialogue.ids["<|is|>"])]) for ids in row.tolist()]
        last = {key: place for place, key in enumerate(keys)}
        assert sorted(last.values()) == keep.nonzero().flatten().tolist()
    assert (absent.ids == task.dialogue.ids["<|unknown|>"]).any(-1).all()


def test_odd_words_are_whole_ids_of_the_vocabulary(task):
    options = ToldFactsOptions(odd_words=1.0)
    odd = ToldFactsTask(task.dialogue, options, seed=0)
    rng, words = random.Random(2), task.dialogue.whole_words()
    told, asked, _ = odd.notes(FactSource(rng), rng, residents=1, facts=20)
    current = asked[0]
    for ids, scored in zip(told.ids[0, current], told.scored[0, current], strict=True):
        value = [number for number in ids[scored].tolist() if number != task.dialogue.end_id]
        assert 1 <= len(value) <= 2 and set(value) <= set(words)


def test_old_facts_come_before_new_ones():
    new = [Fact("me", "dog", "A"), Fact("me", "cat", "B"), Fact("me", "car", "C")]
    old = [Fact("me", "car", "D"), Fact("me", "dog", "E")]
    merged = merge_before(old, new, random.Random(0))
    assert sorted(map(str, merged)) == sorted(map(str, old + new))
    for fact in old:
        current = next(n for n in new if n.key == fact.key)
        assert merged.index(fact) < merged.index(current)


def test_a_step_depends_on_seed_and_step_alone(task):
    def draw(step):
        rng = random.Random(f"told facts 0 {step}")
        return task.turns(FactSource(rng), rng, 4)[0].ids

    assert torch.equal(draw(3), draw(3))
    assert not torch.equal(draw(3)[:, :5], draw(4)[:, :5])


def test_some_residents_are_told_known_relations_alone(task, monkeypatch):
    seen = []

    def remembering(model, precision, source, rng):
        facts = source.facts(40)
        seen.append(sum(isinstance(fact, OpenFact) for fact in facts))
        return torch.zeros(()), {}

    def restating_loss(model, turns, precision):
        return torch.zeros(()), 0.0

    options = ToldFactsOptions(turns=4, remember_every=1, open_facts=0.7, known_only=0.5)
    mixed = ToldFactsTask(task.dialogue, options, seed=0)
    monkeypatch.setattr(mixed, "remembering", remembering)
    monkeypatch.setattr(mixed, "restating_loss", restating_loss)
    for step in range(40):
        mixed.loss(None, step, torch.float32)
    assert 10 <= seen.count(0) <= 30
    assert min(count for count in seen if count) > 15
