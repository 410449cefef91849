"""The checks that memory mixers share."""

from __future__ import annotations


def head_width(hidden_size: int, num_heads: int, chunk_size: int) -> int:
    """Width of a head.

    Raises:
        ValueError: the heads do not divide the width, or a chunk holds no token.
    """
    if num_heads < 1 or hidden_size < 1 or hidden_size % num_heads:
        raise ValueError(
            f"hidden_size {hidden_size} does not split into {num_heads} heads:"
            " make it a multiple of num_heads"
        )
    if chunk_size < 1:
        raise ValueError(f"chunk_size is {chunk_size}: it must be at least 1; 64 is usual")
    return hidden_size // num_heads
