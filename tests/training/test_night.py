"""A night keeps what was there, learns the day, and is taken back where it does harm."""

import copy

import pytest
import torch

from nestling.training import night
from nestling.training.nested_weights import NestedWeights
from nestling.training.night import Elder, NightOptions, sleep
from nestling.training.passages import mean_loss, passages_of

OPTIONS = NightOptions(steps=150, batch=4, recalled=4, rate=5e-3)


def walks(step, count=8, start=1):
    """Passages that count on in steps of their own."""
    return passages_of(
        [([(start + i + step * t) % 19 + 1 for t in range(6)], 1) for i in range(count)]
    )


def train(model, passages, steps=120):
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        mean_loss(model, passages).backward()
        optimizer.step()


@pytest.fixture
def evening(tiny_hope):
    """A model that knew one kind of walks, and has learned another kind over the day."""
    model, before, day = tiny_hope, walks(1), walks(5)
    train(model, before)
    levels = NestedWeights(model, (0,))
    train(model, day, steps=60)
    return model, levels, day, before


def run(evening, options=OPTIONS, base=None):
    model, levels, day, before = evening
    times = torch.zeros(len(before), dtype=torch.int64)
    generator = torch.Generator().manual_seed(0)
    report = sleep(model, levels, day, before, base or before, times, options, generator)
    return report, times


def test_a_night_brings_back_what_the_day_has_hurt_and_keeps_the_day(evening):
    report, times = run(evening)
    assert report.kept
    assert report.before[1] < 0.5 * report.before[0]
    # Knowing both kinds, one cannot tell which of them a walk of one token will be.
    assert report.day[1] < 0.35
    assert int(times.sum()) == OPTIONS.steps * OPTIONS.batch
    model, levels, *_ = evening
    for name, weight in model.named_parameters():
        assert torch.equal(weight, levels.slowest[name])


def test_a_harmful_night_is_taken_back_to_the_bit(evening):
    model, levels, *_ = evening
    # What must not be lost is what the night unlearns: everything it rehearses speaks against it.
    base = passages_of([([1 + (7 * i) % 19 for i in range(6)], 1)] * 2)
    train(model, base, steps=40)
    levels.slower[0] = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    slow = copy.deepcopy(levels.slowest)
    report, times = run(evening, base=base)
    assert not report.kept and report.base[1] > report.base[0]
    assert not times.any()
    for name, weight in model.named_parameters():
        assert torch.equal(weight, slow[name])


def test_a_night_that_gains_on_what_the_model_woke_with_is_kept(evening):
    model, levels, *_ = evening
    # The day happens to have taught the base, which the night, with no passage of it, loses again;
    # the slow level knew less of it than is left.
    base = passages_of([([1 + (7 * i) % 19 for i in range(6)], 1)] * 2)
    slow = copy.deepcopy(model)
    slow.load_state_dict(levels.slowest, strict=False)
    worst = mean_loss(slow, base).item()
    train(model, base, steps=40)
    report, _ = run(evening, base=base)
    assert report.base[1] > 1.02 * report.base[0]
    assert report.base[1] < worst
    assert report.kept


def test_without_anything_of_before_the_day_alone_is_rehearsed(evening):
    model, levels, day, before = evening
    none = before[torch.zeros(0, dtype=torch.int64)]
    generator = torch.Generator().manual_seed(0)
    report = sleep(
        model,
        levels,
        day,
        none,
        before,
        torch.zeros(0, dtype=torch.int64),
        NightOptions(steps=3, batch=2, bound=10.0),
        generator,
    )
    assert report.kept and report.before == (0.0, 0.0)


def test_a_dream_goes_on_from_a_passage_as_the_model_would(tiny_hope):
    passages = walks(1)
    train(tiny_hope, passages)
    generator = torch.Generator().manual_seed(0)
    ids = night.dream(tiny_hope, passages, 20, 6, generator)
    assert ids.shape == (20, 6)
    steps = (ids[:, 1:] - ids[:, :-1]) % 19
    assert bool((steps[:, :3] == 1).all())
    # What it goes on with is drawn, and what it has learned is nearly certain.
    assert (steps[:, 3:] == 1).float().mean() > 0.8
    again = night.dream(tiny_hope, passages, 20, 6, torch.Generator().manual_seed(0))
    assert torch.equal(ids, again)


def test_a_dream_is_the_same_token_by_token(tiny_hope):
    passages = walks(1, count=3)
    ids = night.dream(tiny_hope, passages, 5, 6, torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(0)
    torch.multinomial(passages.lengths.float(), 5, replacement=True, generator=generator)
    again = ids[:, :4]
    for _ in range(2):
        with torch.no_grad():
            likely = tiny_hope(again).logits[:, -1].softmax(-1)
        again = torch.cat([again, torch.multinomial(likely, 1, generator=generator)], 1)
    assert torch.equal(ids, again)


def test_a_dream_of_a_short_passage_begins_with_that_alone(tiny_hope):
    train(tiny_hope, walks(1))
    # Of two tokens each, in a lot that is wider.
    short = passages_of([([3, 4, 5], 1), ([7, 8, 9], 1), (list(range(1, 9)), 1)])
    ids = night.dream(tiny_hope, short, 200, 6, torch.Generator().manual_seed(0))
    begun = {tuple(row) for row in ids[:, :2].tolist()}
    assert begun == {(3, 4), (7, 8), (1, 2)}
    # The rest is drawn, and no padding.
    assert (ids[:, 2:] == 0).float().mean() < 0.05
    assert ids.shape == (200, 6)


@pytest.mark.parametrize(
    "options", [{"steps": 0}, {"batch": 0}, {"share": 1.5}, {"rate": -1.0}, {"recalled": 0}]
)
def test_a_night_that_cannot_be_is_refused(options):
    with pytest.raises(ValueError, match=f"a night's {next(iter(options))} is"):
        NightOptions(**options)


def test_a_dream_may_begin_anywhere_in_a_passage(tiny_hope):
    passages = walks(1, count=2)
    generator = torch.Generator().manual_seed(0)
    ids = night.dream(tiny_hope, passages, 60, 6, generator, anywhere=True)
    begun = {tuple(row) for row in ids[:, :4].tolist()}
    # Six tokens are seven less the last, which is only asked.
    wanted = {tuple(row[at : at + 4]) for row in passages.ids.tolist() for at in range(2)}
    assert begun == wanted


def test_an_elder_keeps_what_the_slow_level_has_lost(evening, monkeypatch):
    """Of the last walks nothing is rehearsed; the elder dreams of their tokens."""
    monkeypatch.setattr(night, "_BEGUN", 1)
    model, _, day, before = evening
    elder = copy.deepcopy(model)
    train(elder, before)
    after = {}
    for name, one in (("elder", Elder(elder, 4)), ("none", None)):
        woken = copy.deepcopy(model)
        # The slow level knows no more than the day.
        levels = NestedWeights(woken, (0,))
        sleep(
            woken,
            levels,
            day,
            before[:4],
            before,
            torch.zeros(4, dtype=torch.int64),
            NightOptions(steps=60, batch=4, rate=5e-3, dreamed=8, dream_weight=4.0, bound=10.0),
            torch.Generator().manual_seed(0),
            one,
        )
        after[name] = mean_loss(woken, before[4:]).item()
    assert after["elder"] < 0.7 * after["none"]


def test_of_both_dreamers_each_dreams_half_of_its_own(evening, monkeypatch):
    model, levels, day, before = evening
    elder = copy.deepcopy(model)
    seen = []
    own = night.dream

    def dream(who, passages, count, length, generator, **how):
        seen.append((who is elder, len(passages), count, how["anywhere"], how["words"]))
        return own(who, passages, count, length, generator, **how)

    monkeypatch.setattr(night, "dream", dream)
    options = NightOptions(steps=3, batch=2, dreamed=8, bound=10.0)
    times = torch.zeros(len(before), dtype=torch.int64)
    generator = torch.Generator().manual_seed(0)
    sleep(model, levels, day, before, before, times, options, generator, Elder(elder, 3, 15))
    assert seen == [(True, 3, 12, True, 15), (False, len(before) - 3, 12, False, None)]


def test_an_elder_says_nothing_but_its_words(tiny_hope):
    """Ids that came after it are not dreamt of, and learned to be no words."""
    begun, words = walks(1, count=2), 12
    generator = torch.Generator().manual_seed(0)
    ids = night.dream(tiny_hope, begun, 50, 30, generator, words=words)
    assert bool((ids[:, 4:] < words).all()) and bool((ids[:, :4] == begun.ids[0, :4]).any())
    elder, model = copy.deepcopy(tiny_hope), tiny_hope
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = night._differing(model, elder, ids[:8], words).mean()
        losses.append(loss.item())
        loss.backward()
        optimizer.step()
    assert 0 < losses[-1] < 0.3 * losses[0]
    beyond = model(ids[:8]).logits.softmax(-1)[..., words:].sum(-1)
    assert beyond.mean() < 0.1 < elder(ids[:8]).logits.softmax(-1)[..., words:].sum(-1).mean()


def test_dreams_keep_what_is_rehearsed_in_no_other_way(evening):
    model, levels, day, before = evening
    after = {}
    for dreamed in (0, 8):
        one = copy.deepcopy(model)
        slow = NestedWeights(one, (0,))
        slow.slower[0] = {name: weight.clone() for name, weight in levels.slowest.items()}
        kept = before[:2]
        sleep(
            one,
            slow,
            day,
            kept,
            kept,
            torch.zeros(2, dtype=torch.int64),
            NightOptions(steps=60, batch=4, rate=5e-3, dreamed=dreamed, bound=10.0),
            torch.Generator().manual_seed(0),
        )
        after[dreamed] = mean_loss(one, before[2:]).item()
    assert after[8] < after[0]


def test_without_a_level_of_sleep_there_is_no_night(evening):
    model, _, day, before = evening
    with pytest.raises(ValueError, match="the last level is the one of sleep"):
        run((model, NestedWeights(model, (4,)), day, before))


@pytest.mark.parametrize("recalled", [2, 5])
def test_so_many_of_before_are_recalled_in_a_step(evening, recalled):
    options = NightOptions(steps=4, batch=2, recalled=recalled)
    _, times = run(evening, options)
    # Of eight passages each is recalled once before any is recalled again.
    assert int(times.sum()) == 4 * recalled
    assert int(times.max() - times.min()) <= 1


def test_the_most_hurt_and_the_least_rehearsed_take_turns():
    hurt = torch.tensor([0.1, 0.9, 0.5, 0.0])
    times = torch.tensor([0, 5, 3, 1])
    assert night._most_needed(hurt, times).tolist() == [1, 0, 2, 3]
