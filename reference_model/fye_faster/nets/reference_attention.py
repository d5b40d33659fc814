"""How the denoiser attends to the portrait: reference features and image-prompt tokens.

Everything that comes from the portrait stays the same over all frames and steps of a clip, so its keys and
values are computed once and remembered inside the attention processors. Rows of the batch are ordered
[unconditional samples, conditional samples]; unconditional rows see nothing of the portrait, and no attention
is computed for them only to be thrown away.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from diffusers.models.attention_processor import Attention
from torch import Tensor


@dataclass(frozen=True)
class Memory:
    """Keys and values of B_c conditional samples, each (B_c, heads, M, head_dim)."""

    key: Tensor
    value: Tensor
    unconditional: int = 0
    """B_u, samples at the head of the batch that do not see this memory."""

    def split(self, rows: int) -> tuple[int, int]:
        """Rows are (sample, frame) pairs: how many are unconditional, and frames a sample."""
        frames = rows // (self.unconditional + len(self.key))
        return self.unconditional * frames, frames


class ReferenceSelfAttention:
    """Spatial self-attention whose keys and values are the row's own tokens joined by the reference's."""

    memory: Memory | None = None

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        **_: object,
    ) -> Tensor:
        """(rows, N, C) to (rows, N, C); rows are sample-major, frames within."""
        query, key, value = (_heads(p(hidden_states), attn) for p in (attn.to_q, attn.to_k, attn.to_v))
        if self.memory is None:
            return _merge(F.scaled_dot_product_attention(query, key, value), attn)
        alone, frames = self.memory.split(len(query))
        keys, values = (
            torch.cat([own[alone:], remembered.repeat_interleave(frames, 0)], 2)
            for own, remembered in ((key, self.memory.key), (value, self.memory.value))
        )
        conditional = F.scaled_dot_product_attention(query[alone:], keys, values)
        if alone == 0:
            return _merge(conditional, attn)
        unconditional = F.scaled_dot_product_attention(query[:alone], key[:alone], value[:alone])
        return _merge(torch.cat([unconditional, conditional]), attn)


class ImagePromptAttention:
    """Cross-attention to the image prompt; an unconditional row attends to one blank token or to nothing."""

    memory: Memory | None = None
    blank: Tensor | None = None
    """(heads, 1, head_dim), value of the blank token: whatever the query, attention to one token is its value.
    None: zero, so that an unconditional row gets the output bias alone."""

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        **_: object,
    ) -> Tensor:
        """(rows, N, C) to (rows, N, C); rows are sample-major, frames within."""
        rows, tokens, _width = hidden_states.shape
        if self.memory is None:
            return _merge(self._unconditional(hidden_states, attn), attn)
        alone, frames = self.memory.split(rows)
        # All frames of a sample query the same few tokens, so frames are just more queries.
        query = attn.to_q(hidden_states[alone:]).unflatten(0, (-1, frames)).flatten(1, 2)
        answer = F.scaled_dot_product_attention(_heads(query, attn), self.memory.key, self.memory.value)
        answer = answer.unflatten(2, (frames, tokens)).transpose(1, 2).flatten(0, 1)
        return _merge(torch.cat([self._unconditional(hidden_states[:alone], attn), answer]), attn)

    def _unconditional(self, hidden_states: Tensor, attn: Attention) -> Tensor:
        """Answers to rows (R, N, C) that do not see the image prompt, (R, heads, N, d)."""
        rows, tokens, _width = hidden_states.shape
        if self.blank is None:
            return hidden_states.new_zeros(rows, attn.heads, tokens, attn.inner_dim // attn.heads)
        return self.blank.expand(rows, -1, tokens, -1)


def install(unet: Any) -> None:
    """Give the spatial transformers of a diffusers UNet the two processors of this module."""
    for block in spatial_blocks(unet):
        block.attn1.set_processor(ReferenceSelfAttention())
        block.attn2.set_processor(ImagePromptAttention())


def set_reference(unet: Any, features: list[Tensor], tokens: Tensor) -> None:
    """Compute and keep the keys and values of one portrait (or of B_c portraits, when training).

    Args:
        unet: a UNet prepared by `install`.
        features: one (B_c, N_l, C_l) map for each block, in the order of `spatial_blocks`.
        tokens: (B_c, Q, D) image prompt.
    """
    for block, feature in zip(spatial_blocks(unet), features, strict=True):
        for attn, source in ((block.attn1, feature), (block.attn2, tokens)):
            attn.processor.memory = Memory(_heads(attn.to_k(source), attn), _heads(attn.to_v(source), attn))


def set_blank(unet: Any, token: Tensor) -> None:
    """Let unconditional rows attend to this token (D,) in place of the image prompt, from now on.

    Any number of copies of it would come to the same.
    """
    for block in spatial_blocks(unet):
        block.attn2.processor.blank = _heads(block.attn2.to_v(token[None]), block.attn2)


def drop_reference(unet: Any, unconditional: int) -> None:
    """Let the first B_u samples of each coming batch ignore what `set_reference` kept."""
    for block in spatial_blocks(unet):
        for attn in (block.attn1, block.attn2):
            attn.processor.memory = replace(attn.processor.memory, unconditional=unconditional)


def clear_reference(unet: Any) -> None:
    """Drop what `set_reference` kept: every row is unconditional again."""
    for block in spatial_blocks(unet):
        block.attn1.processor.memory = block.attn2.processor.memory = None


def spatial_blocks(unet: Any) -> Iterator[Any]:
    """Transformer blocks of the spatial transformers in execution order: down, middle, up."""
    for level in (*unet.down_blocks, unet.mid_block, *unet.up_blocks):
        for transformer in getattr(level, "attentions", ()):
            yield from transformer.transformer_blocks


def _heads(tokens: Tensor, attn: Attention) -> Tensor:
    """(..., N, heads * d) to (..., heads, N, d)."""
    heads: Tensor = tokens.unflatten(-1, (attn.heads, -1)).transpose(-3, -2)
    return heads


def _merge(answer: Tensor, attn: Attention) -> Tensor:
    """(B, heads, N, d) to (B, N, C) through the output projection."""
    merged: Tensor = attn.to_out[0](answer.transpose(1, 2).flatten(2))
    return merged
