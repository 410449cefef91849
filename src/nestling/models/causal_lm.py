"""`HopeForCausalLM`: Hope behind the Hugging Face interface.

model = AutoModelForCausalLM.from_pretrained(folder)
output = model(input_ids, state=state, learn=True)      # output.logits, output.loss, output.state
model.generate(input_ids, state=output.state)           # the memory rides along
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, GenerationMixin, PreTrainedModel
from transformers.utils import ModelOutput

from nestling.memory.state import MemoryState
from nestling.models.configuration import HopeConfig
from nestling.models.hope import Hope

# What Hugging Face passes along, and what means nothing to a model that has a memory for a cache.
_WITHOUT_MEANING = frozenset(
    (
        "cache_position",
        "logits_to_keep",
        "output_attentions",
        "output_hidden_states",
        "position_ids",
        "token_type_ids",
    )
)


@dataclass
class HopeOutput(ModelOutput):
    """loss (scalar, if labels were given or tokens learned), logits [B, T, V], state."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    state: MemoryState | None = None


class HopeForCausalLM(PreTrainedModel, GenerationMixin):
    """Hope and Hope-Attention (`mixer` of the configuration) with `generate()`."""

    config: HopeConfig
    config_class = HopeConfig
    base_model_prefix = "model"
    main_input_name = "input_ids"
    _is_stateful = True
    # The loss is a mean over the tokens of a call: a trainer that gathers gradients divides itself.
    accepts_loss_kwargs = False
    _tied_weights_keys = {"model.head.weight": "model.embedding.weight"}

    def __init__(self, config: HopeConfig) -> None:
        super().__init__(config)
        self.model = Hope(config.settings)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """Begin all weights anew but for those that were loaded, which transformers has marked."""
        loaded = {
            weight: weight.detach().clone()
            for weight in self.model.parameters()
            if getattr(weight, "_is_hf_initialized", False)
        }
        # Of a model that is loaded, transformers asks for the modules that lack weights alone.
        if not (loaded or isinstance(module, Hope)):
            return
        self.model.init_weights()
        with torch.no_grad():
            for weight, value in loaded.items():
                weight.copy_(value)
        for part in self.model.modules() if loaded else ():
            part._is_hf_initialized = True  # pyright: ignore[reportArgumentType]

    def get_input_embeddings(self) -> nn.Module:
        return self.model.embedding

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.model.embedding = cast(nn.Embedding, value)

    def get_output_embeddings(self) -> nn.Module:
        return self.model.head

    def set_output_embeddings(self, new_embeddings: nn.Module) -> None:
        self.model.head = cast(nn.Linear, new_embeddings)

    # -- memory --------------------------------------------------------------------------------

    def new_state(self, batch_size: int = 1) -> MemoryState:
        """A fresh memory state for `batch_size` sequences."""
        return self.model.new_state(batch_size)

    def end_turn(self, state: MemoryState, *, slow: bool = False) -> MemoryState:
        """Write what still waits and empty the context; `slow` ends a session (all levels)."""
        return self.model.end_turn(state, slow=slow)

    # -- reading -------------------------------------------------------------------------------

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        state: MemoryState | None = None,
        learn: bool | Tensor = False,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        return_dict: bool | None = None,
        **unused: Any,
    ) -> HopeOutput | tuple:
        """Read tokens, and learn those that are to be learned.

        Args:
            input_ids: [B, T].
            attention_mask: [B, T] or longer (the last T columns count), 0 for padding.
            state: memory state before these tokens; None starts fresh.
            learn: True, or a mask [B, T] of the tokens to learn.
            labels: [B, T], -100 where no loss is wanted; shifted inside. With `learn` and no
                labels the loss is that of the tokens read.
            use_cache: return a state even if none was given.
            unused: what Hugging Face passes along without a meaning here, such as `position_ids`.

        Returns:
            `HopeOutput`: `loss` is measured before the writes, as everything that is answered.

        Raises:
            ValueError: shapes that do not fit; the sentence says which. TypeError: an argument that
                there is not.
        """
        if odd := sorted({n for n, v in unused.items() if v is not None} - _WITHOUT_MEANING):
            raise TypeError(
                f"{type(self).__name__} takes no {', '.join(odd)}; it takes input_ids, "
                "attention_mask, state, learn, labels, use_cache and return_dict"
            )
        if labels is not None and labels.shape != input_ids.shape:
            raise ValueError(
                f"labels have the shape of input_ids, {list(input_ids.shape)}, "
                f"got {list(labels.shape)}"
            )
        if state is None and use_cache:
            state = self.new_state(input_ids.shape[0])
        reading = self.model(input_ids, attention_mask, state, learn)
        if labels is None and learn is not False:
            labels = _visible_labels(input_ids, attention_mask)
        loss = None if labels is None else causal_loss(reading.logits, labels)
        output = HopeOutput(loss=loss, logits=reading.logits, state=reading.state)
        return output.to_tuple() if return_dict is False else output

    # -- generation ----------------------------------------------------------------------------

    @classmethod
    def _supports_default_dynamic_cache(cls) -> bool:
        return False

    def _expand_inputs_for_generation(self, expand_size: int = 1, **kwargs: Any):  # pyright: ignore
        state = kwargs.get("state")
        if isinstance(state, MemoryState) and expand_size > 1:
            rows = torch.arange(state.batch_size, device=state.device)
            kwargs["state"] = state.index(rows.repeat_interleave(expand_size))
        return super()._expand_inputs_for_generation(expand_size=expand_size, **kwargs)  # pyright: ignore

    def _update_model_kwargs_for_generation(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, outputs: Any, model_kwargs: dict[str, Any], **kwargs: Any
    ) -> dict[str, Any]:
        # From token to token; without a cache every step reads all tokens from the same beginning.
        # Some versions of transformers carry a state in either case, and some in none.
        beginning = model_kwargs.get("state")
        updated = super()._update_model_kwargs_for_generation(  # pyright: ignore
            outputs, model_kwargs, **kwargs
        )
        updated["state"] = outputs.state if updated.get("use_cache") else beginning
        return updated

    def generate(self, *args: Any, **kwargs: Any):
        """As in Hugging Face, for greedy search and sampling; pass `state=` to go on from a memory.

        Raises:
            ValueError: beam search, which would need to copy memories between beams, or guidance
                with a cache, which would need a memory of its own.
        """
        config = kwargs.get("generation_config") or self.generation_config

        def asked(name: str, usual: Any) -> Any:
            said = kwargs.get(name)
            said = getattr(config, name, None) if said is None else said
            return usual if said is None else said

        if asked("num_beams", 1) > 1:
            raise ValueError("beam search is not supported; use num_beams=1 (greedy or sampling)")
        if asked("guidance_scale", 1.0) != 1.0 and asked("use_cache", True):
            raise ValueError("guidance_scale is supported with use_cache=False alone")
        return super().generate(*args, **kwargs)  # pyright: ignore[reportAttributeAccessIssue]


def causal_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean next-token loss: logits [B, T, V], labels [B, T] with -100 for none; 0 without any."""
    precise = logits[:, :-1].to(torch.promote_types(logits.dtype, torch.float32))
    targets = labels[:, 1:].flatten()
    total = F.cross_entropy(precise.flatten(0, 1), targets, ignore_index=-100, reduction="sum")
    return total / (targets != -100).sum().clamp(min=1)


def _visible_labels(input_ids: Tensor, attention_mask: Tensor | None) -> Tensor:
    if attention_mask is None:
        return input_ids
    visible = attention_mask[:, -input_ids.shape[1] :].bool()
    # Nothing is known before the first token that is seen.
    known = visible & F.pad(visible[:, :-1], (1, 0))
    return input_ids.masked_fill(~known, -100)


AutoConfig.register("hope", HopeConfig, exist_ok=True)
AutoModelForCausalLM.register(HopeConfig, HopeForCausalLM, exist_ok=True)
