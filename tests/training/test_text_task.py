"""Text tasks read what they are given and train on it."""

import gzip
import json

import pytest
import torch

from nestling.memory.level import Level
from nestling.models.hope import Hope
from nestling.models.settings import HopeSettings
from nestling.training.loop import Trainer
from nestling.training.options import LoopOptions, TextOptions
from nestling.training.text_task import (
    TextTask,
    find_file,
    held_out_loss,
    losses_by_position,
    read_rows,
    read_texts,
)


def test_files_of_every_kind_are_read(tmp_path):
    (tmp_path / "a.txt").write_text("plain é")
    with gzip.open(tmp_path / "b.txt.gz", "wt", encoding="utf-8") as file:
        file.write("zipped")
    with gzip.open(tmp_path / "c.jsonl.gz", "wt", encoding="utf-8") as file:
        for split, text in (("train", "one"), ("valid", "two"), ("train", "three")):
            file.write(json.dumps({"split": split, "text": text}) + "\n")
    texts = read_texts(["a.txt", "b.txt.gz", "c.jsonl.gz#train", "c.jsonl.gz"], tmp_path)
    assert texts == ["plain é", "zipped", "one\n\nthree", "one\n\ntwo\n\nthree"]


def test_rows_are_read_zipped_or_not(tmp_path):
    rows = [{"en": "a line\u2028break"}, {"en": "é"}]
    text = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n"
    (tmp_path / "a.jsonl").write_bytes(text.encode())
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(text.encode()))
    assert read_rows(tmp_path / "a.jsonl") == read_rows(tmp_path / "a.jsonl.gz") == rows


def test_a_missing_file_names_where_it_was_looked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("NESTLING_DATA", str(tmp_path / "data"))
    with pytest.raises(FileNotFoundError, match="NESTLING_DATA"):
        find_file("none.txt", tmp_path)


@pytest.mark.parametrize("learn", [False, True])
def test_a_short_run_lowers_the_loss_on_a_pattern(tmp_path, learn):
    torch.manual_seed(0)
    ids = torch.arange(12).repeat(60)
    level = Level(period=8 if learn else 0, rate=0.1)
    settings = HopeSettings(
        vocab_size=12,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        mixer="attention",
        levels=(level,),
    )
    model = Hope(settings)
    before = held_out_loss(model, ids[:200], length=16, learn=learn)
    task = TextTask(ids, None, TextOptions(batch=4, length=16, learn=learn), seed=0)
    options = LoopOptions(steps=40, warmup=1, learning_rate=1e-2)
    Trainer(model, task, options, tmp_path).run()
    assert held_out_loss(model, ids[:200], length=16, learn=learn) < 0.3 * before


def test_too_little_text_is_refused():
    with pytest.raises(ValueError, match="more than the length"):
        TextTask(torch.arange(10), None, TextOptions(length=32), seed=0)


@pytest.mark.parametrize("mixer", ["attention", "self_modifying"])
@pytest.mark.parametrize("learn", [False, True])
def test_carried_windows_are_one_long_window(mixer, learn):
    """Read in pieces with the state carried, a text has the losses that it has in one piece."""
    settings = HopeSettings(
        vocab_size=50,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        mixer=mixer,
        levels=(Level(period=8, rate=1.0),),
        sliding_window=200,
        chunk_size=4,
    )
    torch.manual_seed(0)
    model = Hope(settings).double().eval()
    ids = torch.randint(50, (2 * 48 + 1,))
    options = {"learn": learn, "streams": 2}
    whole = losses_by_position(model, ids, length=48, carried=True, **options)
    pieces = losses_by_position(model, ids, length=16, carried=True, **options)
    fresh = losses_by_position(model, ids, length=16, carried=False, **options)
    torch.testing.assert_close(pieces, whole.view(3, 16).mean(0))
    assert (fresh - pieces).abs().max() > 1e-3


def test_a_text_too_short_for_its_streams_is_refused():
    model = Hope(HopeSettings(vocab_size=50, hidden_size=16, num_attention_heads=2))
    with pytest.raises(ValueError, match="8 streams"):
        losses_by_position(model, torch.zeros(30).long(), length=16, learn=False, carried=True)
