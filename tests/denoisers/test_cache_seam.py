"""The seam for caches, with a toy cache: layouts equal full forwards, and the published cached decoders come out."""

import json

import pytest
import torch
from transformers import Cache, Qwen3Config, Qwen3ForCausalLM

from dus.denoisers import DenoiserError, Layout, NativeLM, load

CLOSE = {"atol": 1e-5, "rtol": 1e-5}


def layout_of(positions, count, seen):
    """A rectangular layout: `positions` `[P]` or `[N, P]`, and how many columns each row may see (or all of them)."""
    first = torch.atleast_2d(positions)[:, 0].expand(count).tolist()
    seen = (seen,) * count if isinstance(seen, int) else tuple(seen)
    return Layout(positions, None, (positions.shape[-1],) * count, tuple(first), seen)


def ragged_of(columns, seen):
    """A layout of other columns, and of another number of them, in each row."""
    rows = torch.cat([torch.full_like(mine, row) for row, mine in enumerate(columns)])
    counts, first = tuple(map(len, columns)), tuple(int(mine[0]) for mine in columns)
    return Layout(torch.cat(columns), rows, counts, first, tuple(seen))


class ToyCache(Cache):
    """Keys and values of every canvas column; each forward overwrites those of its layout."""

    def __init__(self, layout):
        super().__init__(layers=[])
        self.layout = layout
        self.states = {}

    def update(self, key_states, value_states, layer_idx, *args, **kwargs):
        layout = self.layout
        count, columns, rows = len(layout.counts), torch.atleast_2d(layout.columns), layout.rows
        if layer_idx not in self.states:
            heads, width, depth = key_states.shape[1], layout.width, key_states.shape[3]
            self.states[layer_idx] = tuple(key_states.new_full((count, heads, width, depth), 1e3) for _ in range(2))
        if rows is None:
            rows = torch.arange(count)[:, None].expand(-1, columns.shape[1])
            columns = columns.expand_as(rows)
        rows, columns = rows.flatten(), columns.flatten()
        for held, fresh in zip(self.states[layer_idx], (key_states, value_states), strict=True):
            held[rows, :, columns] = fresh.transpose(1, 2).flatten(0, 1)
        keys, values = self.states[layer_idx]
        return keys[:, :, : layout.width], values[:, :, : layout.width]


@pytest.fixture(scope="session")
def ours(llada):
    return load(llada, dtype="float32", device="cpu")


@pytest.mark.parametrize(("kind", "padded"), [("flex_attention", False), ("flash_attention_2", True)])
def test_attention_that_takes_no_cache_is_named(llada, kind, padded, monkeypatch):
    denoiser = load(llada, dtype="float32", device="cpu")
    monkeypatch.setattr(denoiser.model.config, "_attn_implementation_internal", kind)
    canvas, read = torch.full((2, 6), 5), torch.tensor([4])
    layout = layout_of(torch.arange(6), 2, (6, 5) if padded else 6)
    with pytest.raises(DenoiserError, match=f"{kind} takes no cache.*attn_implementation='sdpa'"):
        denoiser.logits(canvas, read=read, cache=ToyCache(layout))


def unmask(denoiser, canvas, logits, block, threshold):
    """One step of threshold decoding at the block's columns: logits [1, B, V], canvas [1, L] in place."""
    logits[..., denoiser.mask_token_id] = -1e9
    confidence, token = logits[0].double().softmax(-1).max(-1)
    masked = canvas[0, block] == denoiser.mask_token_id
    confidence = confidence.where(masked, -1.0)
    chosen = masked & (confidence >= threshold)
    chosen[confidence.argmax()] = True
    canvas[0, block[chosen]] = token[chosen]


def decode(denoiser, trace, kept):
    """Threshold decoding with the `kept` columns cached; returns the generated tokens and the calls made."""
    prompt = torch.tensor([trace["prompt"]])
    start, length = prompt.shape[1], prompt.shape[1] + trace["gen_length"]
    canvas = torch.cat([prompt, torch.full((1, trace["gen_length"]), denoiser.mask_token_id)], dim=1)
    calls = spare = 0
    for begin in range(start, length, trace["block_length"]):
        block = torch.arange(begin, begin + trace["block_length"])
        cache = ToyCache(layout_of(torch.arange(length), 1, length))
        first = calls
        while (canvas[0, block] == denoiser.mask_token_id).any():
            unmask(denoiser, canvas, denoiser.logits(canvas, read=block, cache=cache), block, trace["threshold"])
            again = block if kept == "dual" else torch.arange(begin, length)
            cache.layout = layout_of(again, 1, length)
            calls += 1
        spare += calls - first == 1  # the published loop makes a second call all the same
    return canvas[0, start:].tolist(), calls + spare


@pytest.mark.parametrize("kept", ["prefix", "dual"])
def test_published_cached_traces(ours, llada, kept):
    file = llada / "traces.json"
    traces = json.loads(file.read_text()) if file.exists() else []
    cached = [trace for trace in traces if trace["algo"] == f"threshold+{kept}_cache"]
    if not cached:
        pytest.skip("no cached traces here")
    for trace in cached:
        assert decode(ours, trace, kept) == (trace["output"], trace["nfe"])


def alone(denoiser, canvas, seen, read):
    """Each row by itself, cut to what it may see, in a full forward: the reference."""
    return [denoiser.logits(row[None, :end], read=mine)[0] for row, end, mine in zip(canvas, seen, read, strict=True)]


def before(denoiser, columns):
    """The columns to compute so that `columns` `[…, P]`, neighbours, can be read: a shifted model needs one before."""
    return torch.cat([columns[..., :1] - 1, columns], dim=-1) if denoiser.shift else columns


@pytest.fixture(params=["dus_sdpa", "dus_matmul", "eager"])
def attending(request, golden):
    """A denoiser of every reference checkpoint with every attention implementation."""
    return load(golden, dtype="float32", device="cpu", attn_implementation=request.param)


def test_a_cache_that_computes_everything_changes_nothing(denoiser, reference):
    canvas, _ = reference
    count, length = canvas.shape
    read = (torch.arange(3 * count) * 7 % length).view(count, 3)
    logits = denoiser.logits(canvas, read=read, cache=ToyCache(layout_of(torch.arange(length), count, length)))
    torch.testing.assert_close(logits, denoiser.logits(canvas, read=read), **CLOSE)


@pytest.mark.parametrize("each_row_its_own", [False, True])
@pytest.mark.parametrize("short", [0, 9])
def test_part_of_a_canvas_equals_the_whole_while_nothing_changed(attending, reference, each_row_its_own, short):
    """Fresh keys and values everywhere: a partial forward reproduces the full one, of rows that end earlier too."""
    denoiser, (canvas, _) = attending, reference
    count, length = canvas.shape
    seen = [length - short * (row % 2) for row in range(count)]
    cache = ToyCache(layout_of(torch.arange(length), count, seen))
    denoiser.logits(canvas, read=torch.arange(1), cache=cache)
    begin = torch.arange(count)[:, None] % 2 + 5 if each_row_its_own else torch.tensor(5)
    block = begin + torch.arange(4)
    cache.layout = layout_of(before(denoiser, block), count, seen)
    part = denoiser.logits(canvas, read=block, cache=cache)
    expected = alone(denoiser, canvas, seen, torch.atleast_2d(block).expand(count, -1))
    torch.testing.assert_close(part, torch.stack(expected), **CLOSE)


def test_columns_behind_what_is_seen_change_nothing(attending, reference):
    denoiser, (canvas, _) = attending, reference
    count, length = canvas.shape
    block = torch.arange(6, 10)
    answers = []
    for token in (3, 5):
        changed = canvas.clone()
        changed[0, 12:] = token
        cache = ToyCache(layout_of(torch.arange(length), count, [12] + [length] * (count - 1)))
        denoiser.logits(changed, read=torch.arange(1), cache=cache)
        cache.layout = layout_of(before(denoiser, block), count, cache.layout.seen)
        answers.append(denoiser.logits(changed, read=block, cache=cache))
    # Experts take tokens of all rows together, which decides how their sums are rounded.
    torch.testing.assert_close(answers[0], answers[1], atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("attention", ["dus_sdpa", "dus_matmul"])
def test_ragged_layouts_equal_each_row_alone(golden, reference, attention):
    """First everything that a row has, then a piece of its own in each row, read as pairs of row and column."""
    denoiser = load(golden, dtype="float32", device="cpu", attn_implementation=attention)
    assert denoiser.ragged
    canvas, _ = reference
    count, length = canvas.shape
    seen = [length - 7 * row for row in range(count)]
    wide = ToyCache(layout_of(torch.arange(length), count, length))
    denoiser.logits(canvas, read=torch.arange(1), cache=wide)  # makes room for all columns
    wide.layout = ragged_of([torch.arange(end) for end in seen], seen)
    read = [torch.arange(2 + row, 6 + 3 * row) for row in range(count)]
    pairs = torch.cat([torch.full_like(mine, row) for row, mine in enumerate(read)]), torch.cat(read)
    expected = torch.cat(alone(denoiser, canvas, seen, read))
    torch.testing.assert_close(denoiser.logits(canvas, read=pairs, cache=wide), expected, **CLOSE)
    wide.layout = ragged_of([before(denoiser, mine) for mine in read], seen)
    torch.testing.assert_close(denoiser.logits(canvas, read=pairs, cache=wide), expected, **CLOSE)


def test_pairs_read_what_rectangles_do(denoiser, reference):
    canvas, _ = reference
    count, length = canvas.shape
    rows, columns = torch.arange(count).repeat_interleave(4), torch.tensor([0, 9, 3, length - 1]).repeat(count)
    logits = denoiser.logits(canvas, read=(rows, columns))
    torch.testing.assert_close(logits.view(count, 4, -1), denoiser.logits(canvas, read=columns[:4]), **CLOSE)


@pytest.mark.parametrize("ragged", [False, True])
def test_reading_what_was_not_computed_fails(golden, reference, ragged):
    denoiser = load(golden, dtype="float32", device="cpu", attn_implementation="dus_sdpa")
    canvas, _ = reference
    count, length = canvas.shape
    cache = ToyCache(layout_of(torch.arange(length), count, length))
    denoiser.logits(canvas, read=torch.arange(2), cache=cache)
    columns = [torch.arange(4, 8 + row * ragged) for row in range(count)]
    cache.layout = ragged_of(columns, [length] * count) if ragged else layout_of(torch.arange(4, 8), count, length)
    with pytest.raises(IndexError):
        denoiser.logits(canvas, read=(torch.tensor([0]), torch.tensor([9])), cache=cache)


BLOCK = 4


@pytest.fixture(scope="module", params=["dus_sdpa", "dus_matmul", "eager"])
def blocks(request):
    """A block-causal denoiser over transformers' own Qwen3 of random weights."""
    torch.manual_seed(0)
    config = Qwen3Config(
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        intermediate_size=48,
        vocab_size=64,
        initializer_range=0.3,
    )
    model = Qwen3ForCausalLM(config).eval()
    model.set_attn_implementation(request.param)
    denoiser = NativeLM(model, mask_token_id=2)
    denoiser.block_length = BLOCK
    return denoiser


def block_causal(model, canvas):
    """The model's logits under a block-causal mask that is written down entry by entry."""
    length = canvas.shape[1]
    mask = torch.full((1, 1, length, length), -1e9)
    for query in range(length):
        mask[..., query, : (query // BLOCK + 1) * BLOCK] = 0
    kind = model.config._attn_implementation
    model.set_attn_implementation("eager")
    with torch.no_grad():
        logits = model(input_ids=canvas, attention_mask=mask).logits
    model.set_attn_implementation(kind)
    return logits


@pytest.fixture
def canvas():
    return torch.randint(3, 64, (3, 14), generator=torch.Generator().manual_seed(1))


def test_block_causal_forwards_equal_the_mask_written_down(blocks, canvas):
    """Left-padded rows too: their grids begin at their first tokens."""
    expected = block_causal(blocks.model, canvas)
    torch.testing.assert_close(blocks.logits(canvas, read=torch.arange(14)), expected, **CLOSE)
    padded = torch.cat([torch.full((3, 3), 7), canvas], dim=1)
    mask = torch.arange(17).expand(3, -1) >= 3
    got = blocks.logits(padded, read=torch.arange(3, 17), attention_mask=mask)
    torch.testing.assert_close(got, expected, **CLOSE)


@pytest.mark.parametrize("end", [8, 10])
def test_finished_blocks_and_a_new_one_equal_the_whole_forward(blocks, canvas, end):
    """Keys and values of finished blocks are exact: block after block gives what one forward over all of it does."""
    expected = block_causal(blocks.model, canvas)
    cache = ToyCache(layout_of(torch.arange(14), 3, 14))
    blocks.logits(torch.full_like(canvas, 2), read=torch.arange(1), cache=cache)
    start = end // BLOCK * BLOCK
    for columns, seen in ((torch.arange(start), start), (torch.arange(start, 14), 14)):
        cache.layout = layout_of(columns, 3, seen)
        got = blocks.logits(canvas, read=columns, cache=cache)
        torch.testing.assert_close(got, expected[:, columns], **CLOSE)


def test_rows_at_different_blocks_go_together(blocks, canvas):
    """Ragged: one row is at its first blocks, another at its last, and each sees up to its own block's end."""
    if not blocks.ragged:
        pytest.skip("eager attention takes no ragged layout")
    expected = block_causal(blocks.model, canvas)
    cache = ToyCache(layout_of(torch.arange(14), 3, 14))
    blocks.logits(canvas, read=torch.arange(1), cache=cache)
    columns, seen = [torch.arange(8), torch.arange(4, 14), torch.arange(12, 14)], (8, 14, 14)
    cache.layout = ragged_of(columns, seen)
    pairs = torch.cat([torch.full_like(mine, row) for row, mine in enumerate(columns)]), torch.cat(columns)
    torch.testing.assert_close(blocks.logits(canvas, read=pairs, cache=cache), expected[pairs], **CLOSE)
