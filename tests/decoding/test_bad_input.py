"""What can't be done as asked is refused with a clear error, and before anything is computed where that can be."""

import pytest
import torch
from transformers import BatchEncoding

import dus
from dus.decoding import GenerationError
from dus.denoisers import Denoiser, DenoiserError, from_callable
from dus.planners import PlannerError

from .standins import MASK, Pieces, Recorder, constant, hashed

TEXT = hashed(1, vocab_size=8, tokenizer=Pieces("a", "b", "c", " ", "user:", ";"), max_length=20)
CHAT = hashed(1, vocab_size=8, tokenizer=Pieces("a", "b", "c", " ", "user:", ";", chat=True))
IDS = hashed(1, vocab_size=9)
ROW = torch.tensor([[2, 3]])
HELLO = [{"role": "user", "content": "ab"}]

SETTINGS = [
    ({"block_length": 0}, "block_length is 0, at least 1"),
    ({"block_length": -4}, "block_length is -4"),
    ({"block_length": 2.5}, "block_length is 2.5, .*whole number"),
    ({"max_new_tokens": -1}, "max_new_tokens is -1"),
    ({"max_new_tokens": 4.0}, "max_new_tokens is 4.0, .*whole number"),
    ({"max_new_tokens": 0}, "nothing to generate: max_new_tokens is 0 and prompt 0 holds no mask"),
    ({"temperature": -0.5}, "temperature is -0.5"),
    ({"temperature": float("nan")}, "temperature is nan"),
    ({"temperature": float("inf")}, "temperature is inf"),
    ({"top_p": 0.0}, "top_p is 0.0"),
    ({"top_p": 1.5}, "top_p is 1.5"),
    ({"top_p": float("nan")}, "top_p is nan"),
    ({"top_k": 0}, "top_k is 0, at least 1"),
    ({"top_k": 1.5}, "top_k is 1.5, .*whole number"),
    ({"seed": 2**64}, "seed is 18446744073709551616"),
    ({"seed": 0.5}, "seed is 0.5, .*whole number"),
    ({"cfg_scale": -1.0}, "cfg_scale is -1.0"),
    ({"cfg_scale": float("inf")}, "cfg_scale is inf"),
    ({"cache": "duall"}, "cache is 'duall', known are auto, none, "),
    ({"eos": "stopp"}, "eos is 'stopp', known are stop, ignore"),
    ({"stop": ""}, "empty string"),
    ({"stop": ["a", ""]}, "empty string"),
    ({"stop": "a"}, "stop strings need a tokenizer"),
    ({"stop": 5}, "stop is 5, .*a string or a list of strings"),
    ({"stop": ["a", 5]}, r"stop is \['a', 5\], .*a string or a list of strings"),
    ({"defer_tokens": [False]}, r"defer_tokens is \(False,\), .*list of token ids"),
    ({"max_new_tokens": True}, "max_new_tokens is True, .*whole number"),
    ({"temperature": True}, "temperature is True, .*number"),
    ({"samples": True}, "samples is True, .*whole number"),
    ({"scores": "no"}, "scores is 'no', .*True or False"),
    ({"progress": "bar"}, "progress is 'bar', .*True, False or a function"),
    ({"max_new_tokens": 10**18}, "max_new_tokens is 1000000000000000000, .*between 0 and 1e9"),
    ({"samples": 10**9}, "samples is 1000000000, .*at most 10,000,000"),
    ({"first_row": -1}, "first_row is -1, .*at least 0"),
    ({"samples": 0}, "samples is 0, .*at least 1"),
    ({"samples": 1.5}, "samples is 1.5, .*whole number"),
    ({"batch_size": 0}, "batch_size is 0, .*at least 1"),
    ({"batch_size": "auto"}, "batch_size is 'auto', .*whole number"),
    ({"suppress_tokens": torch.tensor([5, 6])}, "suppress_tokens is tensor.*list of token ids"),
    ({"defer_tokens": ["x"]}, r"defer_tokens is \('x',\), .*list of token ids"),
    ({"suppress_tokens": [9]}, "suppress_tokens holds 9, .*0 to 8"),
    ({"suppress_tokens": [-1]}, "suppress_tokens holds -1, .*0 to 8"),
    ({"defer_tokens": [4, 100]}, "defer_tokens holds 100, .*0 to 8"),
    ({"suppress_tokens": list(range(9))}, "suppress_tokens leaves no token"),
]


@pytest.mark.parametrize(("settings", "message"), SETTINGS, ids=[str(settings) for settings, _ in SETTINGS])
def test_a_setting_out_of_range_is_named_with_what_would_be_right(settings, message):
    model = Recorder(IDS)
    with pytest.raises(GenerationError, match=message):
        dus.generate(model, ROW, **settings)
    assert model.calls == []


PROMPTS = [
    (TEXT, "", r"prompt 0 is empty: to generate without a prompt, .* torch.zeros\(1, 0, dtype=torch.long\)"),
    (TEXT, ["a", ""], "prompt 1 is empty"),
    (TEXT, [], "the list is empty"),
    (TEXT, "a<mask>b", "prompt 0 contains the mask token: dus.infill"),
    (TEXT, HELLO, "no chat template"),
    (TEXT, [HELLO, HELLO], "no chat template"),
    (IDS, "ab", "no tokenizer: give token ids"),
    (IDS, HELLO, "no tokenizer"),
    (IDS, torch.zeros(0, 4, dtype=torch.long), "the list is empty"),
    (IDS, torch.zeros(2, 2, 2, dtype=torch.long), r"prompt 0 has shape \[2, 2\]"),
    (IDS, [torch.tensor([2]), torch.tensor([[2, 3]])], r"prompt 1 has shape \[1, 2\]"),
    (IDS, torch.tensor([[2.0, 3.0]]), "torch.float32: token ids are a 1-D integer tensor"),
    (IDS, torch.tensor([[True, False]]), "torch.bool: token ids are a 1-D integer tensor"),
    (IDS, torch.tensor([[2, 9]]), "prompt 0 holds token ids outside the vocabulary, 0 to 8"),
    (IDS, [torch.tensor([2]), torch.tensor([-1])], "prompt 1 holds token ids outside the vocabulary"),
    (IDS, [2.0, 3.0], r"prompt 0 .*token ids are a 1-D integer tensor"),
    (IDS, None, "prompts are a string, .*not a NoneType"),
    (IDS, 7, "prompts are a string, .*not an? int"),
    (CHAT, HELLO[0], "prompts are a string, .*not a dict"),
    (CHAT, BatchEncoding({"tokens": [[2, 3]]}), "prompts are a string, .*not a BatchEncoding"),
    (CHAT, [{"role": "user"}], "prompt 0: chat messages are dictionaries whose role and content are strings"),
    (CHAT, [HELLO, [{"role": "user", "content": [{"type": "text", "text": "a"}]}]], "prompt 1: chat messages"),
    (CHAT, [*HELLO, "ab"], "prompt 0: chat messages"),
    (TEXT, [None], "prompt 0 is a NoneType"),
    (TEXT, [["a"]], "prompt 0 is a list"),
]


@pytest.mark.parametrize(
    ("model", "prompts", "message"), PROMPTS, ids=[" ".join(str(prompts).split()) for _, prompts, _ in PROMPTS]
)
def test_a_prompt_that_is_none_is_refused_by_its_number(model, prompts, message):
    with pytest.raises(GenerationError, match=message):
        dus.generate(model, prompts)


def test_asking_for_a_chat_template_that_is_missing_says_so():
    with pytest.raises(GenerationError, match="no chat template: give plain text and chat=False"):
        dus.generate(TEXT, "ab", chat=True)


def test_a_chat_template_is_used_where_there_is_one_unless_it_is_not_wanted():
    for prompts, chat, length in (("ab", None, 4), (HELLO, None, 4), ("ab", False, 2), (HELLO, False, 4)):
        model = Recorder(CHAT)
        dus.generate(model, prompts, chat=chat, max_new_tokens=1)
        assert model.calls[0].canvas.shape == (1, length + 1)


@pytest.mark.parametrize("planner", ["duss", "", "dus(", "dus(base=1)", "dus(bases=2)", "spaced(gap=2)", None, 3])
def test_a_planner_text_with_a_mistake_is_refused(planner):
    model = Recorder(IDS)
    with pytest.raises(PlannerError):
        dus.generate(model, ROW, planner=planner)
    assert model.calls == []


def test_a_typo_in_a_planners_name_gets_a_suggestion():
    with pytest.raises(PlannerError, match="did you mean 'confidence'"):
        dus.generate(IDS, ROW, planner="confidense")


@pytest.mark.parametrize(
    ("length", "new", "message"),
    [
        (21, 1, "prompt 1: a prompt of 21 tokens and 1 new ones exceed the model's context of 20 tokens"),
        (30, 8, "at most 0 tokens"),
        (12, 9, "shorten the prompt or generate at most 8 tokens"),
    ],
)
def test_a_row_over_the_context_is_refused_with_what_would_fit(length, new, message):
    model = Recorder(TEXT)
    with pytest.raises(GenerationError, match=message):
        dus.generate(model, [torch.tensor([2]), torch.full((length,), 2)], max_new_tokens=new, batch_size=1)
    assert model.calls == []


def test_a_row_that_just_fits_the_context_is_generated():
    got = dus.generate(TEXT, torch.full((1, 12), 2), max_new_tokens=8, eos="ignore")
    assert len(got.tokens[0]) == 8
    assert len(dus.infill(TEXT, "ab" * 9 + "[MASK]a").tokens[0]) == 20
    with pytest.raises(GenerationError, match="context of 20"):
        dus.infill(TEXT, "ab" * 10 + "[MASK]")


@pytest.mark.parametrize("model", ["GSAI-ML/LLaDA-8B-Base", None, torch.nn.Linear(2, 2)])
def test_what_is_no_denoiser_is_refused(model):
    for call in (lambda: dus.generate(model, "a"), lambda: dus.infill(model, "[MASK]"), lambda: dus.steps(model, "a")):
        with pytest.raises(DenoiserError, match=r"is no denoiser: make one with dus.load"):
            call()


def test_an_empty_row_of_tokens_is_generation_from_nothing():
    got = dus.generate(IDS, torch.zeros(1, 0, dtype=torch.long), max_new_tokens=6, eos="ignore")
    assert len(got.tokens[0]) == 6


def test_any_iterable_of_prompts_will_do():
    texts = ["a b", "c"]
    expected = dus.generate(TEXT, texts, max_new_tokens=4)
    for prompts in (tuple(texts), iter(texts), (text for text in texts)):
        assert dus.generate(TEXT, prompts, max_new_tokens=4).text == expected.text
    rows = [TEXT.tokenizer(text)["input_ids"] for text in texts]
    assert dus.generate(TEXT, rows, max_new_tokens=4).text == expected.text
    array = torch.tensor(rows[0]).numpy()
    for one in (array[None], array, rows[0], tuple(rows[0]), torch.tensor(rows[0])):
        assert dus.generate(TEXT, one, max_new_tokens=4).text == expected.text[:1]


def test_a_model_without_a_tokenizer_gives_no_text():
    assert dus.generate(IDS, ROW, max_new_tokens=4).text is None


def test_a_denoiser_that_keeps_no_cache_says_so():
    with pytest.raises(DenoiserError, match="cache='none'"):
        dus.generate(IDS, ROW, cache="prefix")


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32])
def test_token_ids_of_any_integer_type_will_do(dtype):
    expected = dus.generate(IDS, ROW, max_new_tokens=4)
    got = dus.generate(IDS, ROW.to(dtype), max_new_tokens=4)
    assert got.tokens[0].tolist() == expected.tokens[0].tolist()


def breaking(value, at, token=None):
    """A denoiser whose logits for the row that begins with 4 turn to `value` at call `at`: all, or those of a token."""
    model = hashed(2, vocab_size=9)
    plain, calls = model.fn, iter(range(1000))

    def fn(canvas):
        logits = plain(canvas)
        if next(calls) >= at:
            logits[canvas[:, 0] == 4, :, slice(None) if token is None else token] = value
        return logits

    return from_callable(fn, mask_token_id=MASK, vocab_size=9)


@pytest.mark.parametrize("planner", ["dus", "confidence", "eb(gamma=1)", "saber", "cb | spaced(gap=3)", "remdm"])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize(
    ("value", "at", "token"),
    [
        pytest.param(float("nan"), 0, None, id="NaN at the first step"),
        pytest.param(float("nan"), 0, 4, id="NaN for one token"),
        pytest.param(float("nan"), 2, None, id="NaN at a later step"),
        pytest.param(float("nan"), 4, 4, id="NaN for one token in a later block"),
        pytest.param(float("inf"), 1, 4, id="infinity for one token"),
        pytest.param(-float("inf"), 1, None, id="minus infinity for all"),
    ],
)
def test_broken_logits_are_an_error_that_names_the_row_and_the_block(planner, temperature, value, at, token):
    with pytest.raises(
        GenerationError,
        match=r"the denoiser gave .* for row 1, in the block of positions \d+ to \d+, at the row's step \d+: ",
    ):
        dus.generate(
            breaking(value, at, token),
            torch.tensor([[2, 3], [4, 5]]),
            planner=planner,
            max_new_tokens=12,
            block_length=4,
            temperature=temperature,
            seed=1,
        )


def test_the_step_is_the_one_that_broke():
    rows = torch.tensor([[2, 3], [4, 5], [4, 6]])
    message = r"for row 1, in the block of positions 4 to 7, at the row's step 3: "
    with pytest.raises(GenerationError, match=message):
        dus.generate(breaking(float("nan"), 3), rows, max_new_tokens=12, block_length=4, eos="ignore")


def test_broken_logits_of_the_mask_token_do_no_harm():
    for value in (float("nan"), float("inf"), -float("inf")):
        got = dus.generate(constant([value, 1.0, 3.0, 0.0]), ROW, max_new_tokens=4, cfg_scale=1.0)
        assert got.tokens[0].tolist() == [2] * 4


def test_minus_infinity_for_some_tokens_is_a_token_that_is_never_written():
    logits = [0.0, -float("inf"), 1.0, -float("inf"), 0.5]
    for planner in ("dus", "entropy", "margin", "saber"):
        got = dus.generate(constant(logits), ROW, planner=planner, max_new_tokens=32, temperature=5.0, seed=1)
        assert set(got.tokens[0].tolist()) == {2, 4}
        assert all(torch.isfinite(scores).all() for scores in (got.trace.confidence[0], got.trace.entropy[0]))


@pytest.mark.parametrize("cfg_scale", [0.0, 0.5])
@pytest.mark.parametrize("wrong", ["all positions", "more tokens", "one row"])
def test_logits_of_another_shape_are_refused(wrong, cfg_scale):
    class Wrong(Denoiser):
        mask_token_id, vocab_size = MASK, 9

        def logits(self, canvas, *, read, attention_mask=None, cache=None):
            count = 1 if wrong == "one row" else canvas.numel() if wrong == "all positions" else len(read[0])
            return torch.zeros(count, 9 + (wrong == "more tokens"))

    with pytest.raises(DenoiserError, match=r"gave logits of shape \(.*\) where \(.*\) were asked for"):
        dus.generate(Wrong(), [[2, 3], [3, 2]], max_new_tokens=8, cfg_scale=cfg_scale)
