"""loglikelihood and loglikelihood_rolling: the estimates, from lm-eval's texts and in its order."""

import logging
import math
from itertools import pairwise

import pytest
import torch

from dus.evaluation.harness.arguments import HarnessError
from dus.evaluation.harness.likelihood import Likelihood
from dus.evaluation.harness.model import DusLM
from dus.lab.theory import MarkovDenoiser, random_markov

from .standins import Counter, denoiser, hashed, letters, requests, scripted

PAIRS = [("abc", "dcbaabcd"), ("h", "a"), ("", "abab"), ("ffff", "efghabcdaa")]


def scores(lm, *pairs):
    return lm.loglikelihood(requests("loglikelihood", *pairs), disable_tqdm=True)


def rolling(lm, *texts):
    return lm.loglikelihood_rolling(requests("loglikelihood_rolling", *((text,) for text in texts)), disable_tqdm=True)


def perfect(seed=0, **kwargs):
    """A Markov source's denoiser with a tokenizer of its letters, and the log-probability of a text under it."""
    source = random_markov(4, 1, seed=seed)
    model = MarkovDenoiser(source)
    model.tokenizer = letters("abcd", specials=())

    def truth(text):
        ids = ["abcd".index(letter) for letter in text]
        steps = [source.transition[one, other] for one, other in pairwise(ids)]
        return math.log(source.initial[ids[0]]) + sum(map(math.log, steps))

    return DusLM(model, **kwargs), truth


def factorised():
    """A denoiser for which every letter has its own probability, whatever stands beside it."""
    tokenizer = letters()
    logits = torch.arange(float(len(tokenizer))).log1p()
    model = denoiser(lambda canvas: logits.expand(*canvas.shape, -1), tokenizer)
    return model, logits.log_softmax(dim=-1)[: len("abcdefgh")].tolist()


def test_texts_are_split_and_answers_are_in_the_order_of_the_requests():
    model = hashed(1)
    ids = [tuple(["abcdefgh".index(letter) for letter in text] for text in pair) for pair in PAIRS]
    expected = dict(Likelihood(model, samples=40, seed=5).estimates(ids, 7))
    lm = DusLM(model, mc_samples=40, seed=5, batch_size=3)
    assert [value for value, _ in scores(lm, *PAIRS)] == [expected[number].value for number in range(4)]
    assert sorted(lm.record.errors) == sorted(estimate.error for estimate in expected.values())
    assert scores(DusLM(model, mc_samples=40, seed=5, batch_size=16), *PAIRS) == scores(lm, *PAIRS)
    assert scores(DusLM(model, mc_samples=40, seed=6, batch_size=16), *PAIRS) != scores(lm, *PAIRS)


def test_a_space_between_goes_to_the_continuation():
    lm = DusLM(hashed(2, tokenizer=letters(" abc")))
    assert scores(lm, ("ab ", "c")) == scores(lm, ("ab", " c"))


def test_a_text_without_a_context_is_a_stretch_of_its_own():
    lm, truth = perfect(1)
    texts = ["abcd", "dd", "abacab", "c"]
    assert rolling(lm, *texts) == pytest.approx([truth(text) for text in texts], abs=1e-9)
    assert rolling(lm, *texts) == [value for value, _ in scores(lm, *(("", text) for text in texts))]
    assert rolling(lm, "") == [0.0]


def test_a_continuation_behind_a_context():
    lm, truth = perfect(2)
    found = scores(lm, ("abca", "dcb"), ("a", "b"))
    expected = [truth("abcadcb") - truth("abca"), truth("ab") - truth("a")]
    assert [value for value, _ in found] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("length", [2, 5, 6, 100, None])
def test_every_token_of_a_long_text_is_counted_once(length):
    model, law = factorised()
    text = "abcdefghhgfedcba" * 2 + "a"
    lm = DusLM(model, max_length=length, mc_samples=64)
    if length in (100, None):  # one window; its masks are drawn, and that they are no more than the truth is all to say
        assert rolling(lm, text) == pytest.approx([sum(law["abcdefgh".index(letter)] for letter in text)], rel=0.1)
    else:
        assert rolling(lm, text) == pytest.approx([sum(law["abcdefgh".index(letter)] for letter in text)], rel=1e-6)


def test_windows_take_no_more_than_the_model_does():
    seen = []
    model = hashed(3, max_length=6)
    fn = model.fn
    model.fn = lambda canvas: (seen.append(canvas.shape[1]), fn(canvas))[1]
    rolling(DusLM(model), "abcdefghhgfed")
    assert max(seen) <= 6


def test_long_contexts_lose_their_beginning_and_long_continuations_are_refused():
    model = hashed(4, max_length=8)
    lm = DusLM(model, check_greedy=False)
    assert scores(lm, ("abcdefgh", "ab")) == scores(lm, ("cdefgh", "ab"))
    assert scores(lm, ("a", "abcdefgh")) == scores(lm, ("", "abcdefgh"))
    with pytest.raises(HarnessError, match="a continuation of 9 tokens is longer than the canvas of 8"):
        scores(lm, ("a", "abcdefgha"))
    with pytest.raises(HarnessError, match="the continuation '' has no token of its own"):
        scores(lm, ("a", ""))


@pytest.mark.parametrize("planner", ["dus", "confidence", "eb(gamma=1)"])
def test_greedy_is_what_the_planner_writes(planner):
    lm = DusLM(scripted("abcd", before=2), planner=planner, mc_samples=2, temperature=1.0, suppress_tokens=[7])
    found = scores(lm, ("ef", "abcd"), ("ef", "abc"), ("ef", "abce"), ("fe", "abcd"), ("e", "abcd"))
    assert [greedy for _, greedy in found] == [True, True, False, True, False]
    assert [greedy for _, greedy in scores(lm, ("ef", "abcd<end><end>"), ("ef", "abcd<end>a"))] == [True, False]
    assert [greedy for _, greedy in scores(DusLM(scripted("abcd", before=2), check_greedy=False), ("ef", "abcd"))] == [
        False
    ]


def test_equal_contexts_are_decoded_once_to_see_what_is_greedy():
    choices = [("ab", letter) for letter in "abcdefgh"]
    greedy, blind = Counter(hashed(5)), Counter(hashed(5))
    found = scores(DusLM(greedy, batch_size=64), *choices)
    scores(DusLM(blind, batch_size=64, check_greedy=False), *choices)
    assert sum(is_greedy for _, is_greedy in found) == 1
    assert (greedy.rows, blind.rows) == (2, 1)


def test_guidance_changes_what_is_likely():
    model = hashed(6)
    plain, guided = DusLM(model), DusLM(model, cfg_scale=1.5)
    ((expected, _),) = (
        (found.value, 0) for _, found in Likelihood(model, cfg_scale=1.5).estimates([([0, 1], [2, 3])], 4)
    )
    assert scores(guided, ("ab", "cd"))[0][0] == expected != scores(plain, ("ab", "cd"))[0][0]


def test_the_standard_error_is_logged_and_in_the_results_with_the_seed_and_the_masks(caplog):
    log = logging.getLogger("lm_eval.models.dus")
    log.addHandler(caplog.handler)
    caplog.set_level(logging.INFO, log.name)
    lm = DusLM(hashed(7), mc_samples=16, seed=3, batch_size=16)
    scores(lm, *PAIRS)
    log.removeHandler(caplog.handler)
    mean, most = sum(lm.record.errors) / 4, max(lm.record.errors)
    assert f"4 log-likelihoods, standard error {mean:.3g} nats on average, {most:.3g} at most" in caplog.text
    found = lm.get_model_info()
    assert (found["log_likelihood_error"], found["mc_samples"], found["seed"]) == (mean, 16, 3)


def test_a_long_text_has_the_error_of_its_pieces_together():
    lm = DusLM(hashed(8), max_length=20, mc_samples=16, batch_size=16)
    text = "abcdefghgfedcbaacegbdfh" * 2
    rolling(lm, text)
    pieces = Likelihood(hashed(8), samples=16).estimates(list(lm.texts.windows(text)), 16)
    assert lm.record.errors == [pytest.approx(math.hypot(*(found.error for _, found in pieces)))]


def test_scores_are_handed_to_the_cache_as_they_are_done():
    done = []
    lm = DusLM(Counter(hashed(9), most=60), check_greedy=False, batch_size=16, mc_samples=32)
    lm.kept.put = lambda key, answer: done.append((answer["value"], answer.get("greedy")))
    with pytest.raises(KeyboardInterrupt):
        scores(lm, *PAIRS)
    expected = dict(
        zip(PAIRS, scores(DusLM(hashed(9), check_greedy=False, batch_size=16, mc_samples=32), *PAIRS), strict=True)
    )
    assert done == [expected[pair] for pair in (("h", "a"), ("", "abab"), ("abc", "dcbaabcd"))]
    lm.denoiser.most = None
    assert rolling(lm, "abc") == [done[-1][0]]
