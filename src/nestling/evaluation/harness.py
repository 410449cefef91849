"""Any model of ours in EleutherAI's lm-evaluation-harness (extra "eval").

Every request has a fresh memory. With `learn` the context is written while it is read; with
`documents` a document is read once, and all questions about it are answered from forks of what was
read, which gives the answers that reading it for each of them gives.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoTokenizer

from nestling.evaluation.harness_tasks import LOCAL, local_task
from nestling.evaluation.rows import Row
from nestling.memory.state import MemoryState
from nestling.models.causal_lm import HopeForCausalLM

# An optional package, unknown to the type checker where it is not installed.
simple_evaluate: Any = import_module("lm_eval").simple_evaluate
LM: Any = import_module("lm_eval.api.model").LM
Instance = Any
# Fields in which tasks keep the document that a question is about.
DOCUMENTS = ("passage", "context", "story")


class HarnessModel(LM):
    """A model with its tokenizer, as the harness asks it.

    Args:
        model: `HopeForCausalLM`; tokenizer: of transformers.
        learn: write the context into the memory while it is read.
        documents: read a document once for all of its questions.
        batch: requests that are read together.
    """

    def __init__(
        self,
        model: HopeForCausalLM,
        tokenizer: Any,
        *,
        learn: bool = False,
        documents: bool = False,
        batch: int = 16,
    ) -> None:
        super().__init__()
        self.model, self.tokenizer = model.eval(), tokenizer
        self.learn, self.documents, self.batch = learn, documents, batch

    @classmethod
    def from_folder(cls, folder: str | Path, **options: Any) -> HarnessModel:
        return cls(
            HopeForCausalLM.from_pretrained(folder),
            AutoTokenizer.from_pretrained(folder),
            **options,
        )

    # -- what the harness asks -----------------------------------------------------------------

    @torch.no_grad()
    def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:
        """For each (context, continuation): its log-probability, and whether it is greedy."""
        answers: list[tuple[float, bool]] = [(0.0, False)] * len(requests)
        for document, places in self._by_document(requests).items():
            state = self._read(document) if document else None
            rows = [self._encode(document, *requests[place].args) for place in places]
            order = sorted(range(len(places)), key=lambda i: len(rows[i][0]) + len(rows[i][1]))
            for start in range(0, len(order), self.batch):
                some = order[start : start + self.batch]
                scores = self._score([rows[i] for i in some], state)
                for i, answer in zip(some, scores, strict=True):
                    answers[places[i]] = answer
        return answers

    @torch.no_grad()
    def loglikelihood_rolling(self, requests: list[Instance]) -> list[float]:
        """The log-probability of whole texts, each from a fresh memory."""
        return [
            self._score([([self._start], self._ids(request.args[0]))], None)[0][0]
            for request in requests
        ]

    @torch.no_grad()
    def generate_until(self, requests: list[Instance]) -> list[str]:
        """Greedy continuations up to a stop text, or `max_gen_toks` tokens (256)."""
        found = []
        for request in requests:
            context, options = request.args
            stops = options.get("until") or []
            stops = [stops] if isinstance(stops, str) else stops
            ids = torch.tensor([self._ids(context) or [self._start]])
            state, written = self.model.model.new_state(1), []
            for _ in range(int(options.get("max_gen_toks", 256))):
                reading = self.model.model(ids, state=state, learn=self.learn and not written)
                state, token = reading.state, int(reading.logits[0, -1].argmax())
                if token == self.tokenizer.eos_token_id:
                    break
                written.append(token)
                text = self.tokenizer.decode(written)
                if any(stop in text for stop in stops):
                    break
                ids = torch.tensor([[token]])
            text = self.tokenizer.decode(written)
            ends = [text.find(stop) for stop in stops if stop in text]
            found.append(text[: min(ends, default=len(text))])
        return found

    # -- how it is answered --------------------------------------------------------------------

    @property
    def _start(self) -> int:
        """What stands before a text that has nothing before it."""
        for token in (self.tokenizer.bos_token_id, self.tokenizer.eos_token_id):
            if token is not None:
                return token
        return 0

    def _ids(self, text: str) -> list[int]:
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def _encode(
        self, document: str, context: str, continuation: str
    ) -> tuple[list[int], list[int]]:
        """Ids of what is read before, the document left out, and of what is scored."""
        context = context[len(document) :]
        bare = context.rstrip()
        continuation = context[len(bare) :] + continuation
        before, whole = self._ids(bare), self._ids(bare + continuation)
        scored = whole[len(before) :]
        return before or [self._start], scored

    def _by_document(self, requests: Sequence[Instance]) -> dict[str, list[int]]:
        """Places of the requests by the document that their contexts begin with; "" for none."""
        groups: dict[str, list[int]] = {}
        for place, request in enumerate(requests):
            document = ""
            if self.documents:
                context = request.args[0]
                parts = (request.doc.get(field) for field in DOCUMENTS)
                document = next(
                    (p for p in parts if isinstance(p, str) and p and context.startswith(p)), ""
                )
                # A question needs something to stand behind; the document alone is no prefix.
                document = document if len(document) < len(context.rstrip()) else ""
            groups.setdefault(document, []).append(place)
        return groups

    def _read(self, document: str) -> MemoryState:
        ids = torch.tensor([self._ids(document)])
        reading = self.model.model(ids, state=self.model.model.new_state(1), learn=self.learn)
        assert reading.state is not None
        return reading.state

    def _score(
        self, rows: Sequence[tuple[list[int], list[int]]], state: MemoryState | None
    ) -> list[tuple[float, bool]]:
        """Log-probability and greediness of what is scored, read behind a state or afresh."""
        whole = [before + scored for before, scored in rows]
        length = max(map(len, whole)) - 1
        ids = torch.zeros(len(rows), length, dtype=torch.int64)
        mask = torch.zeros(len(rows), length, dtype=torch.bool)
        learn = torch.zeros(len(rows), length, dtype=torch.bool)
        for place, (before, _) in enumerate(rows):
            row = torch.tensor(whole[place][:-1])
            ids[place, : len(row)], mask[place, : len(row)] = row, True
            learn[place, : len(before)] = self.learn
        logits = self.model.model(
            ids,
            mask,
            None if state is None else state.repeat(len(rows)),
            learn=learn if self.learn else False,
        ).logits.log_softmax(-1)
        return [
            _scored(logits[place, len(before) - 1 :], torch.tensor(scored))
            for place, (before, scored) in enumerate(rows)
        ]


def _scored(logprobs: Tensor, wanted: Tensor) -> tuple[float, bool]:
    logprobs = logprobs[: len(wanted)]
    found = logprobs.gather(1, wanted[:, None]).sum().item()
    return found, bool((logprobs.argmax(-1) == wanted).all())


def measure_harness(
    model: HarnessModel, tasks: Sequence[str], *, data: Path | None = None, limit: int | None = None
) -> Iterator[Row]:
    """One row for each task and metric.

    Args:
        tasks: of `LOCAL`, from the files below `data`; without `data`, and for other names, the
            harness's own.
        limit: documents of each task.
    """
    configured = [
        local_task(name, data) if data is not None and name in LOCAL else name for name in tasks
    ]
    found = simple_evaluate(model, tasks=configured, limit=limit, bootstrap_iters=0)
    for task, metrics in found["results"].items():
        for name, value in metrics.items():
            metric, _, kind = name.partition(",")
            # Groups of tasks have no samples of their own.
            samples = found["n-samples"].get(task, {}).get("effective")
            if isinstance(value, float) and kind and not metric.endswith("_stderr"):
                yield {
                    "task": task,
                    "metric": metric,
                    "value": round(value, 4),
                    "samples": samples,
                    "learn": model.learn,
                    "documents": model.documents,
                }
