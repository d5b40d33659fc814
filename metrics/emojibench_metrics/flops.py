"""Counted FLOPs: what a computation really executed, attention included, on any device.

Protocol: 1 MAC = 2 FLOPs; convolutions, matrix products and attention's two products count; normalisation,
activation, softmax and bias do not. Cached or skipped steps count as executed, not as nominal.

PyTorch's own counter knows the formulas, but up to 2.13 it leaves out the fused attention that a CPU uses by
default (54.5 M of 88.1 M in the golden block), and it never counts the fused layers of
`nn.MultiheadAttention` and `nn.TransformerEncoderLayer`. This counter adds them and only watches: operators
run as they would without it. Operators inside code compiled by `torch.compile` and inside third-party CUDA
kernels are invisible to it.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch._ops import HigherOrderOperator
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry, sdpa_flop_count

Formula = Callable[..., int]


class FlopCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Floating-point operations seen so far, in all and by operator. Use through `count_flops`."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.by_operator: Counter[str] = Counter()
        """FLOPs by operator name, such as `aten.convolution`."""

    @property
    def total(self) -> int:
        """All FLOPs so far."""
        return sum(self.by_operator.values())

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        # Higher-order operators have no overloads; without a formula torch refuses them below, loudly.
        operator = getattr(func, "overloadpacket", func)
        formula = _OWN.get(str(operator)) or flop_registry.get(operator)
        if formula is None and isinstance(func, HigherOrderOperator):
            return NotImplemented
        if formula is None:
            # In inference mode composite operators (linear, matmul, attention) arrive whole; their parts come
            # back here. This is the very decomposition that autograd takes.
            with self:
                parts = func.decompose(*args, **kwargs)
            return func(*args, **kwargs) if parts is NotImplemented else parts
        out = func(*args, **kwargs)
        self.by_operator[str(operator)] += formula(*args, **kwargs, out_val=out)
        return out


@contextmanager
def count_flops() -> Iterator[FlopCounter]:
    """Count the FLOPs of everything that torch executes inside the block, on this thread.

    Results are those of the same code outside. On the meta device nothing is computed and everything counted.

    Example:
        with count_flops() as counter:
            model(x)
        print(counter.total)
    """
    with FlopCounter() as counter:
        yield counter


def _cpu_attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *_: Any, out_val: Any = None, **__: Any
) -> int:
    return int(sdpa_flop_count(query.shape, key.shape, value.shape))  # type: ignore[no-untyped-call]


def _fused_self_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    embed_dim: int,
    *_: Any,
    out_val: Any = None,
    **__: Any,
) -> int:
    """`nn.MultiheadAttention` in evaluation: four projections and two products; queries (B, T, E)."""
    batch, queries, keys = query.shape[0], query.shape[1], key.shape[1]
    projections = 2 * batch * embed_dim**2 * (2 * queries + 2 * keys)
    return projections + 4 * batch * queries * keys * embed_dim


def _fused_encoder_layer(source: torch.Tensor, embed_dim: int, *args: Any, **kwargs: Any) -> int:
    """`nn.TransformerEncoderLayer` in evaluation: self-attention and two linear layers."""
    attention = _fused_self_attention(source, source, source, embed_dim)
    widths = [t.shape[0] for t in args if isinstance(t, torch.Tensor) and t.dim() == 2]
    # The 2-D arguments in order: qkv, output projection, first and second layer of the MLP.
    hidden = widths[2]
    return attention + 4 * source.shape[0] * source.shape[1] * embed_dim * hidden


_OWN: dict[str, Formula] = {
    "aten._scaled_dot_product_flash_attention_for_cpu": _cpu_attention,
    "aten._native_multi_head_attention": _fused_self_attention,
    "aten._transformer_encoder_layer_fwd": _fused_encoder_layer,
}
