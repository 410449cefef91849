import pytest
import torch

from nestling.models.hope import Hope
from nestling.models.presets import MODELS, PRESETS, build_settings, parameter_count, preset

WANTED = {"340m": 340e6, "760m": 760e6, "1.3b": 1.3e9}


@pytest.mark.parametrize("size", ["tiny", "small", "340m", "760m", "1.3b"])
def test_all_models_of_a_size_have_as_many_parameters(size):
    counts = {model: parameter_count(preset(f"{model}-{size}")) for model in MODELS}
    base = counts["transformer"]
    assert all(abs(count / base - 1) < 0.02 for count in counts.values()), counts
    if size in WANTED:
        assert abs(base / WANTED[size] - 1) < 0.15


@pytest.mark.parametrize("model", MODELS)
def test_tiny_models_read_and_learn(model):
    torch.manual_seed(0)
    tokens = torch.randint(4096, (1, 70))
    reading = Hope(preset(f"{model}-tiny"))(tokens, learn=True)
    assert reading.logits.shape == (1, 70, 4096)
    assert reading.logits.isfinite().all()


def test_a_preset_can_be_changed():
    settings = build_settings({"preset": "hope-tiny", "vocab_size": 100})
    assert settings.vocab_size == 100
    assert settings.mixer == "self_modifying"


@pytest.mark.parametrize("name", ["hope", "hope-7b", "mamba-tiny"])
def test_an_unknown_preset_is_explained(name):
    assert name not in PRESETS
    with pytest.raises(ValueError, match="a preset is <model>-<size>"):
        preset(name)
