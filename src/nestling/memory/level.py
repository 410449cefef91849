"""A level of the continuum memory: when it is written, by which rule, and when emptied."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from numbers import Integral
from typing import Any, Literal, get_args

from torch import Tensor, nn

from nestling.rules import RULES, Rule

WRITABLE = ("gate", "up", "down")
Source = Literal["context", "next_token", "associative", "outer", "sleep"]


def is_whole(value: Any, least: int) -> bool:
    """Whether a value is a whole number that is not less than `least`."""
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= least


@dataclass(frozen=True)
class Level:
    """One MLP of the chain and its speed (NL §3.1).

    What a level is written with, its source (NL §3.3):

    | source        | when                          | what                                         |
    |---------------|-------------------------------|----------------------------------------------|
    | "context"     | every `period` learned tokens | gradient of the next-token loss, through the |
    |               |                               | network above                                |
    | "next_token"  | the same                      | closed form: the level's own key is bound to |
    |               |                               | a projection of the next token (In-Place TTT)|
    | "associative" | the same                      | closed form: the key is bound to a learned   |
    |               |                               | value of the token (Titans, TTT)             |
    | "outer"       | every `period` tokens of      | a step of the optimizer on the weights       |
    |               | training                      | themselves; nothing while reading            |
    | "sleep"       | in sleep alone; the period is | consolidation of what faster levels hold     |
    |               | 0                             |                                              |

    Args:
        name: unique, used in the names of parameters and of the state.
        period: tokens between two writes; 0 means never written while reading (static).
        source: see above.
        rule: update rule by name (`nestling.rules.RULES`).
        rate: inner learning rate at the start of training; it is learned from there.
        rule_options: fields of the rule beside the rate, for example `{"alpha": 0.5}`; what the
            rule names in LEARNED is learned from there, one number for each projection.
        reset: `"never"` keeps the delta when the context is emptied, `"context"` empties it too.
        written: which projections of the MLP carry a delta, of "gate", "up", "down".
        rank: 0 for a full delta, else that of a product of two matrices: `(out + in) rank` numbers
            instead of `out in`.

    Raises:
        ValueError: a value out of range; the message says what is allowed.
    """

    name: str = "fast"
    period: int = 64
    source: Source = "context"
    rule: str = "gradient_descent"
    rate: float = 1.0
    rule_options: Mapping[str, Any] = field(default_factory=dict)
    reset: Literal["never", "context"] = "never"
    written: tuple[str, ...] = ("down",)
    rank: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "written", tuple(self.written))
        object.__setattr__(self, "rule_options", dict(self.rule_options))
        if not self.name.isidentifier():
            raise ValueError(f"a level's name is a plain word such as 'fast', got {self.name!r}")
        if hasattr(nn.ModuleDict(), self.name):
            raise ValueError(f"a level cannot be called {self.name!r}; torch uses that name itself")
        if not is_whole(self.period, 0):
            raise ValueError(
                f"level '{self.name}': period is a whole number, 0 (static) or more, "
                f"got {self.period!r}"
            )
        if not 0 <= self.rate < math.inf:
            raise ValueError(f"level '{self.name}': rate is 0 or more and finite, got {self.rate}")
        if self.reset not in ("never", "context"):
            raise ValueError(
                f"level '{self.name}': reset is 'never' or 'context', got {self.reset!r}"
            )
        if self.has_delta and (not self.written or set(self.written) - set(WRITABLE)):
            raise ValueError(
                f"level '{self.name}': written names some of {WRITABLE}, got {self.written}"
            )
        self._check_source()
        self._check_rule()

    def _check_source(self) -> None:
        if self.source not in get_args(Source):
            raise ValueError(
                f"level '{self.name}': source is one of {get_args(Source)}, got {self.source!r}"
            )
        if self.source == "sleep" and self.period:
            raise ValueError(
                f"level '{self.name}' is written in sleep and has no period; set it to 0, "
                f"got {self.period}"
            )
        if self.source == "sleep" and self.reset == "context":
            raise ValueError(
                f"level '{self.name}' is written in sleep, and a reset with the context would "
                "empty it at the next turn; leave reset at 'never'"
            )
        if self.source == "outer" and not self.period:
            raise ValueError(
                f"level '{self.name}' is written by training and needs a period: the tokens "
                "between two steps"
            )
        if self.is_local and self.written != ("down",):
            raise ValueError(
                f"level '{self.name}': the source '{self.source}' writes ('down',) alone, "
                f"got {self.written}"
            )
        if not is_whole(self.rank, 0):
            raise ValueError(
                f"level '{self.name}': rank is a whole number, 0 (full) or more, got {self.rank!r}"
            )

    def _check_rule(self) -> None:
        if self.rule not in RULES:
            raise ValueError(
                f"level '{self.name}': rule is one of {sorted(RULES)}, got {self.rule!r}"
            )
        rule = RULES[self.rule]
        if unknown := sorted(set(self.rule_options) - set(rule.option_names())):
            raise ValueError(
                f"level '{self.name}': the rule '{self.rule}' has no option {', '.join(unknown)}; "
                f"it has {', '.join(rule.option_names())}"
            )
        try:
            needs_inputs = self.make_rule(self.rate).needs_inputs
        except (ValueError, TypeError) as error:
            raise ValueError(f"level '{self.name}': {error}") from error
        if needs_inputs and (self.rank or self.is_local):
            raise ValueError(
                f"level '{self.name}': the rule '{self.rule}' needs the inputs of a full delta "
                "written through the network; choose rank 0 and the source 'context', or "
                "another rule"
            )

    def make_rule(self, rate: float | Tensor, **learned: Tensor) -> Rule:
        """The rule of this level at a rate, with what is learned in place of the options."""
        return RULES[self.rule](rate=rate, **{**self.rule_options, **learned})

    @property
    def is_written(self) -> bool:
        """Whether it is written while reading."""
        return self.period > 0 and self.source not in ("outer", "sleep")

    @property
    def is_local(self) -> bool:
        """Whether its writes have a closed form that does not go through the network."""
        return self.source in ("next_token", "associative")

    @property
    def has_delta(self) -> bool:
        """Whether a memory state holds a delta of it."""
        return self.is_written or self.source == "sleep"

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "written": list(self.written)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Level:
        known = {item.name for item in fields(cls)}
        unknown = set(values) - known
        if unknown:
            raise ValueError(f"a level has no {sorted(unknown)}; it has {sorted(known)}")
        return cls(**values)
