"""Whatever is asked of a generation from Python: an answer without a mask in it, or an error of ours."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import dus
from dus.denoisers import from_callable

from .conftest import TEMPLATE
from .fuzzing import bytes_model, fuzz, ours, values

few = st.integers(1, 9)
ids = st.lists(st.integers(0, 8), min_size=1, max_size=5)
blanks = st.sampled_from(["a [MASK] b", "x[MASK]", "[MASK][MASK] \n", " [MASK] 1 [MASK]", "<|mask|>é<|end|>"])
texts = st.text(min_size=1, max_size=6) | st.sampled_from(["<|end|><|end|>", "a [MASK]", " "])
turns = st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant", "system"]), "content": texts})
rows = st.lists(ids, min_size=1, max_size=3)
tensors = st.lists(st.lists(st.integers(0, 8), min_size=3, max_size=3), min_size=1, max_size=2).map(torch.tensor)


@st.composite
def padded(draw):
    """Ids and an attention mask, padded on the left or on the right with the end token."""
    found, left = draw(rows), draw(st.booleans())
    longest = max(map(len, found))
    blank = [[0] * (longest - len(row)) for row in found]
    each = [(empty, row) if left else (row, empty) for empty, row in zip(blank, found, strict=True)]
    mask = [[int(part is row) for part in pair for _ in part] for pair, row in zip(each, found, strict=True)]
    return {"input_ids": [[*one, *other] for one, other in each], "attention_mask": mask}


TOKENS = st.one_of(rows, tensors, padded())
TEXTS = st.one_of(texts, st.lists(texts, min_size=1, max_size=3))
CHATS = st.lists(turns, min_size=1, max_size=3)
SENSIBLE = {
    "planner": st.sampled_from(["dus", "random", "eb(gamma=1) | spaced(gap=2)", "saber", "remdm", "wino", "klass"]),
    "block_length": few | st.sampled_from(["auto", "auto(bits=1)"]),
    "temperature": st.floats(0, 3),
    "top_p": st.floats(0.01, 1),
    "top_k": few,
    "seed": st.integers(-(2**63), 2**63 - 1),
    "cfg_scale": st.floats(0, 2),
    "suppress_tokens": ids,
    "defer_tokens": ids,
    "batch_size": few,
    "scores": st.booleans(),
    "samples": st.integers(1, 3),
}
OF_GENERATE = {
    **SENSIBLE,
    "stop": texts | st.lists(texts, max_size=2),
    "eos": st.sampled_from(["stop", "ignore"]),
    "max_new_tokens": few,
    "chat": st.none() | st.booleans(),
}
OF_INFILL = {**SENSIBLE, "end_tokens": st.booleans()}
small = values.filter(lambda value: not isinstance(value, int | float) or abs(value) <= 9)


@st.composite
def arguments(draw, sensible):
    """Arguments of a generation; of three sets two can be meant, and the third has a wrong value or a wrong name."""
    chosen = draw(st.lists(st.sampled_from(sorted(sensible)), max_size=4, unique=True))
    found = {name: draw(sensible[name]) for name in chosen}
    if draw(st.integers(0, 2)) == 0:
        name = draw(st.sampled_from([*sensible, "attention_mask", "first_row", "cache", "gen_length", "prompt", ""]))
        found[name] = draw(small if name in ("samples", "max_new_tokens") else values)
    return found


@pytest.fixture(scope="module")
def models():
    """A model of bytes, one with a chat template, and one that has no tokenizer."""
    bare = from_callable(
        lambda canvas: torch.zeros(*canvas.shape, 9), mask_token_id=1, vocab_size=9, eos_token_ids=(0,)
    )
    return [bytes_model(), bytes_model(TEMPLATE), bare]


@fuzz
@given(data=st.data())
def test_generations(data, models):
    number = data.draw(st.integers(0, 2))
    prompts = data.draw([TEXTS | TOKENS, TEXTS | CHATS | TOKENS, TOKENS][number])
    if data.draw(st.integers(0, 9)) == 0:
        prompts = data.draw(st.one_of(TEXTS, CHATS, TOKENS, values))
    asked = {"max_new_tokens": 5, **data.draw(arguments(OF_GENERATE))}
    found = ours(dus.generate, models[number], prompts, **asked)
    if found is not None:
        assert repr(found)
        assert found._repr_html_()
        assert all(models[number].mask_token_id not in tokens for tokens in found.tokens)


@fuzz
@given(data=st.data())
def test_infillings(data, models):
    text = data.draw(st.one_of(blanks, st.lists(blanks | texts, min_size=1, max_size=3), texts.map("{}[MASK]".format)))
    if data.draw(st.integers(0, 9)) == 0:
        text = data.draw(texts | values)
    model = data.draw(st.sampled_from(models[:2]))
    found = ours(dus.infill, model, text, **data.draw(arguments(OF_INFILL)))
    assert found is None or all(model.mask_token_id not in tokens for tokens in found.tokens)
