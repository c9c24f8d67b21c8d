import json
import random
import subprocess
import sys
from itertools import islice
from math import fsum, inf, isfinite, log, sqrt
from statistics import fmean, stdev

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dus.evaluation.tasks import LEVELS, Problem, TaskError
from dus.lab.tasks.text import EMPTY, LEAST, MOST, QUESTION, Text, distinct_share, nats
from dus.lab.tasks.text.fit import NAMES, fit, main
from dus.lab.tasks.text.source import SMOOTHING, TextSource, fitted, is_unit, parse, render

TASK = Text()
RHYME = [
    "Ana has 3 red hats. Bob has 4 red hats. How many hats has Bob, and how?",
    "Bob has 4 hats. How many hats has Ana?",
] * 9

passages = st.builds(
    lambda level, seed, skip: next(islice(TASK.problems(level, seed), skip, None)),
    st.sampled_from(LEVELS),
    st.integers(-(2**70), 2**70),
    st.integers(0, 20),
)


@pytest.fixture(scope="module")
def small() -> TextSource:
    return fit(RHYME, vocabulary=20, order=3, least=2, gain=0.5)


@given(st.lists(st.sampled_from(fitted(3).units)))
@settings(deadline=None)
def test_units_are_read_back_as_they_were_written(units):
    assert parse(render(units)) == units


@given(st.lists(st.text("ab12.,?$%-/'s()", min_size=1, max_size=3).filter(is_unit)))
def test_any_units_are_read_back_as_they_were_written(units):
    assert parse(render(units)) == units


def test_text_is_written_as_people_write_it():
    text = "Tom's dog is a 3-year-old. It costs $5 (20% of it), or 1/2?"
    assert render(parse(text)) == text


@given(passages)
@settings(deadline=None)
def test_a_solution_ends_with_a_sentence_or_where_it_must(problem):
    question, solution = parse(problem.question), parse(problem.solution)
    assert QUESTION[0] <= len(question) <= QUESTION[1]
    least, most = LEAST[problem.level], MOST[problem.level]
    assert least <= len(solution) <= most
    assert solution[-1] in ".?" or len(solution) == most
    assert not {".", "?"} & set(solution[least - 1 : -1])
    assert set(question + solution) <= set(fitted(3).units)


def brute(counts, vocab, past, unit):
    """The probability as the docstring of `TextSource` states it, without a cache, by recursion over the suffixes."""
    while past not in counts:
        past = past[1:]
    followed = counts[past]
    if not past:
        return followed[unit] / sum(followed.values())
    below = brute(counts, vocab, past[1:], unit)
    return (followed.get(unit, 0) + SMOOTHING * below) / (sum(followed.values()) + SMOOTHING)


@given(passages)
@settings(max_examples=30, deadline=None)
def test_the_score_is_the_product_of_the_conditional_probabilities(problem):
    source = fitted(problem.level)
    counts = {c: followed for c, followed in fitted(3).counts.items() if len(c) <= problem.level}
    past = [source.index[unit] for unit in parse(problem.question)]
    total = 1.0
    solution = parse(problem.solution)[:40]  # the product of more would leave the floats
    for unit in solution:
        total *= brute(counts, len(source.units), tuple(past[-3:]), source.index[unit])
        past.append(source.index[unit])
    assert TASK.score(problem, render(solution)) == pytest.approx(-log(total) / len(solution), rel=1e-9)


@pytest.mark.parametrize("level", LEVELS)
def test_every_law_is_a_positive_distribution(level):
    source = fitted(level)
    assert source.order == level
    for context in source.counts:
        law = source.law(context)
        assert min(law) > 0
        assert fsum(law) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("level", LEVELS)
def test_solutions_cost_the_entropy_rate(level):
    costs = [nats(level, parse(p.question), parse(p.solution)) for p in islice(TASK.problems(level, 7), 2000)]
    units, rate = fmean(map(len, costs)), TASK.entropy_rate(level)
    # The standard error of a ratio of means (the delta method); single costs are not independent, passages are.
    error = stdev(fsum(cost) - rate * len(cost) for cost in costs) / units / sqrt(len(costs))
    assert abs(fsum(map(fsum, costs)) / fsum(map(len, costs)) - rate) < 4 * error
    assert error < 0.01
    assert fmean(fsum(cost) / len(cost) for cost in costs) == pytest.approx(rate, abs=0.05)


def likeliest(level: int, question: str, length: int) -> str:
    source = fitted(level)
    past = [source.index[unit] for unit in parse(question)]
    for _ in range(length):
        law = source.law(source.context(past))
        past.append(law.index(max(law)))
    return render(source.units[unit] for unit in past[-length:])


@pytest.mark.parametrize("level", LEVELS)
def test_worse_text_costs_more_and_a_loop_less(level):
    rng = random.Random(3)
    held_out = TASK.held_out(level)[:200]
    true = fmean(TASK.score(p, p.solution) for p in held_out)
    shuffled = fmean(TASK.score(p, render(rng.sample(u := parse(p.solution), len(u)))) for p in held_out)
    uniform = fmean(TASK.score(p, render(rng.choices(fitted(3).units, k=40))) for p in held_out)
    gibberish = fmean(TASK.score(p, "qx vvk zzjw") for p in held_out)
    assert true + 1 < shuffled < uniform < gibberish - 10
    assert gibberish < TASK.score(held_out[0], "") < inf
    greedy = likeliest(level, held_out[0].question, 60)
    assert TASK.score(held_out[0], greedy) < true
    assert distinct_share(greedy) < 0.5 * fmean(distinct_share(p.solution) for p in held_out)


def test_an_empty_text_costs_more_than_any_known_units():
    costliest = max(-log(min(fitted(level).law(c))) for level in LEVELS for c in fitted(level).counts)
    assert costliest < EMPTY == TASK.score(TASK.held_out(1)[0], " \n")


@given(st.text(st.characters()), st.sampled_from(LEVELS))
def test_any_text_has_a_finite_positive_score(text, level):
    score = TASK.score(TASK.held_out(level)[0], text)
    assert isfinite(score)
    assert score > 0


@pytest.mark.parametrize("text", ["\ud800", "\x00", "é" * 10_000, "1" * 10_000, "$" * 10_000, "'s's'", "１２ ٣"])
def test_hostile_texts(text):
    assert isfinite(TASK.score(TASK.held_out(2)[0], text))
    assert isfinite(TASK.score(Problem(text, "", "", 3), "the"))


def test_a_unit_after_an_unknown_one_has_no_past():
    one, other = nats(3, ["How"], ["many", "zyzzyva", "many"])[1:]
    counts = fitted(3).counts[()]
    assert one == pytest.approx(20 * log(2) + 8 * log(257))
    assert other == pytest.approx(-log(counts[fitted(3).index["many"]] / sum(counts.values())))


def test_a_level_without_an_entropy_rate_gets_a_sentence_that_lists_the_levels():
    with pytest.raises(TaskError, match="levels are 1, 2, 3"):
        TASK.entropy_rate(5)


def test_the_fit_counts_what_stands_in_the_texts(small):
    def after(*past):
        followed = small.counts[tuple(small.index[unit] for unit in past)]
        return {small.units[unit]: count for unit, count in followed.items()}

    assert after("How") == {"many": 18}
    assert after("4") == {"red": 9, "hats": 9}
    assert set(after("?")) <= set(NAMES)
    assert sum(after("?").values()) == 17
    assert sum(after().values()) == sum(len(parse(text)) for text in RHYME)
    for context, followed in small.counts.items():
        assert len(context) < 2 or min(followed.values()) > 1


def test_the_fit_keeps_the_contexts_that_tell_more_than_their_suffixes(small):
    every = fit(RHYME, vocabulary=20, order=3, least=0, gain=-inf)
    assert set(small.counts) < set(every.counts)
    worth = set()
    for context in (c for c in every.counts if len(c) >= 2 and every.counts[c]):
        own, whole = every.counts[context], every.counts[context[1:]]
        # All continuations here are frequent, so that the stored counts are the whole counts.
        n, m = sum(own.values()), sum(whole.values())
        if n >= 2 and fsum(count * log(count / n / (whole[unit] / m)) for unit, count in own.items()) >= 0.5:
            worth.add(context)
    assert {c for c in small.counts if len(c) >= 2} == {c[cut:] for c in worth for cut in range(len(c) - 1)}
    assert worth


def test_cut_off_units_are_in_no_context():
    source = fit(["a b a b a zebra b a b a b"], vocabulary=2, order=1, least=1, gain=0)
    a, b = source.index["a"], source.index["b"]
    assert source.counts == {(): {a: 5, b: 5}, (a,): {b: 4}, (b,): {a: 4}}


def test_a_source_is_read_back_as_it_was_written(small, tmp_path):
    small.save(tmp_path / "source.json")
    back = TextSource.load(tmp_path / "source.json")
    assert (back.units, back.counts) == (small.units, small.counts)
    assert [path.name for path in tmp_path.iterdir()] == ["source.json"]


def test_the_command_fits_on_the_questions_of_a_file(tmp_path):
    lines = [json.dumps({"question": question, "answer": "#### 4"}) for question in RHYME]
    (tmp_path / "in.jsonl").write_text("\n".join(lines), encoding="utf-8")
    main([str(tmp_path / "in.jsonl"), str(tmp_path / "out.json")])
    assert TextSource.load(tmp_path / "out.json").counts == fit(RHYME).counts
    with pytest.raises(SystemExit, match="usage"):
        main([])


@pytest.mark.parametrize(
    "make",
    [lambda: fit([]), lambda: TextSource(["a"], {}), lambda: TextSource(["a"], {(): {0: 1}, (0, 0): {0: 1}})],
)
def test_a_source_without_units_or_suffixes_is_refused(make):
    with pytest.raises(TaskError, match=r"each of its units|not its suffix"):
        make()


def test_the_theory_takes_the_tree_and_finds_the_same_entropy_rate():
    from dus.lab.theory.sources import hidden, variable_order

    source = fit(RHYME, vocabulary=8, order=2, least=2, gain=0.5)
    chain = variable_order(source.leaves())
    # Each state of the theory's chain is two units, and its row has the law of what follows them.
    expected = -np.sum(chain.initial[:, None] * np.where(chain.transition > 0, chain.transition, 0)
                       * np.log(np.where(chain.transition > 0, chain.transition, 1)))  # fmt: skip
    assert source.entropy_rate() == pytest.approx(expected, rel=1e-6)
    states, laws, following = source.transitions()
    step = np.zeros((len(states), len(states)))
    np.put_along_axis(step, following, laws, axis=1)
    same = hidden(step, np.eye(8)[[state[-1] for state in states]])
    assert same.initial @ same.emission == pytest.approx(chain.initial @ chain.emission, rel=1e-9)


def test_every_level_is_a_chain_that_the_theory_can_hold():
    from dus.lab.theory.chains import LARGEST_CHAIN

    sizes = [len(fitted(level).states()) for level in LEVELS]
    assert sizes == sorted(set(sizes))
    assert sizes[-1] <= LARGEST_CHAIN


@given(st.lists(st.integers(0, 255), min_size=1, max_size=12), st.sampled_from(LEVELS))
@settings(deadline=None)
def test_the_state_of_the_chain_gives_the_law_of_the_whole_past(past, level):
    source = fitted(level)
    states = set(source.states())
    state = (past[0],)
    for unit in past[1:]:
        longer = (*state, unit)
        state = next(longer[cut:] for cut in range(len(longer)) if longer[cut:] in states)
    assert source.context(state) == source.context(past)


def test_importing_the_task_reads_no_source():
    code = "import sys; from dus.lab.tasks.text import fitted; sys.exit(fitted.cache_info().misses)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
