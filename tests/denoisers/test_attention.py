"""Attention by matrix products: what torch's own attention gives, and chosen only where it is known to be faster."""

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import scaled_dot_product_attention

from dus.denoisers import attention, load


@given(
    sizes=st.tuples(*[st.integers(1, 4)] * 3, st.integers(1, 12), st.integers(1, 12), st.integers(1, 20)),
    masked=st.sampled_from(["nowhere", "keys", "pairs"]),
    scaling=st.sampled_from([None, 0.3]),
    together=st.integers(1, 200),
    seed=st.integers(0, 9),
)
def test_it_is_softmax_attention_however_many_scores_are_held(sizes, masked, scaling, together, seed):
    rows, shared, each, queries, keys, width = sizes
    drawn = torch.Generator().manual_seed(seed)
    query = torch.randn(rows, queries, shared * each, width, generator=drawn).transpose(1, 2)
    key, value = (torch.randn(rows, shared, keys, width, generator=drawn) for _ in range(2))
    mask = None
    if masked != "nowhere":
        mask = torch.rand(rows, 1, 1 if masked == "keys" else queries, keys, generator=drawn) < 0.6
        mask[..., 0] = True
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attention, "_SCORES", together)
        found, weights = attention.matmul_attention(None, query, key, value, mask, scaling)
    expected = scaled_dot_product_attention(query, key, value, mask, scale=scaling, enable_gqa=True)
    assert weights is None
    assert found.is_contiguous()
    assert torch.allclose(found, expected.transpose(1, 2), atol=1e-5)
    if mask is not None:
        for form in (mask, torch.zeros(mask.shape).masked_fill(~mask, -torch.inf)):
            packed = attention.by_groups(query, key, value, form, scaling)
            assert torch.allclose(packed, expected.transpose(1, 2), atol=1e-5)


def test_on_a_gpu_cudnn_does_not_attend(monkeypatch):
    told, chosen = [], []
    monkeypatch.setattr(torch.backends.cuda, "enable_cudnn_sdp", told.append)
    config = SimpleNamespace(_attn_implementation="sdpa")
    for device, expected in (("cpu", []), ("cuda", [False])):
        where = {"device": torch.device(device), "dtype": torch.bfloat16}
        attention.choose_attention(SimpleNamespace(config=config, set_attn_implementation=chosen.append, **where))
        assert told == expected
    assert chosen[-1] == attention.SDPA


@pytest.mark.parametrize(
    ("instructions", "dtype", "chosen"),
    [
        ({"avx512_bf16": True}, "bfloat16", "dus_matmul"),
        ({"avx512_bf16": True}, "float32", "dus_sdpa"),
        ({"avx512_bf16": True, "amx_bf16": True}, "bfloat16", "dus_sdpa"),
        ({"avx2": True}, "bfloat16", "dus_sdpa"),
    ],
)
def test_what_is_chosen_where(folder, monkeypatch, instructions, dtype, chosen):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: instructions, raising=False)
    assert load(folder, dtype=dtype, device="cpu").model.config._attn_implementation == chosen


def test_what_was_asked_for_stays(folder, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True}, raising=False)
    denoiser = load(folder, dtype="bfloat16", device="cpu", attn_implementation="eager")
    assert denoiser.model.config._attn_implementation == "eager"


def test_a_padded_batch_sees_no_padding(folder, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True}, raising=False)
    denoiser = load(folder, dtype="bfloat16", device="cpu")
    canvas = torch.randint(3, 60, (2, 9), generator=torch.Generator().manual_seed(0))
    keep = torch.ones(2, 9, dtype=torch.bool)
    keep[0, :4] = False
    padded = denoiser.logits(canvas, read=torch.arange(9), attention_mask=keep)
    alone = denoiser.logits(canvas[:1, 4:], read=torch.arange(5))
    assert torch.allclose(padded[:1, 4:], alone, atol=0.05)
    canvas[0, :4] = 5
    assert torch.equal(padded[:1, 4:], denoiser.logits(canvas, read=torch.arange(9), attention_mask=keep)[:1, 4:])
