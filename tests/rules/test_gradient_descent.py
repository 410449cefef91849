import torch

from nestling.rules import RULES
from nestling.rules import GradientDescentRule as GradientDescent


def test_it_is_found_by_name():
    assert RULES["gradient_descent"](0.5) == GradientDescent(0.5)


def test_it_equals_the_optimizer_of_torch():
    torch.manual_seed(0)
    weight, grad = torch.randn(3, 4), torch.randn(3, 4)
    reference = weight.clone().requires_grad_()
    reference.grad = grad.clone()
    torch.optim.SGD([reference], lr=0.3).step()
    new, _ = GradientDescent(0.3).update({"w": grad}, {}, {"w": weight})
    torch.testing.assert_close(new["w"], reference.detach())


def test_it_solves_the_proximal_step_it_names():
    """`<W, g> + |W - W_t|^2 / (2 rate)` is smallest at the new parameter."""
    torch.manual_seed(0)
    weight, grad = torch.randn(2, 3, 4, dtype=torch.float64).unbind()
    rate = 0.7
    new = GradientDescent(rate).update({"w": grad}, {}, {"w": weight})[0]["w"].requires_grad_()
    objective = (new * grad).sum() + (new - weight).square().sum() / (2 * rate)
    slope = torch.autograd.grad(objective, new)[0]
    torch.testing.assert_close(slope, torch.zeros_like(slope), rtol=0, atol=1e-12)


def test_a_batch_is_many_independent_memories():
    torch.manual_seed(0)
    weight, grad = torch.randn(3, 2, 4), torch.randn(3, 2, 4)
    rate = torch.rand(3, 1, 1)
    together = GradientDescent(rate).update({"w": grad}, {}, {"w": weight})[0]["w"]
    for b in range(3):
        alone = GradientDescent(float(rate[b])).update({"w": grad[b]}, {}, {"w": weight[b]})
        torch.testing.assert_close(together[b], alone[0]["w"])


def test_the_outer_gradient_reaches_rate_gradient_and_parameters():
    weight, grad = torch.ones(2, 2, requires_grad=True), torch.full((2, 2), 3.0, requires_grad=True)
    rate = torch.tensor(0.5, requires_grad=True)
    new, _ = GradientDescent(rate).update({"w": grad}, {}, {"w": weight})
    to_rate, to_grad, to_weight = torch.autograd.grad(new["w"].sum(), [rate, grad, weight])
    assert to_rate.item() == -12
    assert torch.equal(to_grad, torch.full((2, 2), -0.5))
    assert torch.equal(to_weight, torch.ones(2, 2))


def test_it_keeps_no_state_and_changes_nothing_in_place():
    weight, grad = torch.ones(2), torch.ones(2)
    rule = GradientDescent(0.5)
    assert rule.init({"w": weight}) == {}
    assert rule.update({"w": grad}, {}, {"w": weight})[1] == {}
    assert torch.equal(weight, torch.ones(2))
    assert torch.equal(grad, torch.ones(2))


def test_rate_zero_changes_nothing():
    weight = torch.randn(3, 4)
    new, _ = GradientDescent(0.0).update({"w": torch.randn(3, 4)}, {}, {"w": weight})
    assert torch.equal(new["w"], weight)
