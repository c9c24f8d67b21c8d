import re
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dus.evaluation.tasks import LEVELS, TASKS
from dus.lab.training import tokenizer as tokenizers


@pytest.fixture(scope="module")
def tokenizer(vocabulary):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(vocabulary)


@given(text=st.text(max_size=200))
@settings(max_examples=300, deadline=None)
def test_any_text_round_trips(tokenizer, text):
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(ids) == text
    assert all(0 <= i < tokenizers.VOCAB_SIZE for i in ids)


@given(
    before=st.text(alphabet="ab .,=+$(#-\n", max_size=8),
    number=st.integers(0, 99),
    after=st.text(alphabet="ab .,)\n", max_size=8),
)
@settings(max_examples=300, deadline=None)
def test_a_number_below_100_has_one_token_wherever_it_stands(tokenizer, before, number, after):
    tokens = tokenizer.tokenize(f"{before}{number}{after}")
    assert tokens.count(str(number)) == 1


@given(number=st.integers(0, 10**12))
@settings(max_examples=200, deadline=None)
def test_longer_numbers_split_in_pairs_from_the_right(tokenizer, number):
    digits = str(number)
    first = len(digits) % 2
    pairs = [digits[:1]] * first + [digits[i : i + 2] for i in range(first, len(digits), 2)]
    assert tokenizer.tokenize(f"is {number}.")[-1 - len(pairs) : -1] == pairs


def test_generated_words_are_few_tokens(tokenizer):
    for level in LEVELS:
        for problem in islice(TASKS["arithmetic"].problems(level, 9), 200):
            words = re.findall(r"\w+|[^\w\s]+", problem.solution)
            assert len(tokenizer.tokenize(problem.solution)) <= 1.2 * len(words)


def test_the_chat_template_writes_what_training_rows_hold(tokenizer):
    from dus.lab.training.data import Encoder

    problem = next(TASKS["arithmetic"].problems(2, 1))
    turns = [{"role": "user", "content": problem.question}]
    prompt = tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
    assert prompt == f"<|user|>{problem.question}<|assistant|>"
    full = tokenizer.apply_chat_template([*turns, {"role": "assistant", "content": problem.solution}], tokenize=False)
    row = Encoder(tokenizer).problems([(problem.question, problem.solution)])[0]
    assert tokenizer(full)["input_ids"] == row.tokens
    assert row.maskable.index(True) == len(tokenizer(prompt)["input_ids"])


def test_it_is_made_the_same_every_time(tokenizer):
    assert tokenizers.build().get_vocab() == tokenizer.get_vocab()
