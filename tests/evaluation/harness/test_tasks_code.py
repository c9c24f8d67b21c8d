"""Our functions for HumanEval and MBPP against lm-eval's, which are read with a stand-in for the hub's `code_eval`."""

import importlib
import math
import sys
import types
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dus.evaluation import sandbox
from dus.evaluation.harness import tasks_code
from dus.evaluation.harness.tasks_local import read

DATA = str(Path(__file__).parent / "data")
TEXTS = st.text(st.sampled_from("ab `\n#py"), max_size=30).map(lambda text: text.replace("py", "python\n"))


class CodeEval:
    """`code_eval`'s contract, pass@k of programs and tests, with the sandbox to run them."""

    def compute(self, references, predictions, k):
        found = {}
        for drawn in k:
            shares = []
            for tests, codes in zip(references, predictions, strict=True):
                passed = [sandbox.passes(code, tests) for code in codes]
                draws = list(product(passed, repeat=1)) if drawn == 1 else _draws(passed, drawn)
                shares.append(sum(any(draw) for draw in draws) / len(draws))
            found[f"pass@{drawn}"] = sum(shares) / len(shares)
        return found, {}


def _draws(passed, k):
    from itertools import combinations

    return list(combinations(passed, k))


@pytest.fixture(scope="module")
def theirs():
    """lm-eval's two modules of functions."""
    stand_in = types.ModuleType("evaluate")
    stand_in.load = lambda name: CodeEval()
    names = ["lm_eval.tasks.humaneval.utils", "lm_eval.tasks.mbpp.utils"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "evaluate", stand_in)
        for name in names:
            patch.delitem(sys.modules, name, raising=False)
        yield [importlib.import_module(name) for name in names]
        for name in names:
            patch.delitem(sys.modules, name)


def test_every_function_of_theirs_is_replaced(theirs):
    for path, ours in tasks_code.REPLACEMENTS.items():
        module = theirs[0] if path.startswith("humaneval") else theirs[1]
        assert callable(getattr(module, path.rpartition(".")[2]))
        assert callable(getattr(tasks_code, ours))


@given(st.lists(st.lists(TEXTS, min_size=1, max_size=2), min_size=1, max_size=2))
def test_programs_of_humaneval(theirs, responses):
    docs = [{"prompt": f"def f{n}():\n"} for n in range(len(responses))]
    assert tasks_code.completed(responses, docs) == theirs[0].build_predictions(responses, docs)
    assert tasks_code.completed_in_fence(responses, docs) == theirs[0].build_predictions_instruct(responses, docs)


@given(TEXTS.filter(lambda text: not text[:1].isalnum()))
def test_programs_of_mbpp(theirs, text):
    assert tasks_code.fenced([[text]], [{}]) == theirs[1].build_predictions([[text]], [{}])


def test_a_first_word_is_not_lost(theirs):
    text = "def f():\n    return 1\n```"
    assert tasks_code.fenced([[text]], [{}]) == [["def f():\n    return 1"]]
    assert theirs[1].build_predictions([[text]], [{}]) == [[" f():\n    return 1"]]  # lm-eval issue 3447
    assert tasks_code.fenced([[f"python\n{text}"]], [{}]) == [["def f():\n    return 1"]]


def test_the_shots_are_lm_evals(theirs):
    ours = tasks_code.shots(read(DATA, "google-research-datasets/mbpp", None, "prompt"))
    fields = ("task_id", "text", "code", "test_list", "is_fewshot")
    assert [{field: row[field] for field in fields} for row in ours] == theirs[1].list_fewshot_samples()


def test_pass_at_k(theirs):
    right, wrong, tests = "def f(): return 1", "def f(): return 2", "assert f() == 1"
    codes = [[right, wrong, wrong, right], [wrong, right, wrong, wrong]]
    assert tasks_code.pass_at_k([tests, tests], codes, [1, 2, 4]) == pytest.approx(
        {"pass@1": 3 / 8, "pass@2": (5 / 6 + 1 / 2) / 2, "pass@4": 1.0}
    )
    assert tasks_code.pass_at_k([tests], codes[:1], [1, 2]) == pytest.approx(
        theirs[0].pass_at_k([tests], codes[:1], [1, 2])
    )
    assert list(tasks_code.pass_at_k([tests], [[right]], [1, 2])) == ["pass@1"]
    assert math.comb(2, 2) / math.comb(4, 2) == pytest.approx(1 - 5 / 6)


@pytest.mark.parametrize("predictions", [["def f(): return 1"], [["def f(): return 1"]], [["f = 0"]]])
def test_pass_at_1(theirs, predictions):
    for references in ("assert f() == 1", ["assert f() == 1"]):
        assert tasks_code.pass_at_1(references, predictions) == theirs[1].pass_at_1(references, list(predictions))
