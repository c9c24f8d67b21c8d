import re
import subprocess
import sys
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dus.tasks import HELD_OUT_SIZES, LEVELS, TASKS, Problem, TaskError, generated, get
from dus.tasks.arithmetic import final_number

TASK = TASKS["arithmetic"]
OPERATIONS = {1: {1}, 2: {2, 3}, 3: {4, 5, 6}}
DIGESTS = {1: "d983acbc0ef9a95e", 2: "37c0045037ce6da9", 3: "b0c207070cf70450"}
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


@given(st.sampled_from(LEVELS), st.integers())
@settings(max_examples=20, deadline=None)
def test_the_same_seed_gives_the_same_problems(level, seed):
    assert list(islice(TASK.problems(level, seed), 20)) == list(islice(TASK.problems(level, seed), 20))


def test_other_seeds_give_other_problems():
    first = {p.question for p in islice(TASK.problems(2, 1), 500)}
    second = {p.question for p in islice(TASK.problems(2, 2), 500)}
    assert len(first & second) < 5


@pytest.mark.parametrize("level", LEVELS)
def test_training_problems_share_no_question_with_any_held_out_set(level):
    held_out = {p.question for other in LEVELS for p in TASK.held_out(other, max(HELD_OUT_SIZES))}
    trained = {p.question for seed in range(4) for p in islice(TASK.problems(level, seed), 5000)}
    assert not held_out & trained


def test_the_stream_would_meet_held_out_questions_if_it_did_not_skip_them(monkeypatch):

    stream = list(islice(TASK.problems(1, 3), 50))
    met = frozenset({stream[0].question, stream[17].question})
    monkeypatch.setattr(generated, "held_out_questions", lambda task: met)
    assert [p for p in stream if p.question not in met] == list(islice(TASK.problems(1, 3), 48))


@pytest.mark.parametrize("level", LEVELS)
def test_held_out_sets_are_fixed_distinct_and_nested(level):
    small, large = (TASK.held_out(level, size) for size in HELD_OUT_SIZES)
    assert (len(small), len(large)) == HELD_OUT_SIZES
    assert large[: len(small)] == small
    assert len({p.question for p in large}) == len(large)
    assert {p.level for p in large} == {level}


def test_the_held_out_sets_are_the_ones_that_results_were_measured_on():
    import hashlib

    digests = {level: hashlib.sha256(repr(TASK.held_out(level, 2000)).encode()).hexdigest()[:16] for level in LEVELS}
    assert digests == DIGESTS


PROBLEM = Problem("?", "12 + 7 = 19. #### 19", "19", 1)


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
    ],
)
def test_right_answers_however_they_are_written(text):
    assert TASK.score(PROBLEM, text)


@pytest.mark.parametrize(
    "text",
    [
        "", "19", "####", "#### ", "#### apples 19", "#### 1 9", "#### 190", "#### -19", "#### 19.5", "#### 19 #### 5",
        "#### 19 ####", "### 19", "#### ١٩", "#### ¹⁹", "#### 1,9", "#### 19,0", "#### nan", "#### 1e1", "#### 0x13",
        "#### " + "9" * 100_000, "#### 19" + "0" * 100_000, "#" * 100_000 + "19,", "\x00#### \x0019",
    ],
)  # fmt: skip
def test_wrong_and_hostile_answers(text):
    assert not TASK.score(PROBLEM, text) or text.startswith("#####")


@given(st.text())
def test_no_text_raises(text):
    final_number(text)
    final_number("#### " + text)


@given(st.integers(-(10**17), 10**17))
def test_numbers_with_and_without_commas(number):
    assert final_number(f"so #### {number}") == final_number(f"#### {number:,}") == number


@pytest.mark.parametrize(
    "call",
    [lambda: TASK.problems(4, 0), lambda: TASK.held_out(0), lambda: TASK.held_out(1, 7), lambda: get("aritmetic")],
)
def test_what_does_not_exist_gets_a_sentence_that_lists_what_does(call):
    with pytest.raises(TaskError, match=r"1, 2, 3|500, 2000|arithmetic"):
        call()


def test_importing_the_tasks_imports_no_torch():
    code = "import sys, dus.tasks; sys.exit(any(m in sys.modules for m in ('torch', 'transformers', 'tokenizers')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
