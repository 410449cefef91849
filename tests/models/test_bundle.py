import json
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from nestling.models.bundle import load_bundle, save_bundle


@pytest.fixture
def folder(tiny_bundle, tmp_path):
    return save_bundle(tiny_bundle.model, tiny_bundle.dialogue.tokenizer, tmp_path / "model")


def change_weights(folder, function):
    save_file(function(load_file(folder / "model.safetensors")), folder / "model.safetensors")


def same_weights(one, other):
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_a_model_comes_back_as_it_was(tiny_bundle, folder):
    loaded = load_bundle(folder)
    assert same_weights(loaded.model, tiny_bundle.model)
    assert loaded.model.settings == tiny_bundle.model.settings
    assert loaded.model_hash == tiny_bundle.model_hash
    assert loaded.dialogue.words("Pixel") == tiny_bundle.dialogue.words("Pixel")


def test_tied_weights_stay_tied(folder):
    assert "model.head.weight" not in load_file(folder / "model.safetensors")
    model = load_bundle(folder).model
    assert model.head.weight is model.embedding.weight


def test_names_without_the_prefix_are_read_too(tiny_bundle, folder):
    change_weights(
        folder, lambda tensors: {n.removeprefix("model."): t for n, t in tensors.items()}
    )
    assert same_weights(load_bundle(folder).model, tiny_bundle.model)


def test_half_precision_is_read_as_single(folder):
    change_weights(folder, lambda tensors: {n: t.bfloat16() for n, t in tensors.items()})
    assert {p.dtype for p in load_bundle(folder).model.parameters()} == {torch.float32}


def test_further_keys_change_neither_model_nor_hash(tiny_bundle, tmp_path):
    path = save_bundle(
        tiny_bundle.model,
        tiny_bundle.dialogue.tokenizer,
        tmp_path,
        extra_config={"architectures": ["HopeForCausalLM"], "vocab_size": 1},
    )
    loaded = load_bundle(path)
    assert json.loads((path / "config.json").read_text())["architectures"] == ["HopeForCausalLM"]
    assert loaded.model.settings.vocab_size == 320
    assert loaded.model_hash == tiny_bundle.model_hash


def test_other_weights_have_another_hash(tiny_bundle, folder):
    change_weights(folder, lambda tensors: {n: t + 1 for n, t in tensors.items()})
    assert load_bundle(folder).model_hash != tiny_bundle.model_hash


def test_other_settings_have_another_hash(tiny_bundle, folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"rope_theta": 1.0}))
    assert load_bundle(folder).model_hash != tiny_bundle.model_hash


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_missing_or_broken_file_is_named(folder, name):
    (folder / name).write_text("[")
    with pytest.raises(ValueError, match=name):
        load_bundle(folder)
    (folder / name).unlink()
    with pytest.raises(ValueError, match=f"it has no {name}"):
        load_bundle(folder)


def test_weights_of_another_shape_are_named(folder):
    change_weights(folder, lambda tensors: tensors | {"model.norm.weight": torch.ones(3)})
    with pytest.raises(ValueError, match=r"'norm.weight' is \(3,\) in the file and \(32,\)"):
        load_bundle(folder)


def test_a_missing_embedded_model_is_explained(monkeypatch, tmp_path):
    monkeypatch.setattr("nestling.models.folder.EMBEDDED", tmp_path / "none")
    with pytest.raises(ValueError, match="without its model"):
        load_bundle()


def test_answering_does_not_wait_for_transformers():
    code = (
        "import sys, nestling.cli, nestling.cli.talk, nestling.resident, nestling.models.bundle\n"
        "sys.exit('transformers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
