"""A run that is stopped and resumed is the run that was not."""

import json
from dataclasses import replace

import pytest
import torch

from nestling.memory.level import Level
from nestling.models.dialogue import Dialogue
from nestling.models.hope import Hope
from nestling.models.settings import HopeSettings
from nestling.training.loop import Trainer, schedule
from nestling.training.options import LoopOptions, ToldFactsOptions
from nestling.training.recipe import told_facts_texts
from nestling.training.tokenizer import train_tokenizer
from nestling.training.told_facts_task import ToldFactsTask

OPTIONS = LoopOptions(steps=8, warmup=2, log_every=1, checkpoint_every=4, learning_rate=1e-2)


@pytest.fixture(scope="module")
def dialogue():
    return Dialogue(train_tokenizer(told_facts_texts(0, turns=300), 500))


def make_trainer(dialogue, folder, options=OPTIONS):
    torch.manual_seed(0)
    settings = HopeSettings(
        vocab_size=500,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        mixer="attention",
        levels=(Level(rate=4.0, period=8),),
    )
    told = ToldFactsOptions(turns=4, notes=8, residents=2, stages=(1, 2), advance=-1.0)
    return Trainer(Hope(settings), ToldFactsTask(dialogue, told, 0), options, folder)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_resumed_run_gives_the_same_weights(dialogue, tmp_path, optimizer):
    options = replace(OPTIONS, optimizer=optimizer)
    whole = make_trainer(dialogue, tmp_path / "whole", options)
    whole.run()
    make_trainer(dialogue, tmp_path / "halves", options).run(until=4)
    resumed = make_trainer(dialogue, tmp_path / "halves", options)
    assert resumed.step == 4
    resumed.run()
    for (name, one), (_, other) in zip(
        whole.model.named_parameters(), resumed.model.named_parameters(), strict=True
    ):
        assert torch.equal(one, other), name
    assert whole.task.state_dict() == resumed.task.state_dict()


def test_a_run_of_another_optimizer_is_not_resumed(dialogue, tmp_path):
    make_trainer(dialogue, tmp_path).run(until=4)
    before = (tmp_path / "checkpoint.pt").read_bytes()
    with pytest.raises(ValueError, match="another optimizer.*choose another folder with --run"):
        make_trainer(dialogue, tmp_path, replace(OPTIONS, optimizer="muon"))
    saved = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    saved["optimizers"][0]["param_groups"][0]["momentum"] = 0.95
    torch.save(saved, tmp_path / "checkpoint.pt")
    with pytest.raises(ValueError, match="another optimizer"):
        make_trainer(dialogue, tmp_path)
    (tmp_path / "checkpoint.pt").write_bytes(before)
    assert make_trainer(dialogue, tmp_path).step == 4


def test_the_curve_has_every_step_once_after_a_crash(dialogue, tmp_path):
    make_trainer(dialogue, tmp_path).run(until=4)
    with (tmp_path / "curve.jsonl").open("a") as curve:
        curve.write('{"step": 4, "loss": 1.0}\n{"step": 5, "lo')
    make_trainer(dialogue, tmp_path).run()
    steps = [json.loads(line)["step"] for line in (tmp_path / "curve.jsonl").open()]
    assert steps == list(range(8))


def test_training_moves_every_parameter_the_loss_depends_on(dialogue, tmp_path):
    trainer = make_trainer(dialogue, tmp_path)
    before = {name: p.detach().clone() for name, p in trainer.model.named_parameters()}
    trainer.run()
    still = [n for n, p in trainer.model.named_parameters() if torch.equal(p, before[n])]
    assert still == []


def test_a_loss_that_is_not_finite_stops_with_a_sentence(dialogue, tmp_path):
    trainer = make_trainer(dialogue, tmp_path)
    with torch.no_grad():
        trainer.model.norm.weight.fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="lower the learning rate"):
        trainer.run()


def test_the_schedule_warms_up_stays_and_ends_near_zero():
    options = LoopOptions(steps=100, warmup=10, schedule=((0.5, 1.0), (1.0, 0.0)))
    factors = [schedule(step, options) for step in range(100)]
    assert factors[0] == 0.1
    assert factors[10:50] == [1.0] * 40
    assert factors[99] == pytest.approx(0.02)
    bent = LoopOptions(steps=100, warmup=1, schedule=((0.0, 1.0), (0.5, 0.8), (0.9, 0.0)))
    assert [schedule(step, bent) for step in (25, 50, 70, 95)] == pytest.approx([0.9, 0.8, 0.4, 0])
