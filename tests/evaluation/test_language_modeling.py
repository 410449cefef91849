"""Language models are compared at equal size, on equal data."""

import pytest

from nestling.evaluation import language_modeling as lm
from nestling.evaluation.ablation import VARIANTS
from nestling.models.presets import parameter_count


@pytest.mark.parametrize("variants", [lm.MODELS, VARIANTS], ids=["models", "ablation"])
def test_all_models_have_the_parameters_of_the_transformer(variants):
    wanted = parameter_count(lm.settings_of("transformer"))
    for name in variants:
        found = parameter_count(lm.settings_of(name, variants))
        assert found == pytest.approx(wanted, rel=0.002), name


def test_every_variant_of_hope_is_another_model_that_lacks_one_part():
    whole = VARIANTS["hope"]["self_modifying"]
    for name, variant in VARIANTS.items():
        parts = variant.get("self_modifying", {})
        differing = {part for part in whole | parts if whole.get(part) != parts.get(part)}
        if name in ("hope", "without CMS"):
            assert not differing
        else:
            assert len(differing) == 1, name
    assert not any(level.is_written for level in VARIANTS["without CMS"]["levels"])


def test_the_transformer_writes_nothing_and_hope_does():
    written = {
        name: any(level.is_written for level in lm.settings_of(name).levels) for name in lm.MODELS
    }
    assert {name for name, writes in written.items() if writes} == {"hope-attention", "hope"}


def test_a_small_comparison_gives_a_row_for_every_model(tmp_path, monkeypatch):
    text = "the cat sat on the mat and the dog lay by the door. " * 40
    for name in ("train.txt", "valid.txt"):
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(lm, "CORPORA", {"tiny": (("train.txt",), ("valid.txt",))})
    monkeypatch.setattr(lm, "VOCABULARY", 300)
    monkeypatch.setattr(lm, "settings_of", small)
    run = tmp_path / "runs.jsonl"

    def measured():
        return list(
            lm.measure_language_modeling(
                tmp_path, corpora=["tiny"], tokens=256, length=32, batch=2, run_file=run
            )
        )

    rows = measured()
    assert measured() == rows
    assert all(row["carried_loss"] != row["fresh_loss"] for row in rows)
    assert all(1 < row["fresh_loss_0_16"] < 6 for row in rows)
    assert [row["model"] for row in rows] == list(lm.MODELS)
    assert {row["tokens"] for row in rows} == {256}
    assert all(1 < row["perplexity"] < 400 for row in rows)


def test_a_model_that_diverges_has_a_row_that_says_so(tmp_path, monkeypatch):
    (tmp_path / "train.txt").write_text("the cat sat on the mat. " * 40)
    monkeypatch.setattr(lm, "CORPORA", {"tiny": (("train.txt",), ("train.txt",))})
    monkeypatch.setattr(lm, "VOCABULARY", 300)
    monkeypatch.setattr(lm, "settings_of", small)

    def run(self):
        raise FloatingPointError("the loss is nan at step 3")

    options = {"corpora": ["tiny"], "models": ["hope"], "tokens": 128, "length": 32, "batch": 2}
    (good,) = lm.measure_language_modeling(tmp_path, **options)
    monkeypatch.setattr(lm.Trainer, "run", run)
    (lost,) = lm.measure_language_modeling(tmp_path, **options)
    assert lost["diverged"] and not good["diverged"]
    assert set(lost) == set(good)
    assert all(lost[name] is None for name in lost if "loss" in name or "perplexity" in name)


def small(name, variants=lm.MODELS):
    return lm.replace(
        lm.HopeSettings(
            vocab_size=300,
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            chunk_size=16,
        ),
        **variants[name],
    )
