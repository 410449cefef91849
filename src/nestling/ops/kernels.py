"""Kernels of flash-linear-attention for the matrix memories, where they can run.

They need the extra `fla`, a GPU and half precision; `linear_memory_scan` takes them by itself. In
their memories a row is a key's and a column a value's, ours are turned the other way.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.util import find_spec

import torch
from torch import Tensor

_HALF = (torch.float16, torch.bfloat16)


@cache
def is_installed() -> bool:
    return find_spec("fla") is not None


def usable(values: Tensor) -> bool:
    """Whether a kernel can compute what is read of `values`."""
    return values.is_cuda and values.dtype in _HALF and is_installed()


def linear_memory(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    log_alpha: Tensor,
    beta: Tensor | None,
    memory: Tensor,
) -> tuple[Tensor, Tensor]:
    """Do what `linear_memory_scan` does, with its arguments, in the precision of `values`."""
    chunk_gated_delta_rule = import_module("fla.ops.gated_delta_rule").chunk_gated_delta_rule
    chunk_simple_gla = import_module("fla.ops.simple_gla").chunk_simple_gla
    q, k, v = (x.to(values.dtype).contiguous() for x in (queries, keys, values))
    options = {
        "g": log_alpha.float().contiguous(),
        "scale": 1.0,
        "initial_state": memory.float().mT.contiguous(),
        "output_final_state": True,
    }
    if beta is None:
        y, new = chunk_simple_gla(q, k, v, **options)
    else:
        y, new = chunk_gated_delta_rule(q, k, v, beta=beta.to(v.dtype).contiguous(), **options)
    return y.float(), new.mT
