"""The outer form: any rule as an ordinary `torch.optim.Optimizer`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from nestling.rules.base import Rule, Workspace
from nestling.rules.inputs import LayerInputs
from nestling.rules.momentum import AdamWRule

_ADAMW = {"adamw": False, "adamw_scale": 1.0, "adamw_betas": (0.9, 0.95), "adamw_eps": 1e-8}
_HEADS = ("head", "lm_head", "output")


class RuleOptimizer(torch.optim.Optimizer):
    """A rule for every parameter, in any PyTorch loop.

    A rule of matrices leaves vectors and scalars to AdamW, as the field does; so it does with
    every group that has `adamw=True` (see `parameter_groups` for embeddings and heads).
    Parameters of more than two dimensions are read as matrices `[first, rest]`. Parameters in
    bfloat16 or float16 are computed in float32, with a float32 copy in the state; what others have
    written into a parameter since the last step counts.

    Args:
        params: parameters or groups; a group may set every option for itself.
        lr: the rate of the rule.
        weight_decay: decoupled.
        inputs: the `LayerInputs` of the model, for rules that need them.
        nonfinite: what NaN, Inf or a norm that is not finite in a gradient does: "error" raises
            before anything is changed, "skip" leaves everything as it is and counts in `skipped`.
        adamw_scale: AdamW's rate, in units of lr; adamw_betas, adamw_eps: of AdamW.
        options: the fields of the rule.

    Raises:
        ValueError: an unknown option, a value out of range, sparse or complex gradients, inputs
            that a rule needs and does not get. FloatingPointError: a gradient as `nonfinite` says.
    """

    RULE: ClassVar[type[Rule]]

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        *,
        inputs: LayerInputs | None = None,
        nonfinite: str = "error",
        **options: Any,
    ) -> None:
        if nonfinite not in ("error", "skip"):
            raise ValueError(f"nonfinite is 'error' or 'skip', got {nonfinite!r}")
        self.inputs, self.nonfinite, self.skipped = inputs, nonfinite, 0
        rule = self.RULE(rate=lr)
        own = {name: getattr(rule, name) for name in self.RULE.option_names()}
        self._known = {"params", "lr", "initial_lr", "max_lr", "min_lr", *own, *_ADAMW}
        self._check_names(options)
        self.workspace = Workspace()
        super().__init__(params, {"lr": lr, **own, **_ADAMW, **options})

    def _check_names(self, names: Iterable[str]) -> None:
        if unknown := sorted(set(names) - self._known):
            raise ValueError(
                f"{type(self).__name__} has no option {', '.join(unknown)}; "
                f"it has {', '.join(sorted(self._known - {'params'}))}"
            )

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group; its options are checked like those of the optimizer."""
        # A scheduler may keep notes of its own, but nothing like "weight_decoy" is meant.
        self._check_names(name for name in param_group if name != "param_names")
        super().add_param_group(param_group)
        try:
            self._rule(self.param_groups[-1])
            self._adamw(self.param_groups[-1])
        except ValueError:
            self.param_groups.pop()
            raise

    def _rule(self, group: dict[str, Any]) -> Rule:
        options = {name: group[name] for name in self.RULE.option_names()}
        return self.RULE(rate=group["lr"], workspace=self.workspace, **options)

    def _adamw(self, group: dict[str, Any]) -> AdamWRule:
        beta1, beta2 = group["adamw_betas"]
        return AdamWRule(
            rate=group["lr"] * group["adamw_scale"],
            weight_decay=group["weight_decay"],
            beta1=beta1,
            beta2=beta2,
            eps=group["adamw_eps"],
            workspace=self.workspace,
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """Write every parameter that has a gradient; returns what `closure` gives."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        work = []
        for group in self.param_groups:
            rule, adamw = self._rule(group), self._adamw(group)
            for param in group["params"]:
                # A parameter may be empty, as shards are: there is nothing to write.
                if param.grad is None or not param.numel():
                    continue
                plain = group["adamw"] or (self.RULE.MATRICES_ONLY and param.dim() < 2)
                work.append((param, adamw if plain else rule))
        if self._check(work):
            for param, rule in work:
                self._write(param, rule)
        if self.inputs is not None:
            self.inputs.clear()
        return loss

    def _check(self, work: list[tuple[Tensor, Rule]]) -> bool:
        """Whether there is a step to make; raises before anything is changed."""
        grads = []
        for param, rule in work:
            grad = param.grad
            assert grad is not None
            if grad.is_sparse or grad.is_complex():
                kind = "sparse" if grad.is_sparse else "complex"
                raise ValueError(
                    f"{type(self).__name__} does not take {kind} gradients (parameter of shape "
                    f"{list(param.shape)}); use dense, real ones, e.g. Embedding(sparse=False)"
                )
            if rule.needs_inputs and (self.inputs is None or param not in self.inputs):
                raise ValueError(
                    f"{type(self).__name__} has no inputs for the parameter of shape "
                    f"{list(param.shape)}: pass inputs=LayerInputs(model) before the forward pass, "
                    "and put what is no nn.Linear, or never called as one (the MLPs of Hope's "
                    "memory), into a group with adamw=True"
                )
            grads.append(grad)
        if not grads:
            return False
        # One norm is quick; where it is infinite, each may still be finite.
        if bool(torch.isfinite(torch.nn.utils.get_total_norm(grads))):
            return True
        # Second moments hold the squares of what is finite.
        if all(bool(torch.isfinite(torch.linalg.vector_norm(grad))) for grad in grads):
            return True
        if self.nonfinite == "skip":
            self.skipped += 1
            return False
        raise FloatingPointError(
            "a gradient holds NaN, Inf or numbers too large to be squared, and nothing was "
            "changed: lower the rate, clip the gradients, or pass nonfinite='skip' to leave such "
            "steps out"
        )

    def _write(self, param: Tensor, rule: Rule) -> None:
        state, grad = self.state[param], param.grad
        assert grad is not None
        half = param.dtype in (torch.bfloat16, torch.float16)
        if half:
            state["master"] = _up_to_date(state.get("master"), param)
        weight = state["master"] if half else param.detach()
        is_matrix = rule.MATRICES_ONLY and param.dim() > 2
        shape = (param.shape[0], -1) if is_matrix else param.shape
        weight, grad = weight.reshape(shape), grad.to(weight.dtype).reshape(shape)
        leaves = {name: value for name, value in state.items() if name != "master"}
        if not leaves:
            leaves = rule.init_one(weight)
            if "step" in leaves:
                # A parameter is one memory, of whatever shape. Its count stays on the CPU, so that
                # reading it never waits for the device.
                leaves["step"] = torch.zeros((), dtype=torch.int64)
        rows = self.inputs.rows(param) if rule.needs_inputs and self.inputs is not None else None
        new, leaves = rule.update_one(grad, leaves, weight, rows)
        state.update(leaves)
        if half:
            state["master"] = new.reshape(param.shape)
        if new.data_ptr() != param.data_ptr():
            param.copy_(new.reshape(param.shape))

    def __getstate__(self) -> dict[str, Any]:
        """What a copy is made of; layer inputs belong to a model and stay with it."""
        own = ("nonfinite", "skipped", "_known")
        return {**super().__getstate__(), **{name: getattr(self, name) for name in own}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if not hasattr(self, "workspace"):
            self.workspace, self.inputs = Workspace(), None

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a saved state, to the bit; each tensor keeps the dtype it was saved with."""
        super().load_state_dict(state_dict)
        saved = state_dict["state"]
        numbers = (number for group in state_dict["param_groups"] for number in group["params"])
        params = (param for group in self.param_groups for param in group["params"])
        for number, param in zip(numbers, params, strict=True):
            for name, value in saved.get(number, {}).items():
                device = "cpu" if name == "step" else param.device
                self.state[param][name] = value.detach().clone().to(device)


def _up_to_date(master: Tensor | None, param: Tensor) -> Tensor:
    """The float32 copy of a parameter, which may have been written by others since."""
    if master is None:
        return param.detach().float()
    return torch.where(param == master.to(param.dtype), master, param.float())


def as_optimizer(rule: type[Rule]) -> type[RuleOptimizer]:
    """The outer form of a rule of one's own: `as_optimizer(MyRule)(model.parameters(), lr=0.1)`."""
    return type(rule.__name__.removesuffix("Rule"), (RuleOptimizer,), {"RULE": rule})


def parameter_groups(model: nn.Module, *, weight_decay: float = 0.0) -> list[dict[str, Any]]:
    """Groups as the field makes them: matrices by the rule with decay, the rest by AdamW without.

    The rest are vectors, scalars, embeddings and output layers (by the names "head", "lm_head" and
    "output", or tied to an embedding). Frozen parameters are left out.
    """
    kept_back = {
        id(param)
        for name, module in model.named_modules()
        if isinstance(module, nn.Embedding) or name.rpartition(".")[2] in _HEADS
        for param in module.parameters()
    }
    matrices, rest = [], []
    for param in model.parameters():
        if param.requires_grad:
            (rest if param.dim() < 2 or id(param) in kept_back else matrices).append(param)
    groups = [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": rest, "weight_decay": 0.0, "adamw": True},
    ]
    return [group for group in groups if group["params"]]
