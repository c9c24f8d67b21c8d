import ast
import random
import re
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dus.evaluation.tasks import LEVELS, Problem
from dus.lab.tasks.code import Code, unfenced
from dus.lab.tasks.code.forms import INTS
from dus.lab.tasks.code.inputs import draw
from dus.lab.tasks.code.lists import NUMBERS, WORDS
from dus.lab.tasks.code.operations import CHECKS, TEXTS

TASK = Code()
OPERATIONS = (*INTS, *CHECKS, *TEXTS, *NUMBERS, *WORDS)

problems = st.builds(
    lambda level, seed, skip: next(islice(TASK.problems(level, seed), skip, None)),
    st.sampled_from(LEVELS),
    st.integers(-(2**70), 2**70),
    st.integers(0, 20),
)


def holds(source: str, tests: str) -> bool:
    """Whether a program of our own making passes, in this process."""
    try:
        exec(source + "\n" + tests, {})
    except Exception:
        return False
    return True


def drawn(kind: str, rng: random.Random, constants: list) -> list:
    return [value for _ in range(3) for (value,) in draw(rng, [kind], constants)]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda o: f"{o.takes}-{o.label}-{o.code}")
def test_the_source_of_an_operation_computes_what_its_callable_does(operation):
    rng = random.Random(operation.code)
    for constant in operation.constants or (None,):
        source = operation.code.format(x="v", c=f'"{constant}"' if isinstance(constant, str) else constant)
        compiled = compile(source, "operation", "eval")
        for value in drawn(operation.takes, rng, [constant] if constant else []):
            if not (operation.first and value == []):
                got, want = eval(compiled, {"v": value}), operation.function(value, constant)
                assert (got, type(got)) == (want, type(want)), (source, value)


@pytest.mark.parametrize("level", LEVELS)
def test_every_held_out_solution_passes_its_own_tests(level):
    for problem in TASK.held_out(level, 2000):
        exec(problem.solution + "\n" + problem.answer, {})


@given(problems)
@settings(max_examples=200, deadline=None)
def test_a_problem_is_what_it_says(problem):
    tree = ast.parse(problem.solution)
    assert all(isinstance(node, ast.FunctionDef) for node in tree.body)
    function = tree.body[-1]
    call = f"{function.name}({', '.join(a.arg for a in function.args.args)})"
    assert call in problem.question
    assert 4 <= len(problem.answer.splitlines()) <= 50
    assert all(line.startswith(f"assert {function.name}(") for line in problem.answer.splitlines())
    assert not re.search(r"[{}~]|None|  (?! )", re.sub(r"'[^']*'|^ +", "", problem.question, flags=re.M))
    constants = [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, int)]
    assert all(c < 100 for c in constants)
    # What the source says beyond its fixed idioms, the question has said: nothing has to be guessed.
    assert {str(c) for c in constants if c > 3} <= set(re.findall(r"\d+", problem.question))
    assert holds(problem.solution, problem.answer)


@given(problems)
@settings(max_examples=300, deadline=None)
def test_lines_and_length_follow_the_level(problem):
    lines = problem.solution.splitlines()
    assert {1: len(lines) == 2, 2: 2 <= len(lines) <= 4, 3: 3 <= len(lines) <= 14}[problem.level]
    assert len(problem.solution) <= {1: 90, 2: 260, 3: 520}[problem.level]
    assert not problem.solution.endswith("\n")


def test_what_comes_behind_a_helper_or_a_branch_is_done_to_the_result():
    """Not to the argument, whose name would mean what it was before."""
    told = 0
    for problem in islice(TASK.problems(3, 4), 600):
        spoken = problem.question.split(">>>")[0].split("xample")[0].split("assert")[0]
        found = re.search(r"appl(?:y|ies) \w+ to each number in (\w+) (.*)", spoken, re.DOTALL)
        if found:
            told += 1
            assert not re.search(rf"\b{found[1]}\b(?!\()", found[2].split("(")[0]), problem.question
    assert told > 30


def test_one_question_has_one_solution():
    seen: dict[str, str] = {}
    repeated = 0
    for problem in islice(TASK.problems(1, 11), 8000):
        name = re.findall(r"def (\w+)\(", problem.solution)[-1]
        # Without their names many questions are the same.
        question, solution = (re.sub(rf"\b{name}\b", "f", text) for text in (problem.question, problem.solution))
        if question.count("f(") == 1:
            repeated += question in seen
            assert seen.setdefault(question, solution) == solution
    assert repeated > 100


SWAPS = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.FloorDiv: ast.Mult, ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.In: ast.NotIn,
}  # fmt: skip
NAMES = {
    "max": "min", "min": "max", "sum": "len", "upper": "lower", "lower": "upper", "title": "lower",
    "startswith": "endswith", "endswith": "startswith", "count": "find", "find": "count", "sorted": "list",
}  # fmt: skip


def mutants(source: str):
    """The source with one constant off by one, one operator or name exchanged for another, in turn."""
    count = sum(1 for _ in ast.walk(ast.parse(source)))
    for i in range(count):
        for shift in (1, -1):
            tree = ast.parse(source)
            node = list(ast.walk(tree))[i]
            if isinstance(node, ast.Constant) and type(node.value) is int:
                node.value += shift
            elif shift < 0:
                continue
            elif isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op) in SWAPS:
                node.op = SWAPS[type(node.op)]()
            elif isinstance(node, ast.Compare) and type(node.ops[0]) in SWAPS:
                node.ops[0] = SWAPS[type(node.ops[0])]()
            elif isinstance(node, ast.Name) and node.id in NAMES:
                node.id = NAMES[node.id]
            elif isinstance(node, ast.Attribute) and node.attr in NAMES:
                node.attr = NAMES[node.attr]
            else:
                continue
            yield ast.unparse(ast.fix_missing_locations(tree))


def outputs(source: str, inputs: list) -> list:
    scope: dict = {}
    exec(source, scope)
    function = [value for value in scope.values() if callable(value)][-1]
    values = []
    for given_ in inputs:
        try:
            values.append(function(*given_))
        except Exception as error:
            values.append(type(error))
    return values


def kinds_of(problem: Problem) -> list[str]:
    """The kinds of the arguments, from the first test's call."""
    call = ast.parse(problem.answer.splitlines()[0]).body[0].test.left
    kinds = []
    for argument in map(ast.literal_eval, call.args):
        if isinstance(argument, list):
            kinds.append("words" if argument and isinstance(argument[0], str) else "numbers")
        else:
            kinds.append("text" if isinstance(argument, str) else "count" if kinds else "int")
    return kinds


@pytest.mark.parametrize("level", LEVELS)
def test_the_tests_tell_a_wrong_constant_or_operator_from_the_right_one(level):
    """Of the mutants that differ somewhere on 200 other inputs, the hidden tests catch nearly all."""
    caught = missed = 0
    for n, problem in enumerate(TASK.held_out(level, 500)[: 120 if level < 3 else 60]):
        tree = ast.parse(problem.solution)
        constants = [c.value for c in ast.walk(tree) if isinstance(c, ast.Constant)]
        rng = random.Random(n)
        inputs = [g for _ in range(25) for g in draw(rng, kinds_of(problem), constants)]
        right = outputs(problem.solution, inputs)
        for mutant in mutants(problem.solution):
            if "while" in mutant:
                continue  # a wrong countdown may never end
            if outputs(mutant, inputs) != right:
                wrong_passes = holds(mutant, problem.answer)
                missed += wrong_passes
                caught += not wrong_passes
    assert caught > 100
    assert missed <= 0.01 * caught


@pytest.mark.parametrize(
    ("text", "program"),
    [
        ("x = 1", "x = 1"),
        ("```python\nx = 1\n```", "x = 1\n"),
        ("Here:\n```py\nx = 1\n```\nDone.", "x = 1\n"),
        ("```\nx = 1", "x = 1"),
        ("  ```python\n  x = 1\n  ```", "  x = 1\n"),
        ("```python\nx = 1\n```\n```python\ny = 2\n```", "x = 1\n"),
        ("s = '```'", "s = '```'"),
    ],
)
def test_the_inside_of_a_fence(text, program):
    assert unfenced(text) == program


PROBLEM = Problem("Write f(n) that doubles n.", "def f(n):\n    return n * 2", "assert f(2) == 4\nassert f(5) == 10", 1)


@pytest.mark.parametrize(
    "text",
    [
        PROBLEM.solution,
        f"```python\n{PROBLEM.solution}\n```",
        "f = lambda k: k + k",
        "def g(x):\n  return 2 * x\n\ndef f(x):\n  return g(x)\n\nprint(f(3))",
    ],
)
def test_any_right_program_scores(text):
    assert TASK.score(PROBLEM, text) == 1


@pytest.mark.parametrize(
    "text",
    [
        "", "def f(n):\n    return n * 3", "def f(n)\n    return n * 2", "f = None", "raise SystemExit(0)", "(" * 5000,
        "import os\nos._exit(0)", "import sys\nsys.exit(0)", "\x00", "\ud800", "def f(n):\n    return f(n)", "```",
        "quit()", "def f(n):\n    return n * 2\nraise KeyboardInterrupt", "\u0661 = 1",
        "import os\nos.kill(os.getpid(), 9)",
    ],
)  # fmt: skip
def test_wrong_and_hostile_programs_score_nothing(text):
    assert TASK.score(PROBLEM, text) == 0


def test_some_held_out_solutions_pass_in_the_sandbox():
    for level in LEVELS:
        for problem in TASK.held_out(level)[:3]:
            assert TASK.score(problem, problem.solution) == 1
            assert TASK.score(problem, problem.solution.replace("return ", "return None or not ")) == 0
