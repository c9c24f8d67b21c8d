"""The families against the published modelling code: logits, shift, padding, reading."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForMaskedLM, DynamicCache

from dus.denoisers import DenoiserError, load

from .conftest import published_logits

CLOSE = {"atol": 1e-5, "rtol": 1e-5}


def left_padded(denoiser, rows):
    """Rows of different lengths as one canvas and its attention mask, the padding a token like any other."""
    width = max(map(len, rows))
    canvas = torch.full((len(rows), width), denoiser.vocab_size - 1)
    mask = torch.zeros(len(rows), width, dtype=torch.bool)
    for i, row in enumerate(rows):
        canvas[i, width - len(row) :] = row
        mask[i, width - len(row) :] = True
    return canvas, mask


def predictions(denoiser, raw):
    """The published rows in the places of the tokens they predict: Dream's first token has its own row."""
    return torch.cat([raw[:, :1], raw[:, :-1]], dim=1) if denoiser.shift else raw


def block_mask(denoiser, length):
    """Bool `[1, 1, L, L]`, written down entry by entry; None for full attention."""
    if denoiser.block_length is None:
        return None
    size = denoiser.block_length
    rows = [[key < (query // size + 1) * size for key in range(length)] for query in range(length)]
    return torch.tensor(rows)[None, None]


def test_logits_are_those_of_the_published_code(golden):
    """Under every mask that the reference has, which `block_length` asks for where the configuration does not."""
    canvas, references = published_logits(golden)
    for block_length, raw in references.items():
        denoiser = load(golden, dtype="float32", device="cpu", block_length=block_length)
        logits = denoiser.logits(canvas, read=torch.arange(canvas.shape[1]))
        assert denoiser.block_length == block_length
        assert (logits - predictions(denoiser, raw)).abs().max() < 1e-5 * raw.abs().max()


def test_auto_model_gives_the_published_rows(golden, denoiser, reference):
    canvas, raw = reference
    model = AutoModelForMaskedLM.from_pretrained(golden, dtype="float32").eval()
    mask = block_mask(denoiser, canvas.shape[1])
    with torch.no_grad():
        torch.testing.assert_close(model(input_ids=canvas, attention_mask=mask).logits, raw, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_the_model_makes_its_own_block_causal_mask(golden, attention):
    """Called as transformers, diffusers and trainers do: with the padding mask, or with none."""
    canvas, references = published_logits(golden)
    padding = torch.zeros_like(canvas[:, :3])
    padded = {
        "input_ids": torch.cat([padding, canvas], dim=1),
        "attention_mask": torch.cat([padding, torch.ones_like(canvas)], dim=1),
    }
    for block_length, raw in references.items():
        model = load(golden, dtype="float32", block_length=block_length, attn_implementation=attention).model
        close = {"atol": 1e-5 * float(raw.abs().max()), "rtol": 0.0}
        with torch.no_grad():
            torch.testing.assert_close(model(canvas).logits, raw, **close)
            if block_length is not None:
                torch.testing.assert_close(model(**padded).logits[:, 3:], raw, **close)


def test_a_block_causal_model_refuses_what_would_lose_its_mask(golden, denoiser):
    if denoiser.block_length is None:
        pytest.skip("attention is full")
    with pytest.raises(DenoiserError, match=r"with past_key_values needs an attention_mask \[N, 1, P, L\]"):
        denoiser.model(torch.tensor([[1, 2]]), past_key_values=DynamicCache(config=denoiser.model.config))


def test_equals_the_plain_transformers_model_without_causal_mask(denoiser, reference):
    canvas, _ = reference
    model = denoiser.model
    plain = type(model).__bases__[-1](model.config).eval()
    assert type(plain).__module__.startswith("transformers.")
    plain.load_state_dict(model.state_dict())
    with torch.no_grad():
        mask = block_mask(denoiser, canvas.shape[1])
        rows = plain(input_ids=canvas, attention_mask=mask, is_causal=False).logits
    logits = denoiser.logits(canvas, read=torch.arange(canvas.shape[1]))
    torch.testing.assert_close(logits, predictions(denoiser, rows), atol=1e-4, rtol=1e-5)


def test_a_padded_row_equals_the_row_alone(denoiser, reference):
    canvas, _ = reference
    length = canvas.shape[1]
    rows = [canvas[0], canvas[-1, length // 2 :], canvas[-1, : length - 1], canvas[0, :1]]
    padded, mask = left_padded(denoiser, rows)
    read = torch.stack([torch.arange(length).clamp_min(length - len(row)) for row in rows])
    together = denoiser.logits(padded, read=read, attention_mask=mask)
    for i, row in enumerate(rows):
        alone = denoiser.logits(row[None], read=torch.arange(len(row)))
        torch.testing.assert_close(together[i, length - len(row) :], alone[0], **CLOSE)


def test_padding_may_be_any_token(denoiser, reference):
    canvas, _ = reference
    padded, mask = left_padded(denoiser, [canvas[0], canvas[-1, 3:]])
    read = torch.arange(3, canvas.shape[1])
    before = denoiser.logits(padded, read=read, attention_mask=mask)
    after = denoiser.logits(padded.where(mask, denoiser.mask_token_id), read=read, attention_mask=mask.long())
    torch.testing.assert_close(after, before, atol=0, rtol=0)


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_attention_implementations_agree(golden, denoiser, reference, attention):
    other = load(golden, dtype="float32", device="cpu", attn_implementation=attention)
    canvas, _ = reference
    padded, mask = left_padded(denoiser, [canvas[0], canvas[-1, 5:]])
    read = torch.arange(5, canvas.shape[1])
    torch.testing.assert_close(
        other.logits(padded, read=read, attention_mask=mask),
        denoiser.logits(padded, read=read, attention_mask=mask),
        atol=1e-4,
        rtol=1e-4,
    )


@settings(deadline=None, max_examples=30)
@given(st.data())
def test_reading_some_positions_equals_reading_all(denoiser, reference, data):
    canvas, _ = reference
    count, length = canvas.shape
    position = st.integers(0, length - 1)
    shape = data.draw(st.sampled_from([(), (count,)]))
    size = data.draw(st.integers(1, length))
    flat = data.draw(st.lists(position, min_size=size * count, max_size=size * count))
    read = torch.tensor(flat[: size * (count if shape else 1)]).view(*shape, size)
    everything = denoiser.logits(canvas, read=torch.arange(length))
    expected = everything.gather(1, read.expand(count, size)[..., None].expand(-1, -1, denoiser.vocab_size))
    logits = denoiser.logits(canvas, read=read)
    assert logits.shape == (count, size, denoiser.vocab_size)
    torch.testing.assert_close(logits, expected, **CLOSE)


@settings(deadline=None, max_examples=30)
@given(data=st.data())
def test_a_later_token_changes_every_earlier_row(denoiser, reference, data):
    """No causal mask sneaks in, with or without padding; of block-causal families into no block."""
    canvas, _ = reference
    length = canvas.shape[1]
    block = denoiser.block_length or length
    later = data.draw(st.integers(1, length - 1).filter(lambda column: column % block))
    earlier = data.draw(st.integers(later // block * block, later - 1))
    token = data.draw(st.integers(0, denoiser.vocab_size - 1).filter(lambda t: t != canvas[0, later]))
    mask = torch.ones_like(canvas) if data.draw(st.booleans()) else None
    changed = canvas.clone()
    changed[0, later] = token
    read = torch.tensor([earlier])
    before = denoiser.logits(canvas, read=read, attention_mask=mask)
    after = denoiser.logits(changed, read=read, attention_mask=mask)
    assert not torch.equal(before[0], after[0])


def test_a_later_block_changes_nothing(denoiser, reference):
    if denoiser.block_length is None:
        pytest.skip("attention is full")
    canvas, _ = reference
    changed, read = canvas.clone(), torch.arange(denoiser.block_length)
    changed[:, denoiser.block_length :] = 7
    before, after = (denoiser.logits(tokens, read=read) for tokens in (canvas, changed))
    torch.testing.assert_close(after, before, **CLOSE)


def test_without_padding_attention_gets_no_mask(denoiser, reference, monkeypatch):
    if denoiser.block_length is not None:
        pytest.skip("attention is block-causal")
    seen = []
    attend = torch.nn.functional.scaled_dot_product_attention

    def spy(*args, **kwargs):
        seen.append((kwargs["attn_mask"], kwargs["is_causal"]))
        return attend(*args, **kwargs)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", spy)
    canvas, _ = reference
    denoiser.logits(canvas, read=torch.arange(2))
    assert seen
    assert all(mask is None and causal is False for mask, causal in seen)


def test_the_projection_sees_only_what_is_read(denoiser, reference):
    canvas, _ = reference
    seen = []
    hook = denoiser.model.lm_head.register_forward_hook(lambda module, args, out: seen.append(args[0].shape[:2]))
    denoiser.logits(canvas, read=torch.tensor([3, 1, 2]))
    hook.remove()
    assert seen == [(canvas.shape[0], 3)]


def test_logits_carry_no_graph(denoiser, reference):
    assert not denoiser.logits(reference[0], read=torch.arange(2)).requires_grad
