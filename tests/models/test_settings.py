import json

import pytest

from nestling.memory.level import Level
from nestling.mixers.self_modifying import SelfModifyingOptions
from nestling.models.settings import HopeSettings

SIZES = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "sliding_window",
    "chunk_size",
    "conv_width",
)


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("value", [0, -3, 2.5])
def test_a_size_below_one_is_explained(name, value):
    with pytest.raises(ValueError, match=f"^{name} is a whole number, 1 or more, got {value}$"):
        HopeSettings(**{name: value})


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            {"hidden_size": 20, "num_attention_heads": 4},
            "hidden_size 20 does not divide into 4 heads of even width; choose a multiple of twice",
        ),
        ({"mixer": "lstm"}, r"mixer is one of \('self_modifying', .*\) or 'fla:' .* got 'lstm'"),
        (
            {"mixer": ("attention", "lstm"), "num_hidden_layers": 2},
            "or one of them for each of the 2 blocks, got .*'lstm'",
        ),
        (
            {"mixer": ("attention",), "num_hidden_layers": 2},
            r"each of the 2 blocks, got \('attention',\)",
        ),
        ({"levels": ()}, r"at least one level; Level\(period=0\) is a static MLP"),
        (
            {"levels": (Level("fast"), Level("fast"))},
            r"levels need different names, got \['fast', 'fast'\]",
        ),
        (
            {"levels": ({"rule": "guess"},)},
            r"level 'fast': rule is one of \[.*'gradient_descent'.*\], got 'guess'",
        ),
        (
            {"levels": (Level("fast", period=4), Level("slow", period=6))},
            r"every period is a multiple of the fastest one, got \[4, 6\]",
        ),
        ({"levels": ({"name": "fast", "speed": 1},)}, r"a level has no \['speed'\]"),
        (
            {"levels": ({"name": "fast", "period": -1},)},
            "period is a whole number, 0 .* or more, got -1",
        ),
        (
            {"self_modifying": {"memory": "deep"}},
            r"memory is one of \('linear', 'mlp'\), got 'deep'",
        ),
        (
            {"chunk_size": 64, "self_modifying": {"projection_chunk_size": 24}},
            "projection_chunk_size is 24 and chunk_size 64: one of them must be a multiple",
        ),
    ],
)
def test_a_bad_setting_is_explained(values, sentence):
    with pytest.raises(ValueError, match=sentence):
        HopeSettings(**values)


def test_static_levels_have_no_say_in_the_periods():
    settings = HopeSettings(levels=(Level("fast", period=4), Level("still", period=0)))
    assert [level.is_written for level in settings.levels] == [True, False]


def test_one_mixer_stands_for_every_block():
    assert HopeSettings(mixer="attention", num_hidden_layers=3).mixers == ("attention",) * 3


def test_settings_survive_json():
    settings = HopeSettings(
        mixer=["self_modifying", "attention"],
        num_hidden_layers=2,
        levels=(Level("fast", period=4, written=("gate", "down")), Level("slow", period=8)),
        eos_token_id=3,
    )
    values = json.loads(json.dumps(settings.to_dict()))
    assert HopeSettings.from_dict(values) == settings


def test_fields_of_others_are_left_alone():
    assert HopeSettings.from_dict({"hidden_size": 64, "torch_dtype": "float32"}).hidden_size == 64


def test_settings_cannot_change():
    with pytest.raises(AttributeError):
        HopeSettings().hidden_size = 3


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"rope_theta": 0.0}, "rope_theta is positive and finite, got 0"),
        ({"rms_norm_eps": float("nan")}, "rms_norm_eps is positive and finite, got nan"),
        ({"initializer_range": -1.0}, "initializer_range is 0 or more, got -1"),
        ({"pad_token_id": 2048}, "pad_token_id is None or a token, 0 to 2047, got 2048"),
        ({"eos_token_id": [1, 2]}, r"eos_token_id is None or a token, 0 to 2047, got \[1, 2\]"),
    ],
)
def test_a_number_out_of_range_is_explained(values, sentence):
    with pytest.raises(ValueError, match=sentence):
        HopeSettings(**values)


@pytest.mark.parametrize("width", [0, -3])
def test_a_memory_is_one_wide_or_more(width):
    with pytest.raises(ValueError, match="memory_intermediate_size is 1 or more"):
        HopeSettings(memory_intermediate_size=width)


def test_a_chunk_of_projections_is_one_token_or_more():
    with pytest.raises(ValueError, match="projection_chunk_size is 0"):
        HopeSettings(self_modifying=SelfModifyingOptions(projection_chunk_size=0))


def test_a_level_of_pre_training_may_have_any_rule():
    outer = Level("slow", period=100, source="outer", rule="delta_gradient_descent")
    assert HopeSettings(levels=(outer,)).levels == (outer,)
    assert len(HopeSettings(levels=(Level("fast", period=4), outer)).levels) == 2
