import re
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dus.evaluation.tasks import get
from dus.lab.analysis import AnalysisError, Traced
from dus.lab.analysis.errors import FirstError, equations, final_number, first_error, last_share, results
from dus.lab.analysis.mistakes import as_csv, mistakes, order, where

from .conftest import answer

SOLUTION = "So 2 + 3 = 5 figs. Then 5 * 4 = 20 figs. #### 20"


def spaced(text):
    """The tokens of a text: words with the space before them."""
    return re.findall(r"\s*\S+", text)


def told(text, step=None, right=False, solution=SOLUTION):
    pieces = spaced(text)
    return answer(pieces, list(range(len(pieces))) if step is None else step, right=right, solution=solution)


def position(text, word):
    return [piece.strip() for piece in spaced(text)].index(word)


@given(st.integers(0, 99), st.sampled_from("+-*/"), st.integers(0, 99), st.integers(0, 99), st.sampled_from(["", " "]))
def test_an_equation_holds_where_python_says_so(a, sign, b, c, gap):
    (found,) = equations(f"it is {a}{gap}{sign}{gap}{b}{gap}={gap}{c}.")
    assert (found.a.text, found.sign.text, found.b.text, found.c.text) == (str(a), sign, str(b), str(c))
    made = None if sign == "/" and b == 0 else eval(f"Fraction({a}) {sign} Fraction({b})", {"Fraction": Fraction})
    assert found.holds == (made == c)


def test_what_is_an_equation():
    assert [e.c.text for e in equations("7 - 2 = 5 + 1 = 6, 0.5 * 3 = 1.5; 10/4=2.5")] == ["5", "6", "1.5", "2.5"]
    assert equations("1 + 2 + 3 = 6, 2 + = 5, x + 1 = 2, 3 = 3, 1 + 1 = " + "9" * 40) == []
    assert final_number("#### 5 #### 12.").text == "12"
    assert final_number("### 5") is None


@pytest.mark.parametrize("level", [1, 2, 3])
def test_worked_solutions_are_right_from_left_to_right(level):
    """The task's own solutions: all equations hold, no result is early, nothing is a first error."""
    for problem in get("arithmetic").held_out(level)[:50]:
        told_so = told(problem.solution, right=True, solution=problem.solution)
        found = list(results(told_so))
        assert len(found) == problem.solution.count("=") + 1
        assert all(result.right and not result.early for result in found)
        assert first_error(told_so, 16) is None


@pytest.mark.parametrize(
    ("text", "kind", "word"),
    [
        ("So 2 + 3 = 6 figs. Then 6 * 4 = 24 figs. #### 24", "result", "6"),
        ("So 2 + 8 = 10 figs. Then 10 * 4 = 40 figs. #### 40", "operand", "8"),
        ("So 2 * 3 = 6 figs. Then 6 * 4 = 24 figs. #### 24", "operand", "*"),
        ("So 3 + 2 = 5 figs. Then 4 * 5 = 21 figs. #### 21", "result", "21"),
        ("So 2 + 3 = 5 figs. Then 5 * 4 = 20 figs. #### 29", "answer", "29"),
        ("So 2 + 3 = 5 figs. #### 5", "form", "####"),
        ("So 2 + 3 = 5 figs. Then 5 * 4 = 20 figs. Also 7 + 1 = 8 #### 8", "operand", "7"),
        ("So 2 + 3 = 5 figs. Then 5 * 4 = 20 figs.", "form", "figs."),
        ("no idea", "form", "idea"),
    ],
)
def test_the_first_error(text, kind, word):
    found = first_error(told(text), 4)
    at = position(text, word) + (word == "####") if word != "figs." else len(spaced(text)) - 1
    assert found == FirstError(kind, at, at % 4, at % 4 == 3 or at == len(spaced(text)) - 1)


def test_a_result_is_early_beside_or_before_an_operand():
    text = "2 + 3 = 5 #### 5"  # tokens: 2 + 3 = 5 #### 5
    for step, early in [
        ([0, 0, 1, 0, 2, 0, 3], [False, False]),
        ([0, 0, 1, 0, 1, 0, 2], [True, False]),
        ([2, 0, 0, 0, 1, 0, 3], [True, False]),
        ([0, 5, 0, 6, 1, 7, 1], [False, True]),
        ([0, 0, 0, 0, 1, 0, 0], [False, True]),
    ]:
        assert [result.early for result in results(told(text, step))] == early


def test_a_number_of_several_tokens_is_early_by_any_of_them():
    pieces = ["1", "2", " + ", "3", " = ", "1", "5"]
    for step, early in [([0, 0, 0, 0, 0, 1, 1], False), ([0, 2, 0, 0, 0, 3, 1], True), ([0, 0, 0, 0, 0, 0, 1], True)]:
        (result,) = results(answer(pieces, step))
        assert result.right
        assert result.early == early


def test_counts_and_tables():
    right = told(SOLUTION, right=True)
    wrong = told("So 2 + 3 = 6 figs. Then 6 * 4 = 24 figs. #### 24", [0] * 6 + [1] * 10)
    found = mistakes(Traced("dus | x", 16, (right, right, wrong)))
    assert found.counts == Counter({(True, False): 6, (False, True): 1, (True, True): 2})
    assert found.early(right=False) == (1, 1)
    assert found.early(right=True) == (2, 8)
    assert found.wrong(early=True).value == 1 / 3
    assert [error.kind for error in found.first] == ["result"]
    assert where([found]).rows == (("dus | x", "16", "1 of 3", "0", "1", "0", "0", "0 of 1 (0%)", f"{12 / 48:.0%}"),)
    assert order([found]).rows[0][2:4] == ("1 of 1 (100%)", "2 of 8 (25%)")
    head, line = as_csv([found]).splitlines()
    assert len(head.split(",")) == len(line.split(","))


def test_the_share_of_last_steps_leaves_out_what_stands_behind_the_end():
    one = answer("abcdefgh", [0, 0, 1, 1, 2, 3, 3, 3], useful=6)
    assert last_share(Traced("dus", 4, (one,))) == 3 / 6
    assert np.isnan(last_share(Traced("dus", 4, (answer("ab", [0, 1], useful=0),))))


def test_errors_need_a_worked_solution():
    with pytest.raises(AnalysisError, match="worked solution"):
        first_error(answer("ab", [0, 1]), 4)
