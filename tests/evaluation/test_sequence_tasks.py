"""Synthetic tasks ask what they say, and can be answered from what stands before."""

from dataclasses import replace

import pytest
import torch

from nestling.evaluation import mad, mqar
from nestling.evaluation.mad import TASKS
from nestling.evaluation.sequence_tasks import (
    IGNORED,
    RECALLING,
    Course,
    Task,
    accuracy,
    generator_of,
    measure_tasks,
    train,
)

torch.set_num_threads(1)

TINY = Course(width=16, layers=1, heads=2, chunk_size=4, steps=3, batch=2, rates=(1e-3,), asked=4)


def draw(name, count=20, seed=0):
    return TASKS[name].draw(count, generator_of(name, seed))


@pytest.mark.parametrize("name", list(TASKS))
def test_sequences_depend_on_the_generator_alone_and_stay_in_the_vocabulary(name):
    ids, targets = draw(name)
    again, _ = draw(name)
    assert torch.equal(ids, again) and not torch.equal(ids, draw(name, seed=1)[0])
    assert ids.min() >= 0 and ids.max() < TASKS[name].vocabulary
    scored = targets[targets != IGNORED]
    assert len(scored) > 20 and scored.max() < TASKS[name].vocabulary


def test_a_key_is_asked_from_its_second_time_on():
    ids, targets = draw("recall")
    for row, asked in zip(ids.tolist(), targets.tolist(), strict=True):
        told = {}
        for place in range(0, len(row), 2):
            assert asked[place] == told.get(row[place], IGNORED)
            assert asked[place + 1] == IGNORED
            told[row[place]] = row[place + 1]


def test_of_a_fuzzy_key_the_next_tokens_are_asked():
    ids, targets = draw("fuzzy recall")
    for row, asked in zip(ids.tolist(), targets.tolist(), strict=True):
        for place, wanted in enumerate(asked):
            if wanted != IGNORED:
                assert row[place + 1] == wanted
    # What is asked was told: the words of a value stand in the sequence before.
    first = targets[0].ne(IGNORED).nonzero()[0].item()
    assert targets[0, first] in ids[0, :first]


def test_scattered_tokens_are_asked_in_their_order():
    ids, targets = draw("selective copying")
    for row, asked in zip(ids, targets, strict=True):
        wanted = asked[asked != IGNORED].tolist()
        room = len(row) - len(wanted)
        assert [token for token in row[:room].tolist() if token < 14] == wanted
        assert row[room] == 15 and (row[room + 1 :] == 14).all()


def test_the_table_that_is_memorised_is_always_the_same():
    table = {}
    for seed in range(3):
        ids, targets = draw("memorisation", seed=seed)
        for key, value in zip(ids[:, 0::2].flatten(), targets[:, 1::2].flatten(), strict=True):
            assert table.setdefault(int(key), int(value)) == int(value)


def test_compression_reads_nothing_but_the_last_position():
    task = TASKS["compression"]
    model = TINY.model("transformer", task, 0)
    ids, _ = draw("compression", 2)
    logits = model(ids)
    assert logits.shape == (*ids.shape, task.vocabulary)
    logits.sum().backward()
    gradient = model.hope.embedding.weight.grad
    assert gradient is not None and gradient.abs().sum() > 0


def test_a_small_model_learns_to_copy():
    """Far above chance after some steps: the targets fit the ids."""
    course = replace(TINY, width=32, layers=2, steps=150, batch=16, asked=32)
    task = Task(6, lambda n, g: mad.draw_recall(n, g, pairs=8, vocabulary=6))
    model = course.model("transformer", task, 0)
    train(model, task, course, 1e-2, 0, lambda line: None)
    assert accuracy(model, task.draw, course, 0) > 0.6


def test_every_model_has_a_row_for_each_task_and_goes_on_where_it_was(tmp_path):
    def rows():
        return list(
            measure_tasks(
                {name: TASKS[name] for name in ("recall", "compression")},
                models=["hope", "titans"],
                seeds=[0, 1],
                course=TINY,
                run_file=tmp_path / "mad.jsonl",
            )
        )

    first = rows()
    assert len(first) == 8 and all(0 <= row["accuracy"] <= 1 for row in first)
    assert rows() == first


def test_a_query_of_mqar_has_the_value_of_its_pair():
    ids, targets = mqar.draw_mqar(20, generator_of("mqar"), pairs=8, length=64, vocabulary=64)
    assert (targets != IGNORED).sum(1).tolist() == [8] * 20
    for row, asked in zip(ids.tolist(), targets.tolist(), strict=True):
        told = dict(zip(row[0:16:2], row[1:16:2], strict=True))
        assert len(told) == 8
        for place, wanted in enumerate(asked):
            if wanted != IGNORED:
                assert place >= 16 and told[row[place]] == wanted
        rest = [token for place, token in enumerate(row[16:], 16) if asked[place] == IGNORED]
        assert not set(rest) & set(told)


def test_more_pairs_than_fit_are_refused():
    with pytest.raises(ValueError, match="need a length of 64"):
        mqar.draw_mqar(1, generator_of(), pairs=16, length=60)


def test_one_model_learns_all_sizes_of_mqar_and_is_asked_of_each():
    seen = {tuple(mqar.draw_any_size(2, generator_of(n))[0].shape) for n in range(40)}
    assert seen == {(2, length) for _, length in mqar.SIZES}
    tiny = replace(TINY, rates=(1e-3, 1e-2))
    rows = list(measure_tasks(mqar.TASKS, models=["delta_net"], seeds=[0, 1], course=tiny))
    assert [(row["seed"], row["task"]) for row in rows] == [
        (seed, f"{pairs} pairs of {length}") for seed in (0, 1) for pairs, length in mqar.SIZES
    ]
    assert len({row["rate"] for row in rows}) == 1
    assert all(0 <= row["accuracy"] <= 1 and "right" not in row for row in rows)


def test_recall_is_measured_without_one_part_at_a_time():
    whole = RECALLING["hope"]["self_modifying"]
    without = {
        "hope, initial value read": {"read_initial": True},
        "hope, all writes count": {"self_gain": None},
    }
    assert [name for name in RECALLING if name.startswith("hope")] == ["hope", *without]
    for name, part in without.items():
        assert RECALLING[name]["self_modifying"] == replace(whole, **part)
        assert RECALLING[name]["self_modifying"] != whole
