import json
import re
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dus.evaluation.tasks import LEVELS, Problem
from dus.lab.tasks.instructions import Instructions
from dus.lab.tasks.instructions.checks import words_of
from dus.lab.tasks.instructions.wording import NUMBERS

TASK = Instructions()
CONSTRAINTS = {1: {1}, 2: {2}, 3: {3, 4}}
BASE_CHECKS = {"count", "from", "about", "different", "keys", "same", "these"}

problems = st.builds(
    lambda level, seed, skip: next(islice(TASK.problems(level, seed), skip, None)),
    st.sampled_from(LEVELS),
    st.integers(-(2**70), 2**70),
    st.integers(0, 20),
)


def checks_of(problem: Problem) -> dict[str, list]:
    return {name: arguments for name, *arguments in json.loads(problem.answer)["checks"]}


def sample(count: int = 400) -> list[Problem]:
    return [problem for level in LEVELS for problem in islice(TASK.problems(level, 11), count)]


@given(problems)
@settings(max_examples=300, deadline=None)
def test_a_solution_fulfils_its_request(problem):
    assert TASK.score(problem, problem.solution) == 1.0
    assert TASK.score(problem, f"\n  {problem.solution} \n") == 1.0


@given(problems)
@settings(max_examples=300, deadline=None)
def test_what_is_checked_is_asked_for(problem):
    specification, question = json.loads(problem.answer), problem.question.lower()
    asked = set(re.findall(r"[a-z]+", question))
    for phrase in (specification.get("begin"), specification.get("end")):
        assert phrase in (None, '"') or f'"{phrase}"' in problem.question
    for name, *arguments in specification["checks"]:
        if name in ("include", "avoid", "these", "first", "last", "same", "value", "keys"):
            assert set(arguments) <= asked
        if name in ("count", "words", "most", "least", "times"):
            assert arguments[-1] in numbers_in(question)
        if name == "about":
            assert arguments[0] in question
        if name == "from":
            assert arguments[0] + "s" in asked
        if name == "different":
            assert "different" in asked or checks_of(problem)["count"] == [1]
    layouts = {"numbered": "number", "bullets": "bullet", "commas": "comma", "semicolons": "semicolon", "json": "json"}
    assert layouts.get(specification["layout"], "") in question
    if specification.get("quoted") or specification.get("begin") == '"':
        assert "double quotes" in question
    if "case" in checks_of(problem):
        assert re.search(r"upper case|lower case|capital|small letters", question)


def numbers_in(question: str) -> set[int]:
    written = {n for n, name in enumerate(NUMBERS) if re.search(rf"\b{name}\b", question)}
    implied = {1} if "a simple sentence" in question or "a single simple" in question else set()
    return written | implied | {int(n) for n in re.findall(r"\d+", question)}


@given(problems)
@settings(max_examples=300, deadline=None)
def test_a_level_has_its_number_of_constraints_and_its_length(problem):
    specification, names = json.loads(problem.answer), set(checks_of(problem))
    record, prose, given_order = "keys" in names, "about" in names, "these" in names
    constraints = len(names - BASE_CHECKS) - (given_order and "order" in names)
    constraints += specification["layout"] not in ("free", "sentences") and not record
    constraints += specification.get("quoted", False) + ("begin" in specification) + ("end" in specification)
    constraints -= specification.get("begin") == '"'
    assert constraints in CONSTRAINTS[problem.level]
    assert len(problem.solution) <= {1: 130, 2: 380, 3: 750}[problem.level]
    assert len(words_of(problem.solution)) <= {1: 20, 2: 60, 3: 130}[problem.level]
    assert len(problem.question) < 350
    assert not re.search(r"[{}]|\bNone\b|  ", problem.question)
    assert not prose or problem.solution.count(".") >= 1


@pytest.fixture(scope="module")
def small_tokenizer():
    """A byte-level BPE that has fewer tokens for this task than a small model that learns several tasks."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=1024, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator((f"{p.question}\n{p.solution}" for p in sample(2000)), trainer)
    return tokenizer


@pytest.mark.parametrize("level", LEVELS)
def test_solutions_fit_in_the_answer_tokens(small_tokenizer, level):
    solutions = [problem.solution for problem in islice(TASK.problems(level, 3), 2000)]
    assert max(len(e.ids) for e in small_tokenizer.encode_batch(solutions)) < TASK.answer_tokens[level]


@pytest.mark.parametrize("level", LEVELS)
def test_questions_hardly_repeat(level):
    questions = [p.question for p in islice(TASK.problems(level, 4), 3000)]
    assert len(set(questions)) > 0.97 * len(questions)


CHOSEN = [problem for level in LEVELS for problem in islice(TASK.problems(level, 8), 40)]


@given(st.sampled_from(CHOSEN), st.text())
@settings(max_examples=300, deadline=None)
def test_no_text_raises(problem, text):
    assert TASK.score(problem, text) == 0.0
    assert TASK.score(problem, problem.solution + text) in (0.0, 1.0)
    assert TASK.score(problem, text.join(problem.solution.split(" "))) in (0.0, 1.0)


@given(st.sampled_from(CHOSEN), st.text('abc.,;:"{}[]()-*12\n\t ', max_size=200))
@settings(max_examples=300, deadline=None)
def test_no_punctuation_raises(problem, text):
    assert TASK.score(problem, text) == 0.0


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "\x00", "\ud800", "1. ", "1.", "-", '"', '""', "{", "{}", "[" * 100_000, "{" * 3000, "," * 3000,
        "1. " * 1000, "- \n" * 1000, "." * 3000, " " * 10**6, "1" * 3999, "x: " * 1000, "The gull " * 400,
        "dog, ſheep, cat", "Kiwi", "\u202edog", "犬, 猫", "ｄｏｇ, cat",
    ],
)  # fmt: skip
def test_hostile_texts_are_wrong(text):
    for problem in CHOSEN:
        assert TASK.score(problem, text) == 0.0
