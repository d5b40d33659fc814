"""Counted FLOPs: the golden block on every path that attention takes, and unchanged results."""

import pytest
import torch
from emojibench_metrics.flops import count_flops
from torch import nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

CONV, LINEAR, ATTENTION = 37748736, 16777216, 33554432
TOTAL = 88080384


class Block(nn.Module):
    """Convolution, normalisation, activation, self-attention, projection."""

    def __init__(self, channels=64, heads=4):
        super().__init__()
        self.heads = heads
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm = nn.GroupNorm(8, channels)
        self.q, self.k, self.v = (nn.Linear(channels, channels, bias=False) for _ in range(3))
        self.out = nn.Linear(channels, channels)

    def forward(self, x):
        tokens = functional.silu(self.norm(self.conv(x))).flatten(2).transpose(1, 2)
        batch, count, channels = tokens.shape
        q, k, v = (
            p(tokens).view(batch, count, self.heads, -1).transpose(1, 2) for p in (self.q, self.k, self.v)
        )
        mixed = functional.scaled_dot_product_attention(q, k, v)
        return self.out(mixed.transpose(1, 2).reshape(batch, count, channels))


@pytest.fixture(params=[torch.no_grad, torch.inference_mode, torch.enable_grad])
def mode(request):
    return request.param


def test_golden_block_with_unchanged_result(mode):
    torch.manual_seed(0)
    block, x = Block(), torch.randn(2, 64, 16, 16)
    with mode():
        expected = block(x)
        with count_flops() as counter:
            got = block(x)
    assert counter.total == TOTAL == CONV + LINEAR + ATTENTION
    assert torch.equal(got, expected)
    assert counter.by_operator["aten.convolution"] == CONV


@pytest.mark.parametrize("backend", [SDPBackend.MATH, SDPBackend.FLASH_ATTENTION])
def test_every_attention_backend_counts_alike(backend, mode):
    block, x = Block(), torch.randn(2, 64, 16, 16)
    with mode(), sdpa_kernel(backend), count_flops() as counter:
        block(x)
    assert counter.total == TOTAL


def test_meta_device():
    with torch.device("meta"):
        block, x = Block(), torch.randn(2, 64, 16, 16)
    with torch.no_grad(), count_flops() as counter:
        block(x)
    assert counter.total == TOTAL


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_cuda(dtype, mode):
    block, x = Block().cuda().to(dtype), torch.randn(2, 64, 16, 16, device="cuda", dtype=dtype)
    with mode(), count_flops() as counter:
        block(x)
    assert counter.total == TOTAL


def test_fused_transformer_layers_count_what_their_parts_count(mode):
    layer = nn.TransformerEncoderLayer(64, 4, 128, batch_first=True).eval()
    x = torch.randn(2, 10, 64)
    attention = 2 * 2 * 10 * 64 * 64 * 4 + 4 * 2 * 10 * 10 * 64
    mlp = 2 * 2 * 2 * 10 * 64 * 128
    with mode(), count_flops() as counter:
        layer(x)
    assert counter.total == attention + mlp
    with mode(), count_flops() as counter:
        layer.self_attn(x, x, x)
    # Asked for attention weights, the layer is the same arithmetic.
    assert counter.total == attention


def test_skipped_work_is_not_counted_and_counts_add_up():
    linear, x = nn.Linear(8, 8), torch.randn(4, 8)
    with torch.no_grad(), count_flops() as counter:
        assert counter.total == 0
        linear(x)
        once = counter.total
        linear(x)
    linear(x)
    assert (once, counter.total) == (2 * 4 * 8 * 8, 2 * once)


def test_backward_counts_too():
    linear, x = nn.Linear(8, 8), torch.randn(4, 8, requires_grad=True)
    with count_flops() as counter:
        linear(x).sum().backward()
    assert counter.total == 3 * 2 * 4 * 8 * 8
