"""The outer form: what holds for every optimizer of PyTorch holds for these."""

import copy
import pickle

import pytest
import torch
from torch import nn

from nestling import rules
from nestling.rules import LayerInputs, Rule, as_optimizer, parameter_groups

NAMES = [
    "GradientDescent",
    "Momentum",
    "HigherOrderMomentum",
    "PreconditionedMomentum",
    "AdamW",
    "DeltaMomentum",
    "DeepMomentum",
    "DeltaGradientDescent",
    "Muon",
    "M3",
]
OPTIONS = {"M3": {"period": 2}, "DeepMomentum": {"hidden": 4}}


def make_model(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 4))


def make_optimizer(name, model, **options):
    kind = getattr(rules, name)
    if kind.RULE(rate=0.1).needs_inputs:
        options["inputs"] = LayerInputs(model)
    return kind(model.parameters(), **{"lr": 0.02, **OPTIONS.get(name, {}), **options})


def take_steps(model, optimizer, count, start=0, scheduler=None):
    for step in range(start, start + count):
        generator = torch.Generator().manual_seed(step)
        x = torch.randn(16, 6, generator=generator)
        optimizer.zero_grad()
        loss = (model(x) - x[:, :4].sin()).square().mean()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
    return loss.item()


@pytest.mark.parametrize("name", NAMES)
def test_a_few_steps_lower_the_loss(name):
    model = make_model()
    first = take_steps(copy.deepcopy(model), torch.optim.SGD(model.parameters(), 0.0), 1)
    assert take_steps(model, make_optimizer(name, model), 60) < 0.8 * first


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_resumed_run_is_the_same_to_the_bit(name, dtype, tmp_path):
    def start():
        model = make_model().to(dtype)
        if dtype == torch.bfloat16:
            model.forward = lambda x, forward=model.forward: forward(x.to(dtype)).float()
        optimizer = make_optimizer(name, model, weight_decay=0.1)
        return model, optimizer, torch.optim.lr_scheduler.StepLR(optimizer, 3, 0.5)

    whole, optimizer, scheduler = start()
    take_steps(whole, optimizer, 7, scheduler=scheduler)
    half, optimizer, scheduler = start()
    take_steps(half, optimizer, 4, scheduler=scheduler)
    torch.save(
        [half.state_dict(), optimizer.state_dict(), scheduler.state_dict()], tmp_path / "state"
    )
    resumed, optimizer, scheduler = start()
    saved = torch.load(tmp_path / "state", weights_only=True)
    for part, values in zip((resumed, optimizer, scheduler), saved, strict=True):
        part.load_state_dict(values)
    take_steps(resumed, optimizer, 3, start=4, scheduler=scheduler)
    for one, other in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("name", NAMES)
def test_the_optimizer_is_the_rule(name):
    """The outer form moves a matrix exactly as the pure pair does."""
    torch.manual_seed(0)
    weight, x, slope = torch.randn(5, 7), torch.randn(3, 7), torch.randn(3, 5)
    layer = nn.Linear(7, 5, bias=False)
    layer.weight.data.copy_(weight)
    optimizer = make_optimizer(name, layer, weight_decay=0.3)
    rule = optimizer.RULE(rate=0.02, weight_decay=0.3, **OPTIONS.get(name, {}))
    state = rule.init({"w": weight})
    for _ in range(5):
        optimizer.zero_grad()
        (layer(x) * slope).sum().backward()
        optimizer.step()
        new, state = rule.update(
            {"w": slope.mT @ x}, state, {"w": weight}, {"w": x / len(x) ** 0.5}
        )
        weight = new["w"]
        torch.testing.assert_close(layer.weight.data, weight)


def test_momentum_and_adamw_are_those_of_torch_in_a_loop():
    for ours, theirs in (
        (rules.Momentum, lambda p: torch.optim.SGD(p, 0.02, momentum=0.9)),
        (rules.AdamW, lambda p: torch.optim.AdamW(p, 0.02, weight_decay=0.0)),
    ):
        one, other = make_model(), make_model()
        take_steps(one, ours(one.parameters(), lr=0.02), 10)
        take_steps(other, theirs(other.parameters()), 10)
        torch.testing.assert_close(one.state_dict(), other.state_dict())


def test_vectors_and_embeddings_go_to_adamw():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(10, 6)
            self.inner = make_model()
            self.head = nn.Linear(4, 10, bias=False)

    torch.manual_seed(0)
    model = Model()
    groups = parameter_groups(model, weight_decay=0.1)
    assert [len(group["params"]) for group in groups] == [2, 4]
    assert groups[0]["weight_decay"] == 0.1
    optimizer = rules.Muon(groups, lr=0.01)
    reference = torch.optim.AdamW(
        [copy.deepcopy(model.embedding.weight)], 0.01, betas=(0.9, 0.95), weight_decay=0.0
    )
    weight = reference.param_groups[0]["params"][0]
    for seed in range(3):
        torch.manual_seed(seed)
        for parameter in model.parameters():
            parameter.grad = torch.randn_like(parameter)
        weight.grad = model.embedding.weight.grad.clone()
        optimizer.step()
        reference.step()
    torch.testing.assert_close(model.embedding.weight.data, weight.data)
    assert set(optimizer.state[model.inner[0].bias]) == {"mean", "square", "step"}
    assert set(optimizer.state[model.inner[0].weight]) == {"momentum"}


def test_a_kernel_of_a_convolution_is_read_as_a_matrix():
    layer = nn.Conv1d(3, 4, 5, bias=False)
    matrix = nn.Parameter(layer.weight.detach().clone().flatten(1))
    one, other = rules.Muon([layer.weight], lr=0.1), rules.Muon([matrix], lr=0.1)
    for _ in range(2):
        layer.weight.grad = torch.randn_like(layer.weight)
        matrix.grad = layer.weight.grad.flatten(1)
        one.step()
        other.step()
    torch.testing.assert_close(layer.weight.flatten(1), matrix)


def small_steps_in_half(count):
    """A parameter of ones in bfloat16 after steps of 1e-4, and its optimizer."""
    weight = nn.Parameter(torch.ones(4, 4, dtype=torch.bfloat16))
    optimizer = rules.Momentum([weight], lr=1e-4, alpha=0.0)
    for _ in range(count):
        weight.grad = torch.ones_like(weight)
        optimizer.step()
    return weight, optimizer


def test_half_precision_parameters_do_not_lose_small_steps():
    weight, _ = small_steps_in_half(100)
    # 100 steps of 1e-4; each alone is too small for bfloat16 near one.
    assert weight.float().mean().item() == pytest.approx(0.99, abs=0.004)
    assert weight.dtype == torch.bfloat16


def test_what_others_write_into_a_half_precision_parameter_stays():
    weight, optimizer = small_steps_in_half(10)
    with torch.no_grad():
        weight[:2] = 0.5
    weight.grad = torch.zeros_like(weight)
    optimizer.step()
    assert bool((weight[:2] == 0.5).all())
    # The rest keeps what it had gathered: ten steps are too few to be seen.
    master = optimizer.state[weight]["master"]
    assert master[2:].mean().item() == pytest.approx(0.999, abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e20])
def test_bad_gradients_change_nothing(name, bad):
    model = make_model()
    optimizer = make_optimizer(name, model)
    take_steps(model, optimizer, 2)
    before = copy.deepcopy([model.state_dict(), optimizer.state_dict()["state"]])
    model(torch.randn(3, 6)).sum().backward()
    model[2].weight.grad[0, 0] = bad
    with pytest.raises(FloatingPointError, match="nothing was changed"):
        optimizer.step()
    optimizer.nonfinite = "skip"
    optimizer.step()
    assert optimizer.skipped == 1
    now = [model.state_dict(), optimizer.state_dict()["state"]]
    torch.testing.assert_close(now, before, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda p: rules.M3(p, beta4=0.1), "M3 has no option beta4; it has .*beta1"),
        (lambda p: rules.M3(p, mode="exact"), "mode is 'ema' or 'literal', got 'exact'"),
        (lambda p: rules.Momentum(p, alpha=1.5), "alpha is 0 or more and below 1, got 1.5"),
        (lambda p: rules.Muon(p, lr=-1.0), "rate is 0 or more, got -1"),
        (lambda p: rules.Muon(p, coefficients="best"), "coefficients is one of .*polar"),
        (lambda p: rules.Muon(p, products="int8"), "products is 'bfloat16'"),
        (lambda p: rules.Muon(p, nonfinite="hope"), "nonfinite is 'error' or 'skip'"),
        (lambda p: rules.Muon([{"params": p, "lrr": 1.0}]), "Muon has no option lrr"),
        (lambda p: rules.DeepMomentum(p, output="cubic"), "output is 'linear'"),
        (lambda p: rules.DeltaMomentum(p, norm="nuclear"), "norm is 'spectral'"),
        (lambda p: rules.AdamW(p, eps=-1.0), "eps is 0 or more, got -1"),
        (lambda p: rules.M3(p, adamw_betas=(1.5, 0.9)), "beta1 is 0 or more and below 1, got 1.5"),
        (lambda p: rules.M3(p, adamw_scale=-1.0), "rate is 0 or more, got -"),
    ],
)
def test_bad_options_are_explained(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make(list(make_model().parameters()))


def test_sparse_gradients_are_refused():
    embedding = nn.Embedding(10, 4, sparse=True)
    embedding(torch.tensor([1, 2])).sum().backward()
    with pytest.raises(ValueError, match="does not take sparse gradients"):
        rules.Muon(embedding.parameters()).step()


def test_missing_inputs_are_named_before_anything_changes():
    model = make_model()
    before = copy.deepcopy(model.state_dict())
    optimizer = rules.DeltaGradientDescent(model.parameters(), lr=0.1)
    model(torch.randn(3, 6)).sum().backward()
    with pytest.raises(ValueError, match=r"no inputs for the parameter of shape \[8, 6\]"):
        optimizer.step()
    torch.testing.assert_close(model.state_dict(), before)


def test_layer_inputs_are_kept_for_one_step_and_the_hooks_can_go():
    model = make_model()
    x = torch.randn(2, 3, 6)
    with LayerInputs(model) as inputs:
        with torch.no_grad():
            model(x)
        assert model[0].weight not in inputs
        model(x)
        model(x)
        rows = inputs.rows(model[0].weight)
        torch.testing.assert_close(rows, torch.cat([x.view(6, 6)] * 2) / 12**0.5)
        inputs.clear()
        assert model[0].weight not in inputs
    model(x)
    assert model[0].weight not in inputs
    with pytest.raises(ValueError, match=r"no nn\.Linear layer"):
        LayerInputs(nn.Tanh())


def test_a_rule_of_ones_own_becomes_an_optimizer():
    class SignRule(Rule):
        def direction(self, grad, state, param, inputs):
            return grad.sign(), {}

    model = make_model()
    before = model[0].weight.detach().clone()
    optimizer = as_optimizer(SignRule)(model.parameters(), lr=0.5)
    model(torch.randn(3, 6)).sum().backward()
    optimizer.step()
    assert type(optimizer).__name__ == "Sign"
    torch.testing.assert_close(model[0].weight, before - 0.5 * model[0].weight.grad.sign())


def test_a_parameter_of_any_shape_has_one_count():
    parameter = nn.Parameter(torch.randn(2, 3, 4, 5))
    parameter.grad = torch.randn_like(parameter)
    optimizer = rules.AdamW([parameter], lr=0.1)
    other = torch.optim.AdamW([parameter.detach().clone().requires_grad_()], lr=0.1)
    other.param_groups[0]["params"][0].grad = parameter.grad
    other.param_groups[0]["weight_decay"] = 0.0
    optimizer.step()
    other.step()
    assert optimizer.state[parameter]["step"].shape == ()
    torch.testing.assert_close(parameter.detach(), other.param_groups[0]["params"][0].detach())


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))])
def test_an_optimizer_can_be_copied(copied):
    torch.manual_seed(0)
    weight = nn.Parameter(torch.randn(3, 2))
    optimizer = rules.AdamW([weight], lr=0.1, nonfinite="skip")
    weight.grad = torch.randn(3, 2)
    optimizer.step()
    other = copied(optimizer)
    (twin,) = other.param_groups[0]["params"]
    twin.grad = weight.grad.clone()
    for one in (optimizer, other):
        one.step()
    assert torch.equal(weight, twin) and other.nonfinite == "skip"
    with pytest.raises(ValueError, match="has no option"):
        other.add_param_group({"params": [nn.Parameter(torch.zeros(1))], "weight_decoy": 1})


def test_layer_inputs_keep_double_precision():
    layer = nn.Linear(2, 3).double()
    with LayerInputs(layer) as inputs:
        layer(torch.randn(4, 2, dtype=torch.float64))
        assert inputs.rows(layer.weight).dtype == torch.float64


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(0, 4), (4, 0), (0,)])
def test_an_empty_parameter_is_left_alone(name, shape):
    model, other = make_model(), make_model()
    model.shard = nn.Parameter(torch.zeros(shape))
    model.shard.grad = torch.zeros(shape)
    optimizer, alone = make_optimizer(name, model), make_optimizer(name, other)
    for one, its in ((model, optimizer), (other, alone)):
        one(torch.ones(3, 6)).sum().backward()
        its.step()
    torch.testing.assert_close(model[0].weight, other[0].weight, rtol=0, atol=0)


def test_a_rule_takes_a_matrix_without_rows():
    empty = torch.zeros(0, 4)
    rule = rules.DeltaMomentumRule(rate=0.1)
    new, _ = rule.update_one(empty, rule.init_one(empty), empty, None)
    assert new.shape == empty.shape
