"""Passages to train on and to be asked about: tokens, and which of them are to be predicted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from nestling.models.hope import Hope

IGNORED = -100
# Passages that are read at once where nothing is learned.
TOGETHER = 32


@dataclass(frozen=True)
class Passages:
    """N passages of at most T tokens.

    Args:
        ids: [N, T], padded on the right with any id.
        targets: [N, T], the token that follows, or IGNORED where it is not asked.
    """

    ids: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, rows: Tensor | slice) -> Passages:
        ids, targets = self.ids[rows], self.targets[rows]
        # What stands behind the last token that is asked of any of them is not read.
        asked = (targets != IGNORED).any(0).nonzero()
        end = int(asked[-1]) + 1 if len(asked) else 1
        return Passages(ids[:, :end], targets[:, :end])

    @property
    def asked(self) -> Tensor:
        """Where something is asked, [N, T]."""
        return self.targets != IGNORED

    @property
    def lengths(self) -> Tensor:
        """How many tokens of each are read, [N]: up to the last that is asked."""
        places = torch.arange(1, self.ids.shape[1] + 1, device=self.ids.device)
        return (self.asked * places).amax(1) if len(self) else torch.zeros(0, dtype=torch.int64)

    def given(self, row: int) -> list[int]:
        """What a passage shows before it is first asked anything."""
        return self.ids[row, : int(self.asked[row].int().argmax()) + 1].tolist()

    def whole(self, row: int) -> list[int]:
        """A passage with its last answer."""
        end = int(self.asked[row].nonzero()[-1])
        return [*self.ids[row, : end + 1].tolist(), int(self.targets[row, end])]

    def behind(self, contexts: Sequence[Sequence[int]]) -> Passages:
        """The same passages, each behind a context of its own."""
        rows, targets = [], []
        for place, context in enumerate(contexts):
            rows.append(torch.cat([torch.tensor([*context], dtype=torch.int64), self.ids[place]]))
            ignored = torch.full((len(context),), IGNORED)
            targets.append(torch.cat([ignored, self.targets[place]]))
        return Passages(_padded(rows, 0), _padded(targets, IGNORED))


def joined(parts: Sequence[Passages]) -> Passages:
    """All passages of several lots, as wide as the widest."""
    return Passages(
        _padded([row for part in parts for row in part.ids], 0),
        _padded([row for part in parts for row in part.targets], IGNORED),
    )


def passages_of(rows: Sequence[tuple[Sequence[int], int]]) -> Passages:
    """Passages of token ids, each asked from a place on: `(tokens, place of the first answer)`."""
    ids = [torch.tensor(tokens[:-1]) for tokens, _ in rows]
    targets = []
    for tokens, first in rows:
        row = torch.tensor(tokens[1:])
        row[: first - 1] = IGNORED
        targets.append(row)
    return Passages(_padded(ids, 0), _padded(targets, IGNORED))


def mean_loss(model: Hope, passages: Passages) -> Tensor:
    """The mean of the losses of passages: a short one counts as much as a long one."""
    return _losses(model, passages).mean()


@torch.no_grad()
def losses_of(model: Hope, passages: Passages) -> Tensor:
    """The mean loss of every passage, [N]; those of like length are read together."""
    order = passages.lengths.argsort()
    found = [_losses(model, passages[rows]) for rows in order.split(TOGETHER)]
    return torch.cat(found)[order.argsort()] if found else torch.zeros(0)


def asked_logits(model: Hope, passages: Passages) -> Tensor:
    """What a model predicts where it is asked, [asked, vocabulary]; it predicts nothing else."""
    groups = _read_apart(passages.lengths)
    if len(groups) == 1:
        return _asked_logits(model, passages)
    found = torch.cat([_asked_logits(model, passages[rows]) for rows in groups])
    counts = passages.asked.sum(1)
    order = torch.cat([rows.repeat_interleave(counts[rows]) for rows in groups])
    return found[order.argsort(stable=True)]


def mean_of_each(values: Tensor, passages: Passages) -> Tensor:
    """Of a value wherever something is asked, [asked]: the mean of every passage, [N]."""
    rows, counts = passages.asked.nonzero()[:, 0], passages.asked.sum(1)
    return values.new_zeros(len(passages)).index_add(0, rows, values) / counts


def _losses(model: Hope, passages: Passages) -> Tensor:
    wanted = passages.targets[passages.asked]
    losses = F.cross_entropy(asked_logits(model, passages), wanted, reduction="none")
    return mean_of_each(losses, passages)


def _asked_logits(model: Hope, passages: Passages) -> Tensor:
    return model.head(model.read_fresh(passages.ids)[passages.asked])


def _read_apart(lengths: Tensor) -> tuple[Tensor, ...]:
    """All rows, or the short and the long ones, where reading them apart spares a third."""
    count = len(lengths)
    if count < 2:
        return (torch.arange(count),)
    sizes, order = lengths.sort()
    short = torch.arange(1, count, device=lengths.device)
    cost = short * sizes[:-1] + (count - short) * sizes[-1]
    if 3 * cost.min() > 2 * count * sizes[-1]:
        return (order,)
    return order.tensor_split([int(cost.argmin()) + 1])


def _padded(rows: Sequence[Tensor], value: int) -> Tensor:
    return torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True, padding_value=value)
