"""What holds for every task that a generator writes: its streams of training problems and its held-out sets."""

import hashlib
import subprocess
import sys
from itertools import combinations, islice, takewhile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dus.evaluation.tasks import HELD_OUT_SIZES, LEVELS, TASKS, TaskError, get
from dus.lab.tasks import generated

DIGESTS = {
    "arithmetic": {1: "0f5209b5db7d0838", 2: "6727fc6a2de17e08", 3: "1e9450931fdf37f0"},
    "code": {1: "71a1ed760611a012", 2: "362480ce311e190b", 3: "2a6eeec361c91a96"},
    "instructions": {1: "a62af648ca36f7a8", 2: "981eeb5863893b99", 3: "2e922477a2f8fd5a"},
    "text": {1: "962e2565e6dd7a27", 2: "7c911e51f3a8a393", 3: "77a27b21f0d835c3"},
}
DIGESTS_OF_A_TASK = """
import hashlib, sys
from itertools import islice
from dus.evaluation.tasks import LEVELS, get
task = get(sys.argv[1])
for drawn in (lambda level: tuple(islice(task.problems(level, 5), 50)), lambda level: task.held_out(level, 2000)):
    print(*(hashlib.sha256(repr(drawn(level)).encode()).hexdigest()[:16] for level in LEVELS))
"""

every_task = pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
every_level = pytest.mark.parametrize("level", LEVELS)


def digest(problems):
    return hashlib.sha256(repr(tuple(problems)).encode()).hexdigest()[:16]


def questions(problems):
    return {problem.question for problem in problems}


def questions_held_out(task):
    return questions(problem for level in LEVELS for problem in task.held_out(level, max(HELD_OUT_SIZES)))


@every_task
@given(level=st.sampled_from(LEVELS), seed=st.integers())
@settings(max_examples=20, deadline=None)
def test_the_same_seed_gives_the_same_problems(task, level, seed):
    assert list(islice(task.problems(level, seed), 20)) == list(islice(task.problems(level, seed), 20))


@every_level
@every_task
def test_other_seeds_give_other_problems(task, level):
    drawn = [questions(islice(task.problems(level, seed), 500)) for seed in range(1, 5)]
    assert all(len(first & second) < 15 for first, second in combinations(drawn, 2))


@pytest.mark.parametrize("hash_seed", ["1", "2", "7"])
@every_task
def test_other_processes_give_the_same_problems_and_held_out_sets(task, hash_seed):
    run = [sys.executable, "-c", DIGESTS_OF_A_TASK, task.name]
    ran = subprocess.run(run, env={"PYTHONHASHSEED": hash_seed}, capture_output=True, text=True, check=True)
    problems, held_out = (line.split() for line in ran.stdout.splitlines())
    assert problems == [digest(islice(task.problems(level, 5), 50)) for level in LEVELS]
    assert dict(zip(LEVELS, held_out, strict=True)) == DIGESTS[task.name]


@every_level
@every_task
def test_training_problems_share_no_question_with_any_held_out_set(task, level):
    trained = questions(problem for seed in range(4) for problem in islice(task.problems(level, seed), 1500))
    assert not questions_held_out(task) & trained


@every_task
def test_the_questions_that_training_skips_are_those_of_all_held_out_sets(task):
    assert generated.held_out_questions(type(task)) == questions_held_out(task)


@every_task
def test_the_stream_would_meet_held_out_questions_if_it_did_not_skip_them(task, monkeypatch):
    met = questions_held_out(task)
    with monkeypatch.context() as patched:
        patched.setattr(generated, "held_out_questions", lambda kind: frozenset())
        stream = islice(task.problems(1, 0), 200_000)
        before = list(takewhile(lambda problem: problem.question not in met, stream))
        after = [problem for problem in islice(stream, 100) if problem.question not in met]
    assert after
    assert list(islice(task.problems(1, 0), len(before) + len(after))) == before + after


@every_level
@every_task
def test_whatever_question_is_held_out_is_skipped_and_nothing_else(task, level, monkeypatch):
    monkeypatch.setattr(generated, "held_out_questions", lambda kind: frozenset())
    stream = list(islice(task.problems(level, 3), 50))
    met = frozenset({stream[0].question, stream[17].question})
    monkeypatch.setattr(generated, "held_out_questions", lambda kind: {type(task): met}[kind])
    kept = [problem for problem in stream if problem.question not in met]
    assert len(kept) <= 48
    assert list(islice(task.problems(level, 3), len(kept))) == kept


@every_level
@every_task
def test_held_out_sets_are_fixed_distinct_and_nested(task, level):
    small, large = (task.held_out(level, size) for size in HELD_OUT_SIZES)
    assert (len(small), len(large)) == HELD_OUT_SIZES
    assert large[: len(small)] == small == task.held_out(level)
    assert len(questions(large)) == len(large)
    assert {problem.level for problem in large} == {level}


@every_task
def test_the_held_out_sets_are_the_ones_that_results_were_measured_on(task):
    assert {level: digest(task.held_out(level, 2000)) for level in LEVELS} == DIGESTS[task.name]


@pytest.mark.parametrize(
    ("call", "listed"),
    [
        (lambda task: task.problems(4, 0), "levels are 1, 2, 3"),
        (lambda task: task.held_out(0), "levels are 1, 2, 3"),
        (lambda task: task.held_out(1, 7), "sizes are 500, 2000"),
        (lambda task: get(task.name[1:]), "tasks are arithmetic, code, instructions, text"),
    ],
    ids=["training level", "held-out level", "held-out size", "name"],
)
@every_task
def test_what_does_not_exist_gets_a_sentence_that_lists_what_does(task, call, listed):
    with pytest.raises(TaskError, match=listed):
        call(task)


@every_task
def test_importing_a_task_imports_no_torch(task):
    code = f"import sys, {type(task).__module__}; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported = set(ran.stdout.split())
    assert type(task).__module__ in imported
    assert not imported & {"torch", "transformers", "tokenizers", "numpy"}
