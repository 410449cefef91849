"""Contract 4: every initial memory and every gate is learned through the writes."""

import pytest
import torch
import torch.nn.functional as F

from nestling.memory.state import MemoryState

CASES = [("attention", "fast_slow"), ("both", "context"), ("self_modifying", "all_parts")]
TURNS = (9, 2, 12)


def draw_tokens(*shape, seed=0):
    return torch.randint(20, shape, generator=torch.Generator().manual_seed(seed))


def loss_after_turns(model):
    """Two turns are learned, each in its own context; then a third is read, and learned too."""
    state = model.new_state(2)
    for number, length in enumerate(TURNS):
        turn = draw_tokens(2, length, seed=number)
        reading = model(turn, state=state, learn=True)
        state = model.end_turn(reading.state)
    return F.cross_entropy(reading.logits[:, :-1].flatten(0, 1), turn[:, 1:].flatten())


def loss_of_recall(model):
    """The last turn is only read: what reaches it from the others passes through the deltas."""
    state = model.new_state(2)
    for number, length in enumerate(TURNS[:-1]):
        turn = draw_tokens(2, length, seed=number)
        state = model.end_turn(model(turn, state=state, learn=True).state)
    turn = draw_tokens(2, TURNS[-1], seed=2)
    logits = model(turn, state=state).logits
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), turn[:, 1:].flatten())


@pytest.fixture(scope="module", params=CASES, ids="-".join)
def meta_model(request, make_model):
    return make_model(*request.param)


def test_every_parameter_receives_a_gradient(meta_model):
    parameters = dict(meta_model.named_parameters())
    gradients = torch.autograd.grad(
        loss_after_turns(meta_model), list(parameters.values()), allow_unused=True
    )
    for name, gradient in zip(parameters, gradients, strict=True):
        assert gradient is not None, name
        assert gradient.abs().amax() > 1e-7, name


def test_every_initial_memory_and_gate_of_every_head_receives_a_gradient(make_model):
    model = make_model("self_modifying", "fast")
    loss = loss_after_turns(model)
    for block in model.blocks:
        mixer = block.mixer
        gates = [mixer.eta_weight, mixer.eta_bias, mixer.alpha_weight, mixer.alpha_bias]
        for gradient in torch.autograd.grad(loss, [*mixer.memory_init, *gates], retain_graph=True):
            # [heads, 5, K, K], [heads, K] or [heads]
            parts = gradient.flatten(0, 1) if gradient.dim() == 4 else gradient
            assert (parts.abs().view(len(parts), -1).amax(1) > 1e-9).all()


def test_strengths_and_rates_are_learned_by_what_is_recalled_later(make_model):
    for levels in ("fast_slow", "all_parts"):
        model = make_model("attention", levels)
        writer = dict(model.writer.named_parameters())
        gradients = torch.autograd.grad(loss_of_recall(model), list(writer.values()))
        for name, gradient in zip(writer, gradients, strict=True):
            assert gradient.abs().amax() > 1e-7, name


def test_gradients_agree_with_finite_differences(meta_model):
    parameters = dict(meta_model.named_parameters())
    gradients = torch.autograd.grad(loss_after_turns(meta_model), list(parameters.values()))
    generator = torch.Generator().manual_seed(0)
    step = 1e-6
    for (name, parameter), gradient in zip(parameters.items(), gradients, strict=True):
        # A direction that moves all entries is stricter than a few entries one by one.
        direction = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        direction /= direction.norm()
        losses = []
        with torch.no_grad():
            start = parameter.clone()
            for sign in (1, -1):
                parameter.copy_(start + sign * step * direction)
                losses.append(loss_after_turns(meta_model))
            parameter.copy_(start)
        torch.testing.assert_close(
            (gradient * direction).sum(),
            (losses[0] - losses[1]) / (2 * step),
            rtol=1e-4,
            atol=1e-7,
            msg=lambda text, name=name: f"{name}: {text}",
        )


@pytest.mark.parametrize("entry", ["largest", "smallest"])
def test_single_entries_agree_with_finite_differences(make_model, entry):
    model = make_model("attention", "fast")
    parameters = dict(model.named_parameters())
    gradients = torch.autograd.grad(loss_after_turns(model), list(parameters.values()))
    step = 1e-6
    for (name, parameter), gradient in zip(parameters.items(), gradients, strict=True):
        flat = gradient.abs().flatten()
        place = int(flat.argmax() if entry == "largest" else flat.argmin())
        with torch.no_grad():
            view = parameter.view(-1)
            start, losses = view[place].clone(), []
            for sign in (1, -1):
                view[place] = start + sign * step
                losses.append(loss_after_turns(model))
            view[place] = start
        torch.testing.assert_close(
            gradient.view(-1)[place],
            (losses[0] - losses[1]) / (2 * step),
            rtol=1e-4,
            atol=1e-7,
            msg=lambda text, name=name: f"{name}: {text}",
        )


def test_the_second_write_passes_a_gradient_to_the_first(make_model):
    model = make_model("attention", "fast")
    name = "memory.delta.fast.down"
    first, second = draw_tokens(1, 5, seed=1), draw_tokens(1, 5, seed=2)
    with torch.no_grad():
        state = model.end_turn(model(first, learn=True).state)

    def after_second(delta) -> torch.Tensor:
        learned: MemoryState = model(second, state=state.replace({name: delta}), learn=True).state
        return model.end_turn(learned)[name]

    delta = state[name].clone().requires_grad_()
    generator = torch.Generator().manual_seed(0)
    weight, direction = torch.randn(2, *delta.shape, generator=generator, dtype=torch.float64)
    (gradient,) = torch.autograd.grad((weight * after_second(delta)).sum(), delta)
    # Without the way through the gradient of the second write, this would be `weight` alone.
    assert (gradient - weight).abs().amax() > 1e-4
    with torch.no_grad():
        step = 1e-6
        up, down = (after_second(delta + sign * step * direction) for sign in (1, -1))
    numeric = (weight * (up - down)).sum() / (2 * step)
    torch.testing.assert_close((gradient * direction).sum(), numeric, rtol=1e-6, atol=1e-7)


def test_a_detached_state_ends_the_outer_gradient(make_model):
    model = make_model("attention", "fast")
    learned = model.end_turn(model(draw_tokens(1, 5), learn=True).state)
    for state, is_learned in ((learned, True), (learned.detach(), False)):
        loss = model(draw_tokens(1, 3), state=state).logits.sin().sum()
        rate = model.writer.log_rate["fast_down"]
        (gradient,) = torch.autograd.grad(loss, rate, allow_unused=True)
        assert (gradient is not None) is is_learned
