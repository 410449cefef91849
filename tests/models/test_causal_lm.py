"""Hope behind the Hugging Face interface."""

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

from nestling import HopeConfig, HopeForCausalLM, HopeSettings, Level, MemoryState
from nestling.rules import RULES

MIXERS = ["attention", "self_modifying"]


def make(mixer, level):
    torch.manual_seed(0)
    config = HopeConfig(
        vocab_size=40,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        mixer=mixer,
        chunk_size=4,
        levels=[level],
        pad_token_id=0,
        eos_token_id=1,
    )
    return HopeForCausalLM(config)


@pytest.fixture(params=MIXERS)
def model(request):
    return make(request.param, Level(period=4, rate=2.0)).double().eval()


def tokens(batch=2, length=7):
    generator = torch.Generator().manual_seed(1)
    return torch.randint(2, 40, (batch, length), generator=generator)


def test_saved_and_loaded_models_are_equal(model, tmp_path):
    model.save_pretrained(tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float64).eval()
    assert isinstance(loaded, HopeForCausalLM)
    assert loaded.model.head.weight is loaded.model.embedding.weight
    for name, weight in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], weight), name
    # Weights in a mapped file lie elsewhere in memory, where products may round differently.
    close = {"rtol": 1e-12, "atol": 1e-12}
    torch.testing.assert_close(loaded(tokens()).logits, model(tokens()).logits, **close)


def test_the_configuration_round_trips(model, tmp_path):
    model.config.save_pretrained(tmp_path)
    loaded = AutoConfig.from_pretrained(tmp_path)
    assert isinstance(loaded, HopeConfig)
    assert loaded.settings == model.config.settings


def test_levels_may_be_objects_wherever_they_are_given(model, tmp_path):
    model.config.save_pretrained(tmp_path)
    level = Level("quick", period=8)
    loaded = HopeConfig.from_pretrained(tmp_path, levels=[level])
    assert loaded.settings.levels == (level,)
    loaded.levels = (level, Level("slow", period=16))
    loaded.save_pretrained(tmp_path)
    assert HopeConfig.from_pretrained(tmp_path).settings == loaded.settings


def test_the_configuration_has_every_setting():
    assert HopeConfig().settings == HopeSettings()


def test_a_bad_configuration_is_refused():
    with pytest.raises(ValueError, match="mixer is one of"):
        HopeConfig(mixer="lstm")


def test_learning_returns_loss_and_state_and_leaves_the_model_alone(model):
    before = {name: p.clone() for name, p in model.named_parameters()}
    output = model(tokens(), learn=True)
    assert isinstance(output.state, MemoryState)
    assert output.loss.ndim == 0
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())


def test_what_was_learned_changes_what_is_said(model):
    state = model.end_turn(model(tokens(), learn=True).state)
    fresh = model(tokens(), state=model.new_state(2)).logits
    assert not torch.allclose(model(tokens(), state=state).logits, fresh)


def test_labels_give_the_usual_loss(model):
    ids = tokens()
    labels = ids.clone()
    labels[0, :4] = -100
    output = model(ids, labels=labels)
    logprobs = output.logits[:, :-1].log_softmax(-1)
    picked = logprobs.gather(-1, ids[:, 1:, None])[..., 0]
    kept = labels[:, 1:] != -100
    torch.testing.assert_close(output.loss, -(picked * kept).sum() / kept.sum())


def generated(model, ids, **options):
    return model.generate(ids, max_new_tokens=6, do_sample=False, **options)


def test_generation_with_the_state_equals_generation_without(model):
    assert torch.equal(generated(model, tokens()), generated(model, tokens(), use_cache=False))


def test_generation_goes_on_from_a_memory_with_and_without_a_cache(model):
    state = model.end_turn(model(tokens(), learn=True).state)
    ids = tokens(2, 5)
    cached = generated(model, ids, state=state)
    assert torch.equal(cached, generated(model, ids, state=state, use_cache=False))


@pytest.mark.parametrize("side", ["left", "both"])
def test_padded_prompts_generate_as_if_alone(model, side):
    ids = tokens(1, 5)
    longer = tokens(1, 8)
    padding = torch.zeros(1, 3, dtype=torch.long)
    rows = [torch.cat([padding, ids], 1), longer]
    batch = torch.cat(rows)
    mask = (batch != 0).long()
    if side == "both":
        batch = torch.cat([torch.full((2, 2), 9), batch], 1)
        mask = torch.cat([torch.zeros(2, 2, dtype=torch.long), mask], 1)
    together = generated(model, batch, attention_mask=mask)[:, batch.shape[1] :]
    for row, alone in zip(together, (ids, longer), strict=True):
        expected = generated(model, alone)[0, alone.shape[1] :]
        assert row[: len(expected)].tolist() == expected.tolist()
        assert set(row[len(expected) :].tolist()) <= {0}


def test_generation_goes_on_from_a_memory(model):
    state = model.end_turn(model(tokens(), learn=True).state)
    step = model(tokens(), state=state).logits[:, -1].argmax(-1)
    assert torch.equal(generated(model, tokens(), state=state)[:, 7], step)


def test_several_samples_of_one_prompt_share_its_memory(model):
    state = model.end_turn(model(tokens(), learn=True).state)
    out = model.generate(
        tokens(), state=state, max_new_tokens=3, do_sample=True, num_return_sequences=2
    )
    assert out.shape[0] == 4


def test_guidance_is_refused_where_it_would_read_without_what_stands_before(model):
    with pytest.raises(ValueError, match="with use_cache=False alone"):
        model.generate(tokens(), guidance_scale=2.0, max_new_tokens=2)
    guided = model.generate(
        tokens(), guidance_scale=2.0, max_new_tokens=2, use_cache=False, do_sample=False
    )
    assert guided.shape[1] == tokens().shape[1] + 2


def test_an_argument_that_there_is_not_is_refused(model):
    with pytest.raises(TypeError, match="takes no lern; it takes input_ids"):
        model(tokens(), lern=True)
    ids = tokens()
    same = model(ids, position_ids=torch.arange(ids.shape[1])[None], past_key_values=None)
    assert torch.equal(same.logits, model(ids).logits)
    with pytest.raises(ValueError, match="labels have the shape of input_ids"):
        model(ids, labels=ids[:, 1:])


def test_a_trainer_that_gathers_gradients_divides_the_loss(model):
    # It passes the number of items to models that accept it, and divides for all others.
    assert model.accepts_loss_kwargs is False


def test_gradients_that_are_gathered_are_those_of_one_batch(tmp_path):
    pytest.importorskip("accelerate")
    from transformers import Trainer, TrainingArguments

    data = [{"input_ids": row, "labels": row} for row in tokens(batch=4)]

    def norm_of_gradients(batch, gathered):
        model = make("attention", Level(period=0))
        found = []

        class Watching(torch.optim.SGD):
            def step(self, closure=None):
                grads = [p.grad for group in self.param_groups for p in group["params"]]
                found.append(torch.nn.utils.get_total_norm([g for g in grads if g is not None]))
                return super().step(closure)

        optimizer = Watching(model.parameters(), lr=0.0)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)
        arguments = TrainingArguments(
            str(tmp_path),
            per_device_train_batch_size=batch,
            gradient_accumulation_steps=gathered,
            max_steps=1,
            max_grad_norm=1e9,
            save_strategy="no",
            report_to=[],
            use_cpu=True,
            disable_tqdm=True,
        )
        Trainer(model, arguments, train_dataset=data, optimizers=(optimizer, schedule)).train()
        return found[0]

    torch.testing.assert_close(norm_of_gradients(1, 4), norm_of_gradients(4, 1))


def test_beam_search_is_refused(model):
    with pytest.raises(ValueError, match="beam search is not supported"):
        model.generate(tokens(), num_beams=2, max_new_tokens=2)


def test_a_state_of_another_batch_is_refused(model):
    with pytest.raises(ValueError, match="the state holds 3 sequences, the input 2"):
        model(tokens(), state=model.new_state(3))


def test_a_learn_mask_of_another_shape_is_refused(model):
    with pytest.raises(ValueError, match="learn is True, False or a mask"):
        model(tokens(), learn=torch.ones(2, 3))


@pytest.mark.parametrize("shape", [(2, 5), (1, 7), (7,)])
def test_an_attention_mask_of_another_shape_is_refused(model, shape):
    for mask in (torch.ones(shape), torch.zeros(shape)):
        with pytest.raises(ValueError, match=r"attention_mask has the shape .* need \(2, 7\)"):
            model(tokens(), attention_mask=mask)


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_leaves_the_loss_of_what_is_learned_alone(model, side):
    ids = tokens(1, 5)
    alone = model(ids, learn=True).loss
    fill = torch.zeros(1, 3, dtype=torch.long)
    padded = torch.cat([fill, ids] if side == "left" else [ids, fill], 1)
    mask = (padded != 0).long()
    assert torch.allclose(model(padded, attention_mask=mask, learn=True).loss, alone)


def test_one_token_has_no_loss(model):
    output = model(tokens(1, 1), learn=True)
    assert output.loss.item() == 0
    output.loss.backward()


def test_weights_that_a_checkpoint_lacks_begin_as_they_should(model, tmp_path):
    model.float().save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    kept = load_file(file)
    lost = [name for name in kept if "norm" in name or ".writer." in name]
    assert len(lost) > 3
    for name in lost:
        del kept[name]
    save_file(kept, file, {"format": "pt"})
    loaded = dict(HopeForCausalLM.from_pretrained(tmp_path).named_parameters())
    fresh = dict(HopeForCausalLM(model.config).named_parameters())
    for name in lost:
        assert torch.equal(loaded[name], fresh[name]), name


@pytest.mark.parametrize("rule", sorted(RULES))
@pytest.mark.parametrize("mixer", MIXERS)
def test_half_precision_learns_and_its_memory_is_kept_precise(mixer, rule):
    model = make(mixer, Level("fast", period=4, rate=0.1, rule=rule))
    whole = model(tokens(), learn=True)
    half = model.to(torch.bfloat16)(tokens(), learn=True)
    for name, leaf in half.state.items():
        if name.startswith(("memory.delta", "memory.rule")) and leaf.is_floating_point():
            assert leaf.dtype == torch.float32
    (delta,) = (name for name in whole.state if name.startswith("memory.delta.fast.down"))
    found, wanted = half.state[delta], whole.state[delta]
    assert found.isfinite().all() and found.abs().max() > 0
    cosine = torch.cosine_similarity(found.flatten(), wanted.flatten(), dim=0)
    # Orthogonalising makes much of directions in which there is little.
    assert cosine > (0.6 if rule in ("muon", "m3") else 0.95)
