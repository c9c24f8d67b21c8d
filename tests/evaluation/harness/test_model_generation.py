"""generate_until: the answers of dus.generate, in lm-eval's order, cut where a task wants it."""

import logging

import pytest
import torch

import dus
from dus.evaluation.harness.answers import Calls
from dus.evaluation.harness.arguments import HarnessError
from dus.evaluation.harness.model import DusLM
from dus.lab.theory import MarkovDenoiser, random_markov

from .standins import Counter, hashed, letters, requests, scripted

QUESTIONS = [
    "Tom has 5 apples and buys 7 more. How many apples does Tom have now?",
    "A box holds 3 pens. How many pens are in 4 boxes?",
    "What is 2 + 2?",
]
PROMPTS = ["abcab", "h", "fedcbaab", "ee", "gacd"]


@pytest.fixture(scope="module")
def bundled():
    return dus.load(dtype="float32")


def answers(model, prompts, *, gen_kwargs=None, **arguments):
    lm = DusLM(model, **{"max_new_tokens": 11, "block_length": 8, **arguments})
    return lm.generate_until(requests("generate_until", *((prompt, gen_kwargs or {}) for prompt in prompts)), True), lm


@pytest.mark.parametrize(
    ("planner", "cache"),
    [("dus", "none"), ("eb(gamma=2) | spaced(gap=8)", "prefix"), ("confidence(like=dus)", "touched")],
)
def test_answers_are_those_of_generate_on_the_bundled_model(bundled, planner, cache):
    asked = {"planner": planner, "cache": cache, "block_length": 16, "max_new_tokens": 32}
    lm = DusLM(bundled, batch_size=2, **asked)
    prompts = [lm.apply_chat_template([{"role": "user", "content": question}]) for question in QUESTIONS]
    texts = lm.generate_until(requests("generate_until", *((prompt, {"until": ["####"]}) for prompt in prompts)), True)
    expected = dus.generate(bundled, QUESTIONS, chat=True, stop=["####"], **asked)
    assert texts == expected.text
    calls = lm.calls["a task"]
    assert (calls.nfe, calls.tokens) == (expected.nfe, expected.useful)
    assert calls.mean_nfe == sum(expected.nfe) / 3
    assert calls.tpf == sum(expected.useful) / sum(expected.nfe)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("planner", ["dus", "random(per_step=3)"])
def test_neither_the_batches_nor_the_order_of_lengths_shows(planner, temperature):
    model = hashed(1)
    asked = {"planner": planner, "temperature": temperature, "seed": 3}
    rows = [torch.tensor(model.tokenizer(prompt)["input_ids"]) for prompt in PROMPTS]
    expected = dus.generate(model, rows, max_new_tokens=11, block_length=8, **asked).text
    for batch_size in (1, 2, 5):
        assert answers(model, PROMPTS, batch_size=batch_size, **asked)[0] == expected


def test_a_request_that_is_repeated_gets_another_sample():
    model = hashed(2, sharpness=2.0, tokenizer=letters(specials=()))
    assert len(set(answers(model, ["abc"] * 4, temperature=1.0)[0])) == 4
    assert len(set(answers(model, ["abc"] * 4)[0])) == 1


@pytest.mark.parametrize(
    ("until", "text"),
    [
        ([], "abcdabcd"),
        ("cd", "ab"),
        (["da", "bcd"], "a"),
        (["dabc", "x", ""], "abc"),
        (["a"], ""),
        (["hh"], "abcdabcd"),
    ],
)
@pytest.mark.parametrize("block_length", [1, 3, 32])
def test_an_answer_ends_right_before_its_first_stop_string(until, text, block_length):
    model = scripted("abcdabcd", before=2)
    assert answers(model, ["ef"], gen_kwargs={"until": until}, block_length=block_length)[0] == [text]


def test_stop_strings_can_be_left_out():
    model = scripted("abcdabcd", before=2)
    assert answers(model, ["ef"], gen_kwargs={"until": ["cd"]}, escape_until=True)[0] == ["abcdabcd"]


@pytest.mark.parametrize(("eos", "nfe"), [("stop", 2), ("ignore", 6)])
def test_the_end_token_ends_an_answer_whether_or_not_it_ends_its_decoding(eos, nfe):
    texts, lm = answers(scripted("abc<end>dab", before=2), ["ef"], eos=eos, block_length=4, max_new_tokens=12)
    assert texts == ["abc"]
    assert lm.calls["a task"] == Calls(nfe=[nfe], tokens=[3])


@pytest.mark.parametrize("eos", ["stop", "ignore"])
@pytest.mark.parametrize("until", [["<stop>"], ["d", "<stop>"], ["<stop>", "cd"]])
def test_a_task_may_stop_at_a_token_that_leaves_no_trace_in_a_text(until, eos):
    model = scripted("abc<stop>bdabababab", before=2)
    asked = {"block_length": 4, "max_new_tokens": 12, "planner": "dus", "eos": eos}
    texts, lm = answers(model, ["ef"], gen_kwargs={"until": until}, **asked)
    assert texts == ["abc"]
    assert lm.calls["a task"] == Calls(nfe=[2], tokens=[3])  # and the row ran no further than its block


def test_each_request_is_decoded_as_it_asks():
    model = scripted("abcdefgh", before=2)
    asked = [
        ("ef", {"max_gen_toks": 3, "until": []}),
        ("ab", {"max_gen_toks": 6, "until": ["e"]}),
        ("cd", {"max_new_tokens": 3, "until": []}),
        ("gh", {"until": ["h"], "planner": "confidence", "block_length": 4}),
    ]
    lm = DusLM(model, batch_size=4)
    assert lm.generate_until(requests("generate_until", *asked), True) == ["abc", "abcd", "abc", "abcdefg"]
    assert lm.calls["a task"].nfe[-1] == 8


def test_long_contexts_lose_their_beginning():
    model = hashed(3, max_length=16)
    (text,), lm = answers(model, ["abcdefghabcdefgh"], max_new_tokens=9)
    assert [text] == answers(model, ["bcdefgh"], max_new_tokens=9)[0]
    assert lm.max_length == 16
    assert [text] == answers(hashed(3), ["abcdefghabcdefgh"], max_new_tokens=9, max_length=16)[0]
    with pytest.raises(HarnessError, match="16 new tokens leave no room for a prompt on a canvas of 16"):
        answers(model, ["a"], max_new_tokens=16)


def test_tokens_before_a_text():
    tokenizer = letters(bos_token="a")
    model = hashed(4, tokenizer=tokenizer)
    plain = answers(model, ["ba"])[0]
    assert answers(model, ["ba"], add_bos_token=False)[0] == plain
    assert answers(model, ["ba"], add_bos_token=True)[0] == answers(model, ["aba"])[0] != plain
    assert answers(model, ["aba"], add_bos_token=True)[0] == answers(model, ["aba"])[0]
    with pytest.raises(HarnessError, match="no first token"):
        DusLM(hashed(4), add_bos_token=True)


def test_calls_are_kept_by_task_and_logged(caplog):
    log = logging.getLogger("lm_eval.models.dus")
    log.addHandler(caplog.handler)
    caplog.set_level(logging.INFO, log.name)
    lm = DusLM(scripted("abcd", before=1), max_new_tokens=4, block_length=4, planner="dus")
    lm.generate_until(requests("generate_until", ("a", {}), ("b", {}), task="one"), True)
    lm.generate_until(requests("generate_until", ("c", {"max_gen_toks": 4}), task="two"), True)
    log.removeHandler(caplog.handler)
    assert {task: (calls.nfe, calls.tokens) for task, calls in lm.calls.items()} == {
        "one": ([2, 2], [4, 4]),
        "two": ([2], [4]),
    }
    assert "one: 2 answers, 2.0 denoiser calls each, 2.00 tokens a call" in caplog.text
    assert lm.get_model_info()["calls"]["two"] == {"nfe": 2.0, "tpf": 2.0}


def test_answers_are_handed_to_the_cache_as_they_are_done():
    done = {}
    model = Counter(hashed(5), most=8)
    lm = DusLM(model, max_new_tokens=8, block_length=8, batch_size=2, planner="confidence(steps=2)", eos="ignore")
    lm.kept.put = lambda key, answer: done.update({key: answer["text"]})
    with pytest.raises(KeyboardInterrupt):
        lm.generate_until(requests("generate_until", *((prompt, {}) for prompt in PROMPTS)), True)
    expected = answers(hashed(5), PROMPTS, max_new_tokens=8, planner="confidence(steps=2)")[0]
    assert done  # by now, of the shortest prompts
    assert set(done.values()) < set(expected)


def test_a_batch_size_of_auto_is_what_fits_in_memory():
    class Small(Counter):
        def logits(self, canvas, **kwargs):
            if len(canvas) > 3:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 TiB")
            self.rows = max(self.rows, len(canvas))
            return self.inner.logits(canvas, **kwargs)

    model = Small(hashed(6))
    texts, lm = answers(model, PROMPTS * 2, batch_size="auto:2", max_batch_size=8)
    assert texts == answers(hashed(6), PROMPTS * 2)[0]
    assert model.rows == 2
    model.rows = 0
    pairs = [("ab", letter * 3) for letter in "abcd"]
    found = lm.loglikelihood(requests("loglikelihood", *pairs), True)
    assert found == DusLM(hashed(6), max_new_tokens=11, block_length=8).loglikelihood(
        requests("loglikelihood", *pairs), True
    )
    assert model.rows == 2


def test_what_no_prompt_can_be():
    with pytest.raises(HarnessError, match="contains the mask token: 'a<mask>'"):
        answers(hashed(7), ["a<mask>"])
    with pytest.raises(HarnessError, match="no chat template: leave out --apply_chat_template"):
        DusLM(hashed(7)).apply_chat_template([{"role": "user", "content": "a"}])
    with pytest.raises(HarnessError, match="no tokenizer"):
        DusLM(MarkovDenoiser(random_markov(2, 1)))


def test_a_chat_template_may_leave_a_message_open():
    template = "{% for m in messages %}[{{ m['content'] }}{% if not loop.last %}]{% endif %}{% endfor %}"
    lm = DusLM(hashed(8, tokenizer=letters(chat_template=template + "{% if add_generation_prompt %}]{% endif %}")))
    history = [{"role": "user", "content": "ab"}, {"role": "assistant", "content": "c"}]
    assert lm.apply_chat_template(history, add_generation_prompt=False) == "[ab][c"
    assert lm.apply_chat_template(history[:1]) == "[ab]"


def test_a_chat_template_that_refuses_a_system_turn():
    template = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    lm = DusLM(hashed(8, tokenizer=letters(chat_template=template)))
    with pytest.raises(HarnessError, match="refuses a conversation of system, user: no system role"):
        lm.apply_chat_template([{"role": "system", "content": "a"}, {"role": "user", "content": "b"}])


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_requests_may_come_in_any_order(temperature):
    asked = requests("generate_until", *((prompt, {}) for prompt in PROMPTS))
    arguments = {"max_new_tokens": 11, "block_length": 8, "temperature": temperature, "batch_size": 2}
    expected = DusLM(hashed(1), **arguments).generate_until(asked, True)
    assert len(set(expected)) == len(PROMPTS)
    for order in ([4, 3, 2, 1, 0], [2, 0, 4], [3, 3, 1]):
        found = DusLM(hashed(1), **arguments).generate_until([asked[place] for place in order], True)
        assert found == [expected[place] for place in order]
