"""What a run leaves behind can be used at once."""

import pytest
import torch
from transformers import AutoTokenizer

from nestling import HopeForCausalLM
from nestling.models.bundle import load_bundle
from nestling.training.options import read_options
from nestling.training.recipe import export, prepare_run

CONFIG = """
[tokenizer]
vocab_size = 400
[model]
vocab_size = 400
hidden_size = 16
intermediate_size = 32
num_hidden_layers = 1
num_attention_heads = 2
mixer = "attention"
[told_facts]
turns = 2
notes = 2
stages = [1]
[loop]
steps = 2
log_every = 1
"""


def run_and_export(tmp_path, monkeypatch):
    monkeypatch.setattr("nestling.training.recipe.TOKENIZER_TURNS", 50)
    (tmp_path / "c.toml").write_text(CONFIG)
    trainer = prepare_run(read_options(tmp_path / "c.toml"), tmp_path / "run")
    trainer.run()
    return trainer, export(trainer, tmp_path / "model")


def test_an_exported_model_is_read_by_both_loaders(tmp_path, monkeypatch):
    trainer, folder = run_and_export(tmp_path, monkeypatch)
    bundle, hugging = load_bundle(folder), HopeForCausalLM.from_pretrained(folder).eval()
    ids = torch.arange(20, 30)[None]
    assert bundle.model.embedding.weight.dtype == torch.float32
    torch.testing.assert_close(hugging(ids).logits, bundle.model(ids).logits)
    expected = trainer.model(ids).logits
    torch.testing.assert_close(bundle.model(ids).logits, expected, atol=2e-2, rtol=2e-2)
    assert hugging.config.eos_token_id == bundle.dialogue.end_id


def test_an_exported_tokenizer_is_read_by_transformers(tmp_path, monkeypatch):
    _, folder = run_and_export(tmp_path, monkeypatch)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.decode(tokenizer("Zoë's 12 cats")["input_ids"]) == "Zoë's 12 cats"
    assert tokenizer.eos_token == "<|end|>"


def test_a_folder_of_another_model_is_refused(tmp_path, monkeypatch):
    run_and_export(tmp_path, monkeypatch)
    (tmp_path / "d.toml").write_text(CONFIG.replace("hidden_size = 16", "hidden_size = 32"))
    try:
        prepare_run(read_options(tmp_path / "d.toml"), tmp_path / "run")
    except ValueError as error:
        assert "holds a run of another model" in str(error)
    else:
        raise AssertionError("the folder was taken")


def test_a_run_begins_with_the_weights_of_a_model(tmp_path, monkeypatch):
    _, folder = run_and_export(tmp_path, monkeypatch)
    rest = CONFIG[CONFIG.index("[model]") :]
    (tmp_path / "e.toml").write_text('[start]\nmodel = "model"\n' + rest)
    trainer = prepare_run(read_options(tmp_path / "e.toml"), tmp_path / "further")
    bundle = load_bundle(folder)
    for name, weight in bundle.model.state_dict().items():
        assert torch.equal(trainer.model.state_dict()[name], weight), name
    assert (tmp_path / "further/tokenizer.json").read_text() == (
        tmp_path / "run/tokenizer.json"
    ).read_text()
    trainer.run()
    assert trainer.step == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[start]\nmodel = 'nowhere'\n", "no model folder"),
        ("[start]\nmodel = 'model'\n[model]\nhidden_size = 8\n", "has other settings"),
        ("[start]\nfolder = 'model'\n", "one entry"),
        ("[start]\nmodel = 'model'\n[tokenizer]\nvocab_size = 9\n", "takes the place of"),
    ],
)
def test_a_start_that_is_none_is_refused(tmp_path, monkeypatch, text, message):
    run_and_export(tmp_path, monkeypatch)
    (tmp_path / "f.toml").write_text(text + "[told_facts]\n")
    with pytest.raises(ValueError, match=message):
        prepare_run(read_options(tmp_path / "f.toml"), tmp_path / "other")
