import re
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dus.evaluation.tasks import LEVELS, TASKS, Problem
from dus.lab.tasks.arithmetic import final_number
from dus.lab.tasks.arithmetic.words import CONTAINERS, NAMES, THINGS

TASK = TASKS["arithmetic"]
OPERATIONS = {1: {1}, 2: {2, 3}, 3: {4, 5, 6}}
EQUATION = re.compile(r"(\d+) ([-+*/]) (\d+) = (\d+)")

problems = st.builds(
    lambda level, seed, skip: next(islice(TASK.problems(level, seed), skip, None)),
    st.sampled_from(LEVELS),
    st.integers(-(2**70), 2**70),
    st.integers(0, 20),
)


def value(a: int, sign: str, b: int) -> float:
    return {"+": a + b, "-": a - b, "*": a * b, "/": a / b}[sign]


@given(problems)
@settings(max_examples=300, deadline=None)
def test_the_solution_computes_its_answer_from_the_question(problem):
    equations = EQUATION.findall(problem.solution)
    assert len(equations) in OPERATIONS[problem.level]
    known = set(re.findall(r"\d+", problem.question))
    fractions = {"half": "2", "a third": "3", "a quarter": "4", "a fifth": "5"}
    known |= {number for word, number in fractions.items() if word in problem.question}
    for a, sign, b, result in equations:
        assert value(int(a), sign, int(b)) == int(result)
        assert {a, b} <= known
        known.add(result)
    assert problem.solution.endswith(f" #### {equations[-1][3]}")
    assert problem.answer == equations[-1][3]
    assert TASK.score(problem, problem.solution)


@given(problems)
@settings(max_examples=300, deadline=None)
def test_quantities_stay_within_the_level(problem):
    numbers = [int(n) for n in re.findall(r"\d+", problem.question + problem.solution)]
    assert max(numbers) < 100
    if problem.level == 1:
        assert max(map(int, re.findall(r"\d+", problem.question))) <= 12
    assert not re.search(r"[{}]|\bNone\b|  ", problem.question + problem.solution)


PROBLEM = Problem("?", "12 + 7 = 19. #### 19", "19", 1)


@pytest.mark.parametrize("level", [1, 2])
def test_what_is_packed_is_named_wherever_a_number_follows(level):
    """ "3 more" behind "2 boxes of 5 cakes" might be boxes."""
    packed = 0
    for problem in islice(TASK.problems(level, 3), 3000):
        first, *rest = re.split(r"(?<=[.?]) ", problem.question)
        thing = next((thing for thing in THINGS if re.search(rf"\b{thing}\b", first)), None)
        if thing is None or not any(f" {box}" in first for box in CONTAINERS):
            continue
        packed += 1
        told = [sentence for sentence in rest if re.search(r"\d", sentence)]
        assert all(thing in sentence for sentence in told), problem.question
    assert packed > 100


def test_a_story_is_told_in_one_sentence_or_in_two():
    questions = [problem.question for problem in islice(TASK.problems(1, 3), 1000)]
    joined = [question for question in questions if re.search(r" and (buys|finds|gives|sells|loses|keeps) ", question)]
    assert 10 < len(joined) < 200


@pytest.mark.parametrize("level", LEVELS)
def test_nobody_is_compared_with_themselves_and_who_is_asked_about_was_there(level):
    for problem in TASK.held_out(level, 2000):
        *told, asked = re.findall(r"[^.?]+[.?]", problem.question)
        assert not any(re.search(r"\b([A-Z][a-z]+) .*\b(than|as) \1\b", sentence) for sentence in told), problem
        named = set(re.findall(r"\b[A-Z][a-z]+", asked)) & set(NAMES)
        assert all(any(name in sentence for sentence in told) for name in named), problem


@pytest.mark.parametrize(
    "text",
    [
        "#### 19",
        "####19",
        "x\n#### 19\n",
        "#### 19.",
        "#### 19.00",
        "#### $19",
        "#### 5 #### 19",
        "#### 19 apples",
        "#### 019",
        pytest.param("#" * 100_000 + "19,", id="many signs"),
    ],
)
def test_right_answers_however_they_are_written(text):
    assert TASK.score(PROBLEM, text)


@pytest.mark.parametrize(
    "text",
    [
        "", "19", "####", "#### ", "#### apples 19", "#### 1 9", "#### 190", "#### -19", "#### 19.5", "#### 19 #### 5",
        "#### 19 ####", "### 19", "#### ١٩", "#### ¹⁹", "#### 1,9", "#### 19,0", "#### nan", "#### 1e1", "#### 0x13",
        "#### 19e5", "#### 19_000", "#### 19 5", "#### 19 - 4", "#### 19 × 3", "#### 19 < 20", "#### 19, 13",
        "#### 19'000", "#### 19/2", "#### 19 * 3", "#### 19%", "#### 19²", "#### 19٣", "#### 19.5.", "#### 19x",
        "#### " + "9" * 100_000, "#### 19" + "0" * 100_000, "\x00#### \x0019",
    ],
)  # fmt: skip
def test_wrong_and_hostile_answers(text):
    assert not TASK.score(PROBLEM, text)


@given(st.text())
def test_no_text_raises(text):
    final_number(text)
    final_number("#### " + text)


@given(st.integers(-(10**17), 10**17))
def test_numbers_with_and_without_commas(number):
    assert final_number(f"so #### {number}") == final_number(f"#### {number:,}") == number
