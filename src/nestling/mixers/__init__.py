"""Mixers move information along the sequence; all share one signature.

    y, new_state = mixer(x, state, lengths)

x [B, T, d] is left-aligned, `lengths` [B] counts its valid tokens, `state` maps the leaves named
by `mixer.state_shapes()` to [B, ...] tensors (all zeros: fresh) or is None (fresh, and none is
wanted).
"""
