"""Limiting cases: where two rules must be one, they are equal."""

import math
from itertools import pairwise

import pytest
import torch

from nestling import rules
from nestling.rules import (
    DeepMomentumRule,
    DeltaGradientDescentRule,
    DeltaMomentumRule,
    GradientDescentRule,
    HigherOrderMomentumRule,
    M3Rule,
    MomentumRule,
    MuonRule,
)
from nestling.rules.base import Workspace
from nestling.rules.deep_momentum import first_layer
from nestling.rules.delta_momentum import spectral_norm
from nestling.rules.newton_schulz import POLAR, newton_schulz

SHAPES = [(5, 7), (7, 5), (4,)]


def path(rule, steps=6, shape=(5, 7), dtype=torch.float64, seed=0):
    """The parameter after each of some steps with random gradients."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(shape, generator=generator, dtype=dtype)
    state, found = rule.init({"w": weight}), []
    for _ in range(steps):
        grad = torch.randn(shape, generator=generator, dtype=dtype)
        new, state = rule.update({"w": grad}, state, {"w": weight})
        weight = new["w"]
        found.append(weight)
    return torch.stack(found)


def torch_path(make, steps=6, shape=(5, 7), dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    weight = torch.nn.Parameter(torch.randn(shape, generator=generator, dtype=dtype))
    optimizer, found = make([weight]), []
    for _ in range(steps):
        weight.grad = torch.randn(shape, generator=generator, dtype=dtype)
        optimizer.step()
        found.append(weight.detach().clone())
    return torch.stack(found)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("nesterov", [False, True])
def test_momentum_is_that_of_torch(shape, nesterov):
    torch.testing.assert_close(
        path(MomentumRule(0.1, alpha=0.8, nesterov=nesterov), shape=shape),
        torch_path(lambda p: torch.optim.SGD(p, 0.1, momentum=0.8, nesterov=nesterov), shape=shape),
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_adamw_is_that_of_torch(shape):
    torch.testing.assert_close(
        path(rules.AdamWRule(0.1, weight_decay=0.3, beta1=0.8, beta2=0.95), shape=shape),
        torch_path(
            lambda p: torch.optim.AdamW(p, 0.1, betas=(0.8, 0.95), weight_decay=0.3), shape=shape
        ),
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_preconditioned_momentum_is_rmsprop_of_torch(shape):
    torch.testing.assert_close(
        path(rules.PreconditionedMomentumRule(0.1, alpha=0.7, beta=0.9), shape=shape),
        torch_path(lambda p: torch.optim.RMSprop(p, 0.1, alpha=0.9, momentum=0.7), shape=shape),
    )


@pytest.mark.parametrize("shape", [(6, 9), (9, 6), (8, 8)])
@pytest.mark.parametrize("nesterov", [False, True])
def test_muon_is_that_of_torch(shape, nesterov):
    ours = MuonRule(
        0.1, weight_decay=0.2, nesterov=nesterov, coefficients="quintic", products="bfloat16"
    )
    theirs = torch_path(
        lambda p: torch.optim.Muon(
            p, 0.1, weight_decay=0.2, nesterov=nesterov, adjust_lr_fn="match_rms_adamw"
        ),
        shape=shape,
        dtype=torch.float32,
    )
    # Both run in bfloat16, with the same products in another order.
    torch.testing.assert_close(
        path(ours, shape=shape, dtype=torch.float32), theirs, rtol=0.03, atol=0.01
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (MomentumRule(0.1, alpha=0.0), GradientDescentRule(0.1)),
        (HigherOrderMomentumRule(0.1, order=0.0), MomentumRule(0.1)),
        (DeltaMomentumRule(0.1, delta_rate=0.0), MomentumRule(0.1)),
        (DeepMomentumRule(0.1, memory_rate=0.0), MomentumRule(0.1)),
        (
            DeepMomentumRule(0.1, alpha=0.95, memory_rate=0.0, output="newton_schulz"),
            MuonRule(0.1, nesterov=False),
        ),
    ],
)
@pytest.mark.parametrize("shape", [(5, 7), (7, 5)])
def test_a_rule_contains_the_simpler_one(one, other, shape):
    torch.testing.assert_close(path(one, shape=shape), path(other, shape=shape))


def test_deep_momentum_starts_as_momentum():
    """The MLP is zero until its first write, so its answer is the linear memory's alone."""
    rule = DeepMomentumRule(0.1)
    grad = torch.randn(5, 7)
    state = rule.init_one(grad)
    key = torch.nn.functional.normalize(grad, dim=-1)
    assert not (torch.tanh(key @ state["w_in"].mT) @ state["w_out"].mT).any()
    linear, _ = MomentumRule(0.1).direction(grad, {"momentum": grad * 0}, grad, None)
    deep, _ = rule.direction(grad, state, grad, None)
    # After its first write the MLP helps a little.
    assert 0 < (deep - linear).norm() < 0.5 * linear.norm()


def deep_objective(rule, grad, momentum, w_in, w_out):
    """Half the mean over rows of |(1 - alpha) M(r) - r|^2, in units of the whole gradient."""
    size, row_size = grad.square().mean().sqrt(), grad.square().mean(-1, keepdim=True).sqrt()
    first = first_layer(rule.hidden, grad.shape[-1]).to(grad) + w_in
    active = torch.tanh(grad / row_size @ first.mT / math.sqrt(grad.shape[-1]))
    answer = momentum + row_size / (1 - rule.alpha) * (active @ w_out.mT)
    missing = ((1 - rule.alpha) * answer - grad) / size
    return missing.square().sum(-1).mean() / 2


def sizes(grad):
    return grad.square().mean(-1, keepdim=True).sqrt(), grad.square().mean().sqrt()


def test_the_deep_memory_lowers_its_own_objective():
    torch.manual_seed(0)
    rule = DeepMomentumRule(0.1, memory_rate=0.05, memory_alpha=1.0)
    grad = torch.randn(12, 16, dtype=torch.float64)
    state, losses = rule.init_one(grad), []
    for _ in range(50):
        w_in, w_out = rule.learned(grad, grad * 0.5, *sizes(grad), state)
        losses.append(deep_objective(rule, grad, grad * 0.5, w_in, w_out).item())
        state = {**state, "w_in": w_in, "w_out": w_out}
    assert all(later < earlier for earlier, later in pairwise(losses))


def test_the_deep_memory_descends_the_gradient_of_its_objective():
    torch.manual_seed(0)
    rule = DeepMomentumRule(0.1, hidden=6, memory_rate=0.05, memory_alpha=0.9)
    grad, momentum = torch.randn(2, 5, 8, dtype=torch.float64)
    w_in = torch.randn(6, 8, dtype=torch.float64, requires_grad=True)
    w_out = torch.randn(8, 6, dtype=torch.float64, requires_grad=True)
    slopes = torch.autograd.grad(deep_objective(rule, grad, momentum, w_in, w_out), [w_in, w_out])
    new = rule.learned(grad, momentum, *sizes(grad), {"w_in": w_in, "w_out": w_out})
    for old, slope, found in zip((w_in, w_out), slopes, new, strict=True):
        torch.testing.assert_close(found, 0.9 * old - 0.05 * slope)


@pytest.mark.parametrize("name", list(rules.RULES))
def test_a_rule_in_place_gives_the_same_numbers(name):
    torch.manual_seed(0)
    params, inputs = torch.randn(3, 6, 4), torch.randn(3, 5, 4)
    grads = torch.randn(4, 3, 6, 4)
    kept, owned = (
        rules.RULES[name](0.1, weight_decay=0.1, workspace=workspace)
        for workspace in (None, Workspace())
    )
    weight, state = params, kept.init_one(params)
    own_weight, own_state = params.clone(), owned.init_one(params)
    for grad in grads:
        before = {leaf: value.clone() for leaf, value in state.items()}
        new_weight, new_state = kept.update_one(grad, state, weight, inputs)
        for leaf, value in before.items():
            assert torch.equal(state[leaf], value), "the pure form writes over nothing"
        weight, state = new_weight, new_state
        own_weight, own_state = owned.update_one(grad, own_state, own_weight, inputs)
        assert torch.equal(weight, own_weight)
        for leaf, value in state.items():
            assert torch.equal(value, own_state[leaf]), leaf
    assert torch.equal(grads, grads.clone()) and not torch.equal(weight, params)


@pytest.mark.parametrize("nesterov", [False, True])
def test_m3_of_one_scale_is_its_plain_loop(nesterov):
    """No slow memory: normalised, orthogonalised momentum with a second moment (AdaMuon)."""
    rule = M3Rule(0.1, slow=0.0, period=0, nesterov=nesterov, weight_decay=0.5)
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(5, 7, generator=generator, dtype=torch.float64)
    fast, square = torch.zeros_like(weight), torch.zeros_like(weight)
    expected = []
    for step in range(1, 7):
        grad = torch.randn(5, 7, generator=generator, dtype=torch.float64)
        fast = 0.95 * fast + 0.05 * grad
        o = newton_schulz(0.95 * fast + 0.05 * grad if nesterov else fast, POLAR)
        square = 0.99 * square + 0.01 * o * o
        u = o / ((square / (1 - 0.99**step)).sqrt() + 1e-8)
        weight = weight * (1 - 0.05) - 0.1 * 0.2 * math.sqrt(35) * u / u.norm()
        expected.append(weight)
    torch.testing.assert_close(path(rule), torch.stack(expected))


def test_m3_with_weight_zero_ignores_its_slow_memory():
    torch.testing.assert_close(
        path(M3Rule(0.1, slow=0.0, period=2)), path(M3Rule(0.1, slow=0.7, period=0))
    )


def test_literal_m3_is_algorithm_1():
    rule = M3Rule(0.1, mode="literal", period=2, slow=0.3, beta1=0.9, beta2=0.5, beta3=0.7)
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(5, 7, generator=generator, dtype=torch.float64)
    m1, m2, v, chunk, o2 = (torch.zeros_like(weight) for _ in range(5))
    expected = []
    for step in range(6):
        if step and step % 2 == 0:
            m2 = m2 + 0.7 * chunk
            o2, chunk = newton_schulz(m2), torch.zeros_like(chunk)
        grad = torch.randn(5, 7, generator=generator, dtype=torch.float64)
        m1, v, chunk = m1 + 0.9 * grad, v + 0.5 * grad * grad, chunk + grad
        weight = weight - 0.1 * (newton_schulz(m1) + 0.3 * o2) / (v.sqrt() + 1e-8)
        expected.append(weight)
    torch.testing.assert_close(path(rule), torch.stack(expected))


@pytest.mark.parametrize("count", [1, 3, 12])
def test_dgd_is_the_argmin_of_its_objective(count):
    torch.manual_seed(0)
    weight = torch.randn(4, 6, dtype=torch.float64)
    x, slope = torch.randn(count, 6).double(), torch.randn(count, 4).double()
    rate, scale = 0.7, 1.3
    grad = slope.mT @ x
    rule = DeltaGradientDescentRule(rate, scale=scale)
    new, _ = rule.update({"w": grad}, {}, {"w": weight}, {"w": x})
    # The objective is quadratic, so that one Newton step of its numeric form is its argmin.
    found = torch.zeros_like(weight, requires_grad=True)

    def objective(w):
        fit = (w @ x.mT + scale * slope.mT).square().sum() / 2
        return fit + (w - weight).square().sum() / (2 * rate)

    flat = torch.autograd.functional.hessian(objective, found).view(24, 24)
    descent = torch.autograd.grad(objective(found), found)[0].flatten()
    argmin = -torch.linalg.solve(flat, descent).view(4, 6)
    assert (new["w"] - argmin).abs().max() < 1e-9


def test_dgd_of_one_input_is_the_closed_form():
    torch.manual_seed(0)
    weight, x, slope = torch.randn(4, 6).double(), torch.randn(1, 6).double(), torch.randn(4, 1)
    slope = slope.double()
    rate = 0.7
    r = rate / (1 + rate * x.square().sum())
    expected = weight - r * (weight @ x.mT) @ x - r * slope @ x
    new, _ = DeltaGradientDescentRule(rate).update_one(slope @ x, {}, weight, x)
    torch.testing.assert_close(new, expected)


def test_dgd_becomes_gradient_descent():
    torch.manual_seed(0)
    weight, x, grad = torch.randn(4, 6).double(), torch.randn(3, 6).double(), torch.randn(4, 6)
    dgd, _ = DeltaGradientDescentRule(1e-9, scale=1e8).update_one(grad.double(), {}, weight, x)
    plain, _ = GradientDescentRule(0.1).update_one(grad.double(), {}, weight)
    torch.testing.assert_close(dgd, plain, rtol=0, atol=1e-6)


@pytest.mark.parametrize("shape", [(64, 256), (256, 64), (3, 48, 128), (32, 33), (128, 8)])
@pytest.mark.parametrize("condition", [None, 10.0, 100.0])
def test_newton_schulz_brings_singular_values_near_one(shape, condition):
    torch.manual_seed(0)
    x = torch.randn(shape)
    if condition is not None:
        u, s, v = torch.linalg.svd(x, full_matrices=False)
        x = u @ (torch.logspace(0, -math.log10(condition), s.shape[-1])[:, None] * v)
    for dtype in (torch.float32, torch.bfloat16):
        found = torch.linalg.svdvals(newton_schulz(x, dtype=dtype))
        # Below a thousandth of the norm five steps are not enough; nothing here is.
        assert torch.linalg.svdvals(x).min() > 1e-3 * torch.linalg.matrix_norm(x).max()
        assert found.min() > 0.7
        assert found.max() < 1.2


def test_newton_schulz_leaves_zero_and_treats_transposes_alike():
    x = torch.randn(4, 6, dtype=torch.float64)
    assert not newton_schulz(torch.zeros(4, 6)).any()
    torch.testing.assert_close(newton_schulz(x.mT), newton_schulz(x).mT)


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e6])
def test_the_deep_memory_survives_a_gradient_of_zeros(scale):
    torch.manual_seed(0)
    rule, weight = DeepMomentumRule(0.1), torch.randn(16, 16)
    state = rule.init_one(weight)
    for _ in range(60):
        weight, state = rule.update_one(torch.randn(16, 16) * scale, state, weight)
    for _ in range(3):
        weight, state = rule.update_one(torch.zeros(16, 16), state, weight)
    assert all(value.isfinite().all() for value in (weight, *state.values()))


def test_where_deep_momentum_starts_is_the_same_everywhere():
    plain = first_layer(11, 13)
    first_layer.cache_clear()
    try:
        torch.set_default_dtype(torch.float64)
        assert torch.equal(first_layer(11, 13), plain)
    finally:
        torch.set_default_dtype(torch.float32)


def test_no_matrix_hides_its_size_from_the_power_iteration():
    # The square of the columns' lengths is orthogonal to this one.
    assert spectral_norm(torch.tensor([[1.0, -1.0]])).item() == pytest.approx(math.sqrt(2))
    torch.manual_seed(0)
    x = torch.randn(20, 64, 64)
    ratio = spectral_norm(x)[:, 0, 0] / torch.linalg.matrix_norm(x, 2)
    assert float(ratio.max()) <= 1.0001 and float(ratio.min()) > 0.85


def test_delta_momentum_learns_from_inputs_of_plus_and_minus_one():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
    optimizer = rules.DeltaMomentum(model.parameters(), lr=0.05)
    x = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    for step in range(40):
        row = x[step % 4]
        optimizer.zero_grad()
        (model(row) - row.prod()).square().sum().backward()
        optimizer.step()
    assert all(float(weight.detach().abs().max()) < 100 for weight in model.parameters())


@pytest.mark.parametrize("name", ["adamw", "m3"])
def test_the_start_of_an_average_is_not_lost_in_half_precision(name):
    rule, moved = rules.RULES[name](rate=0.1), {}
    for dtype in (torch.float32, torch.bfloat16):
        weight = torch.zeros(2, 2, dtype=dtype)
        state = rule.init_one(weight)
        for _ in range(3):
            grad = torch.tensor([[1.0, 0.0], [2.0, -1.0]], dtype=dtype)
            weight, state = rule.update_one(grad, state, weight, None)
        moved[dtype] = weight.float()
    torch.testing.assert_close(*moved.values(), rtol=0.1, atol=0.02)
    assert float(moved[torch.bfloat16].abs().max()) > 0.05


@pytest.mark.parametrize("rows", [2, 5])
def test_delta_gradient_descent_solves_in_half_precision(rows):
    torch.manual_seed(0)
    grad, weight, inputs = torch.randn(3, 4), torch.randn(3, 4), torch.randn(rows, 4)
    rule = rules.RULES["delta_gradient_descent"](rate=0.1)
    exact, _ = rule.update_one(grad, {}, weight, inputs)
    half, _ = rule.update_one(grad.bfloat16(), {}, weight.bfloat16(), inputs.bfloat16())
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), exact, rtol=0.05, atol=0.05)
