"""Contract 2: the fast form equals the token loop, in values and in all gradients."""

import math
from functools import partial

import pytest
import torch

from nestling.mixers.attention import Attention

close = partial(torch.testing.assert_close, rtol=1e-9, atol=1e-9)


def draw_tokens(*shape, seed=0):
    return torch.randint(20, shape, generator=torch.Generator().manual_seed(seed))


def rms_norm(x, norm):
    return x / (x.square().mean() + norm.eps).sqrt() * norm.weight


def silu(x):
    return x / (1 + torch.exp(-x))


class NaiveReader:
    """One sequence, one token at a time, as the words of the specification say it."""

    def __init__(self, model):
        self.model, self.memory = model, model.blocks[-1].memory
        self.nested = self.memory.variant == "nested"
        self.levels = dict(self.memory.level_of)
        self.fastest = min(level.period for level in self.levels.values())
        self.delta = {
            (name, part): torch.zeros(shape, dtype=torch.float64).requires_grad_()
            for name in self.levels
            for part, shape in self.memory.delta_shapes(name).items()
        }
        self.gathered = {key: torch.zeros_like(delta) for key, delta in self.delta.items()}
        self.gathered_pairs = dict.fromkeys(self.levels, 0)
        self.waiting = []
        self.last = None
        self.kept = {
            (name, part): model.writer.rule(name, part).init_one(delta)
            for (name, part), delta in self.delta.items()
        }

    def change(self, level, part):
        """What one level adds to a projection."""
        if self.levels[level].rank:
            inner = self.memory.bases[f"{level}_{part}"] + self.delta[level, f"{part}_in"]
            return self.delta[level, f"{part}_out"] @ inner
        return self.delta[level, part]

    def weight(self, name, part):
        weight = getattr(self.memory.levels[name], part).weight
        for level in self.levels if self.nested else (name,):
            if part in self.levels[level].written:
                weight = weight + self.change(level, part)
        return weight

    def chain(self, x):
        """The output of the levels, and what each projection was given."""
        inputs, whole, shares = {}, x, self.memory.shares
        for place, (name, mlp) in enumerate(self.memory.levels.items()):
            n = rms_norm(x, mlp.norm)
            key = silu(self.weight(name, "gate") @ n) * (self.weight(name, "up") @ n)
            key = rms_norm(key, mlp.key_norm)
            inputs |= {(name, "gate"): n, (name, "up"): n, (name, "down"): key}
            added = self.weight(name, "down") @ key
            if shares is None:
                x = x + added
            else:
                whole = whole + shares[place] * added
        return x if shares is None else whole, inputs

    def logits(self, x):
        return self.model.head.weight @ rms_norm(self.chain(x)[0], self.model.norm)

    def strength(self, x):
        linear = self.model.writer.strength
        return 2 / (1 + torch.exp(-(linear.weight[0] @ x + linear.bias[0])))

    def read(self, hidden, token, learn):
        """Answer for one token, then learn it."""
        logits = self.logits(hidden)
        if learn and self.last is not None:
            self.waiting.append((self.last, token))
            if len(self.waiting) == self.fastest:
                self.write()
        self.last = hidden
        return logits

    def write(self):
        """Gradients of all waiting pairs, each on its own, at the deltas of now."""
        # Copies, since a delta of now may depend on another one through an earlier write.
        self.delta = {key: delta.clone() for key, delta in self.delta.items()}
        grads = {key: torch.zeros_like(delta) for key, delta in self.delta.items()}
        learned = [key for key in self.delta if not self.levels[key[0]].is_local]
        for hidden, token in self.waiting:
            logits = self.logits(hidden)
            loss = self.strength(hidden) * (logits.exp().sum().log() - logits[token])
            found = []
            if learned:
                deltas = [self.delta[key] for key in learned]
                found = torch.autograd.grad(loss, deltas, create_graph=True)
            for key, grad in zip(learned, found, strict=True):
                grads[key] = grads[key] + grad
            for name, level in self.levels.items():
                if level.is_local:
                    self.add_local(grads, name, level, hidden, token)
        owner = next(iter(self.memory.levels))
        rows = {
            (name, part): torch.stack(
                [
                    self.strength(h).sqrt() * self.chain(h)[1][owner if self.nested else name, part]
                    for h, _ in self.waiting
                ]
            )
            for name, level in self.levels.items()
            for part in level.written
        }
        faster = None
        for name, level in self.levels.items():
            self.gathered_pairs[name] += len(self.waiting)
            due = level.period == self.fastest or self.gathered_pairs[name] >= level.period
            for part in self.memory.delta_shapes(name):
                taken = self.nested and faster is not None
                grad = -self.delta[faster, part] if taken else grads[name, part]
                self.gathered[name, part] = grad if taken else self.gathered[name, part] + grad
                if due:
                    self.step(name, part, rows.get((name, part)))
                    if taken:
                        self.delta[faster, part] = torch.zeros_like(grad).requires_grad_()
                        kept = self.kept[faster, part]
                        self.kept[faster, part] = {
                            leaf: torch.zeros_like(x) for leaf, x in kept.items()
                        }
            if due:
                self.gathered_pairs[name] = 0
            faster = name
        self.waiting = []

    def add_local(self, grads, name, level, hidden, token):
        """The outer product of an error and a key, and what it is for the factors of a delta."""
        key = self.chain(hidden)[1][name, "down"]
        source = self.model.embedding.weight[token] if level.source == "next_token" else hidden
        unit = source / (source.square().mean() + torch.finfo(source.dtype).eps).sqrt()
        error = -self.model.writer.values[name].weight @ unit
        if level.source == "associative":
            error = error + self.change(name, "down") @ key
        error = self.strength(hidden) * error
        if not level.rank:
            grads[name, "down"] = grads[name, "down"] + torch.outer(error, key)
            return
        inner = self.memory.bases[f"{name}_down"] + self.delta[name, "down_in"]
        outer = self.delta[name, "down_out"]
        of_outer = torch.outer(error, inner @ key)
        grads[name, "down_out"] = grads[name, "down_out"] + of_outer
        grads[name, "down_in"] = grads[name, "down_in"] + torch.outer(outer.T @ error, key)

    def step(self, name, part, rows):
        """Plain gradient descent in its own words; any other rule on this one matrix."""
        delta = self.delta[name, part]
        # A nested level takes over a share of what was learned; a rate is for one unit of a key.
        takes = self.nested and self.levels[name].period > self.fastest
        width = 1 if takes else delta.shape[1]
        rate = self.model.writer.log_rate[f"{name}_{part}"].exp() / width
        grad = self.gathered[name, part]
        if self.levels[name].rule == "gradient_descent":
            self.delta[name, part] = delta - rate * grad
        else:
            rule = self.model.writer.rule(name, part)
            self.delta[name, part], self.kept[name, part] = rule.update_one(
                grad, self.kept[name, part], delta, rows
            )
        self.gathered[name, part] = torch.zeros_like(delta)

    def end_turn(self):
        if self.waiting:
            self.write()
        self.last = None
        for name, level in self.levels.items():
            if level.reset == "context":
                self.gathered_pairs[name] = 0
                for part in self.memory.delta_shapes(name):
                    self.delta[name, part] = torch.zeros_like(
                        self.delta[name, part]
                    ).requires_grad_()
                    self.gathered[name, part] = torch.zeros_like(self.delta[name, part])


def read_naively(model, turns, masks):
    """turns: [B, T] each -> logits of every turn [B, T, V], deltas by (level, part) [B, ...]."""
    readers = [NaiveReader(model) for _ in range(len(turns[0]))]
    logits = []
    for tokens, mask in zip(turns, masks, strict=True):
        lengths = torch.full((len(tokens),), tokens.shape[1])
        hidden, _ = model.below_memory(tokens, model.new_state(len(tokens)), lengths)
        logits.append(
            torch.stack(
                [
                    torch.stack(
                        [
                            reader.read(hidden[b, t], int(tokens[b, t]), bool(mask[b, t]))
                            for t in range(tokens.shape[1])
                        ]
                    )
                    for b, reader in enumerate(readers)
                ]
            )
        )
        if tokens is not turns[-1]:
            for reader in readers:
                reader.end_turn()
    deltas = {key: torch.stack([r.delta[key] for r in readers]) for key in readers[0].delta}
    return logits, deltas


def read_fast(model, turns, masks):
    state, logits = model.new_state(len(turns[0])), []
    for tokens, mask in zip(turns, masks, strict=True):
        reading = model(tokens, state=state, learn=mask)
        logits.append(reading.logits)
        state = reading.state
        if tokens is not turns[-1]:
            state = model.end_turn(state)
    found = model.writer.deltas(state)
    return logits, {(name, part): d for name, parts in found.items() for part, d in parts.items()}


def weighted(tensors):
    """A loss that no symmetry leaves without a gradient."""
    generator = torch.Generator().manual_seed(9)
    return sum((x * torch.randn(x.shape, generator=generator).double()).sum() for x in tensors)


@pytest.mark.parametrize("learned", ["everything", "some"])
def test_reading_and_writing_equal_the_token_loop(model, learned):
    turns = [draw_tokens(2, 11, seed=1), draw_tokens(2, 14, seed=2)]
    masks = [
        torch.ones_like(turn, dtype=torch.bool) if learned == "everything" else turn % 4 != 0
        for turn in turns
    ]
    results, parameters = [], list(model.parameters())
    for read in (read_fast, read_naively):
        logits, deltas = read(model, turns, masks)
        loss = weighted(logits) + weighted(deltas.values())
        slopes = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
        results.append((logits, deltas, slopes))
    still = [key for key, delta in results[1][1].items() if delta.abs().amax() < 1e-3]
    # Nested levels hand over what they hold; an inner factor moves once there is an outer one.
    nested = model.settings.continuum == "nested"
    assert not [key for key in still if not nested and not key[1].endswith("_in")]
    assert len(still) < len(results[1][1])
    close(results[0][0], results[1][0])
    close(results[0][1], results[1][1])
    # Gradients through several writes are large; the tolerance is relative to the largest of each.
    for (name, _), fast, naive in zip(
        model.named_parameters(), results[0][2], results[1][2], strict=True
    ):
        size = float(naive.abs().amax())
        # What a slow level retains counts from its second write on, which may be yet to come;
        # with few learned tokens, so are other writes.
        assert size > 0 or learned == "some" or name.startswith("writer.learned.slow"), name
        # Where all terms cancel (an orthogonal answer has no size to learn) rounding is left.
        size = max(size, 1e-5)
        close(fast / size, naive / size, msg=lambda text, name=name: f"{name}: {text}")


def rotate_naively(x, position, theta):
    """Each pair (first half, second half) is a complex number turned by its own angle."""
    half = len(x) // 2
    turned = [
        complex(x[i], x[half + i]) * complex(math.cos(angle), math.sin(angle))
        for i in range(half)
        for angle in [position * theta ** (-i / half)]
    ]
    return torch.tensor([z.real for z in turned] + [z.imag for z in turned], dtype=x.dtype)


def attend_naively(mixer, x):
    """One sequence x [T, d]; a plain softmax over the window of each token."""
    heads, width = mixer.num_heads, mixer.head_width
    q, k, v = (x @ mixer.qkv.weight.T).detach().view(len(x), 3, heads, width).unbind(1)
    rows = []
    for t in range(len(x)):
        row = []
        for h in range(heads):
            seen = range(max(0, t - mixer.window + 1), t + 1)
            query = rotate_naively(q[t, h], t, mixer.theta)
            scores = torch.stack(
                [query @ rotate_naively(k[s, h], s, mixer.theta) / math.sqrt(width) for s in seen]
            )
            row.append(sum(w * v[s, h] for w, s in zip(scores.softmax(0), seen, strict=True)))
        rows.append(torch.cat(row))
    return torch.stack(rows) @ mixer.out.weight.T


@pytest.mark.parametrize("window", [1, 3, 50])
@pytest.mark.parametrize("pieces", [[13], [1] * 13, [2, 7, 1, 3]])
@torch.no_grad()
def test_attention_with_state_equals_a_softmax_over_the_window(window, pieces):
    torch.manual_seed(0)
    mixer = Attention(8, 2, window=window, theta=50.0).double()
    x = torch.randn(2, 13, 8, dtype=torch.float64)
    state = {
        name: torch.zeros(2, *shape, dtype=dtype or torch.float64)
        for name, (shape, dtype) in mixer.state_shapes().items()
    }
    outputs = []
    for piece in x.split(pieces, dim=1):
        y, state = mixer(piece, state, torch.full((2,), piece.shape[1]))
        outputs.append(y)
    naive = torch.stack([attend_naively(mixer, row) for row in x])
    close(torch.cat(outputs, 1), naive)


@pytest.mark.parametrize("window", [1, 3, 50])
@torch.no_grad()
def test_attention_without_state_equals_attention_from_a_fresh_one(window):
    torch.manual_seed(0)
    mixer = Attention(8, 2, window=window).double()
    x, lengths = torch.randn(2, 13, 8, dtype=torch.float64), torch.tensor([13, 6])
    stateless, none = mixer(x, None, lengths)
    assert none is None
    close(stateless[0], attend_naively(mixer, x[0]))
    close(stateless[1, :6], attend_naively(mixer, x[1])[:6])


def test_gradients_of_attention_pass_through_its_state():
    torch.manual_seed(0)
    mixer = Attention(8, 2, window=3).double()
    x = torch.randn(2, 9, 8, dtype=torch.float64)
    results = []
    for pieces in ([9], [4, 1, 4]):
        state = {
            name: torch.zeros(2, *shape, dtype=dtype or torch.float64)
            for name, (shape, dtype) in mixer.state_shapes().items()
        }
        outputs = []
        for piece in x.split(pieces, dim=1):
            y, state = mixer(piece, state, torch.full((2,), piece.shape[1]))
            outputs.append(y)
        loss = torch.cat(outputs, 1).sin().sum()
        results.append(torch.autograd.grad(loss, list(mixer.parameters())))
    close(results[0], results[1])
