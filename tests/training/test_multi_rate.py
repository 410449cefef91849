"""Levels that training writes at their own period."""

import pytest
import torch

from nestling.memory.level import Level
from nestling.models.hope import Hope
from nestling.models.settings import HopeSettings
from nestling.training.loop import Trainer
from nestling.training.multi_rate import MultiRate
from nestling.training.options import LoopOptions, TextOptions
from nestling.training.text_task import TextTask

torch.set_num_threads(1)

TOKENS = 2 * 8  # of a step


def make_model(*periods, continuum="sequential"):
    torch.manual_seed(0)
    levels = [Level("plain", period=0)]
    levels += [Level(f"slow_{p}", period=p, source="outer") for p in periods]
    levels += [Level("slow_16", period=0)] if not periods else []
    return Hope(
        HopeSettings(
            vocab_size=20,
            hidden_size=16,
            intermediate_size=24,
            num_hidden_layers=2,
            num_attention_heads=2,
            mixer="attention",
            levels=tuple(levels),
            continuum=continuum,
        )
    )


def make_task():
    ids = torch.randint(20, (400,), generator=torch.Generator().manual_seed(0))
    return TextTask(ids, None, TextOptions(batch=2, length=8), seed=0)


def train(model, folder, steps, total=6, **options):
    loop = LoopOptions(steps=total, warmup=1, checkpoint_every=1, **options)
    trainer = Trainer(model, make_task(), loop, folder)
    trainer.run(steps)
    return trainer


def weights(model, name):
    return [
        parameter.detach().clone()
        for layer in model.layers
        for parameter in layer.memory.mlp(name).parameters()
    ]


def moved(model, before, name):
    return [not torch.equal(x, y) for x, y in zip(before, weights(model, name), strict=True)]


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("continuum", ["sequential", "independent"])
def test_a_level_moves_at_its_period_in_every_block(tmp_path, continuum, optimizer):
    model = make_model(3 * TOKENS, continuum=continuum)
    name = f"slow_{3 * TOKENS}"
    before = weights(model, name)
    train(model, tmp_path, 2, optimizer=optimizer)
    assert not any(moved(model, before, name))
    assert all(moved(model, weights(make_model(3 * TOKENS), "plain"), "plain"))
    train(model, tmp_path, 3, optimizer=optimizer)
    assert all(moved(model, before, name))


def test_it_steps_with_the_mean_gradient_since_the_last_one():
    model = make_model(2)
    multi_rate, task = MultiRate(model), make_task()
    expected = None
    for step in range(2):
        model.zero_grad()
        task.loss(model, step, torch.float32)[0].backward()
        found = [p.grad for layer in model.layers for p in layer.memory.mlp("slow_2").parameters()]
        gradients = [g.clone() for g in found]
        due = multi_rate.hold(step + 1)
        after = [p.grad for layer in model.layers for p in layer.memory.mlp("slow_2").parameters()]
        if step == 0:
            assert due == [] and all(gradient is None for gradient in after)
            expected = gradients
        else:
            assert due == ["slow_2"]
            for one, two, mean in zip(expected, gradients, after, strict=True):
                torch.testing.assert_close(mean, (one + two) / 2)


def test_a_period_of_one_step_is_ordinary_training(tmp_path):
    outer, plain = make_model(TOKENS), make_model()
    train(outer, tmp_path / "outer", 4)
    train(plain, tmp_path / "plain", 4)
    for one, other in zip(outer.parameters(), plain.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_resumed_run_holds_what_was_held(tmp_path):
    whole = make_model(3 * TOKENS, 4 * TOKENS)
    train(whole, tmp_path / "whole", 6)
    part = make_model(3 * TOKENS, 4 * TOKENS)
    train(part, tmp_path / "part", 2)
    again = make_model(3 * TOKENS, 4 * TOKENS)
    train(again, tmp_path / "part", 6)
    for one, other in zip(whole.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)


def test_such_a_level_has_no_delta_and_is_not_written_while_reading():
    model = make_model(4)
    assert model.writer.levels == {} and model.writer.deltas(model.new_state()) == {}
    ids = torch.randint(20, (1, 9))
    with torch.no_grad():
        assert torch.equal(model(ids, learn=True).logits, model(ids).logits)


def test_a_task_that_counts_no_tokens_is_refused(tmp_path):
    class Silent(TextTask):
        def loss(self, *arguments):
            return super().loss(*arguments)[0], {}

    task = make_task()
    silent = Silent(task.train, None, task.options, 0)
    trainer = Trainer(make_model(4), silent, LoopOptions(steps=2), tmp_path)
    with pytest.raises(ValueError, match="does not count its tokens"):
        trainer.run()
