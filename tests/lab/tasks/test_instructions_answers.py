"""Whole answers: solutions recounted independently, and solutions with one constraint broken, worth nothing."""

import json
import re
from itertools import islice

from dus.evaluation.tasks import LEVELS, Problem
from dus.lab.tasks.instructions import Instructions
from dus.lab.tasks.instructions.checks import CHECKS
from dus.lab.tasks.instructions.wording import MEMBERS

TASK = Instructions()
SEPARATORS = {"free": ", ", "commas": ", ", "semicolons": "; ", "sentences": " "}


def checks_of(problem: Problem) -> dict[str, list]:
    return {name: arguments for name, *arguments in json.loads(problem.answer)["checks"]}


def body_of(problem: Problem) -> str:
    """The solution without the phrases that frame it, by plain string operations."""
    specification = json.loads(problem.answer)
    body = problem.solution.removeprefix(specification.get("begin", "")).removesuffix(specification.get("end", ""))
    return body.strip()


def sample(count: int = 400) -> list[Problem]:
    return [problem for level in LEVELS for problem in islice(TASK.problems(level, 11), count)]


def test_counts_agree_with_an_independent_counting():
    met = set()
    for problem in sample():
        checks, body = checks_of(problem), body_of(problem)
        prose, layout = "about" in checks, json.loads(problem.answer)["layout"]
        tokens = [token.strip('.,;"').lower() for token in re.sub(r"(?m)^([0-9]+\.|-) ", "", body).split()]
        if prose:
            assert body.count(".") - (len(re.findall(r"(?m)^[0-9]+\.", body))) == checks["count"][0]
        elif "count" in checks:
            assert len(tokens) == checks["count"][0]
        if layout in ("lines", "numbered", "bullets", "pairs"):
            assert body.count("\n") + 1 == checks.get("count", [len(checks.get("these", checks.get("keys", [])))])[0]
        if "words" in checks:
            assert len(tokens) == checks["words"][0] * checks["count"][0]
        if "times" in checks:
            assert tokens.count(checks["times"][0]) == checks["times"][1]
        assert len(tokens) <= checks.get("most", [1000])[0]
        assert len(tokens) >= checks.get("least", [0])[0]
        assert all(word in body.lower() for word in checks.get("include", []))
        assert not any(word in tokens for word in checks.get("avoid", []))
        met |= set(checks)
    assert met == set(CHECKS)


def swap(text: str, old: str, new: str) -> str:
    return re.sub(rf"\b{old}\b", new, text, count=1, flags=re.IGNORECASE)


def like(word: str, pattern: str) -> str:
    """`word` in the case of `pattern`."""
    return word.upper() if pattern.isupper() else word.capitalize() if pattern[0].isupper() else word


def change_a_value(problem: Problem, keep: str) -> str:
    category = next(name for name, members in MEMBERS.items() if keep in members)
    allowed = [m for m in MEMBERS[category] if m not in problem.solution.lower() and m not in problem.question.lower()]
    written = re.search(rf"\b{keep}\b", problem.solution, re.IGNORECASE)[0]
    return swap(problem.solution, keep, like(allowed[0], written))


def broken(problem: Problem) -> dict[str, str]:
    """For each constraint of the problem that a small edit breaks: the solution with this edit."""
    specification, checks, text = json.loads(problem.answer), checks_of(problem), problem.solution
    layout, body = specification["layout"], body_of(problem)
    edits = {
        "half": text[: len(text) // 2],
        "gibberish": re.sub(r"[a-z]+", "blub", text, flags=re.IGNORECASE),
        "doubled": f"{text}\n{text}",
    }
    if "case" in checks:
        edits["case"] = text.swapcase()
    for name in ("begin", "end"):
        if name in specification:
            edits[name] = text[len(specification[name]) :] if name == "begin" else text[: -len(specification["end"])]
    if specification.get("quoted"):
        edits["unquoted"] = text.replace('"', "")
        edits["half quoted"] = text.replace('"', "", 1)
    edits |= broken_layout(layout, text, body)
    if "order" in checks:
        edits["order"] = text.replace(body, reversed_parts(layout, body))
    if "different" in checks and checks["count"][0] > 1:
        edits["repeated"] = repeated_part(layout, text, body)
    edits |= broken_words(problem, checks)
    return edits


def broken_layout(layout: str, text: str, body: str) -> dict[str, str]:
    if layout == "numbered":
        return {"numbering": text.replace("2. ", "3. "), "flat": text.replace(body, body.replace("\n", " "))}
    if layout == "bullets":
        return {"bullet": text.replace("- ", "", 1), "flat": text.replace(body, body.replace("\n", " "))}
    signs = {"commas": ",", "semicolons": ";", "pairs": ":", "json": "{"}
    if layout in signs:
        return {layout: text.replace(body, body.replace(signs[layout], "", 1))}
    return {"lines": text.replace(body, body.replace("\n", " "))} if layout == "lines" else {}


def split_parts(layout: str, body: str) -> list[str]:
    if layout == "sentences":
        return re.findall(r"[^.]+\.", body)
    return (
        re.sub(r"(?m)^([0-9]+\.|-) ", "", body)
        .rstrip("." if layout in SEPARATORS else "")
        .split(SEPARATORS.get(layout, "\n"))
    )


def laid_out(layout: str, parts: list[str]) -> str:
    marks = {"numbered": "{}. ", "bullets": "- "}
    return SEPARATORS.get(layout, "\n").join(
        marks.get(layout, "").format(i) + part.strip() for i, part in enumerate(parts, start=1)
    )


def reversed_parts(layout: str, body: str) -> str:
    return laid_out(layout, split_parts(layout, body)[::-1])


def repeated_part(layout: str, text: str, body: str) -> str:
    parts = split_parts(layout, body)
    return text.replace(body, laid_out(layout, [*parts[:-1], parts[0]]))


def broken_words(problem: Problem, checks: dict[str, list]) -> dict[str, str]:
    text, edits = problem.solution, {}
    layout, body = json.loads(problem.answer)["layout"], body_of(problem)
    if "count" in checks:
        edits["one less"] = text.replace(body, laid_out(layout, split_parts(layout, body)[:-1]))
    if "about" in checks:
        for name in checks.keys() & {"include", "times"}:
            edits[name] = re.sub(rf"\b{checks[name][0]}\b", "thing", text, flags=re.IGNORECASE)
        return edits
    for name in checks.keys() & {"include", "first", "last", "same", "these", "value"}:
        edits[name] = change_a_value(problem, checks[name][1 if name == "value" else 0])
    if "from" in checks:
        item = re.search(r"[A-Za-z]+", split_parts(layout, body)[1])[0]
        stranger = "apple" if checks["from"] != ["fruit"] else "horse"
        edits["from"] = swap(text, item, like(stranger, item))
        if "avoid" in checks:
            edits["avoid"] = swap(text, item, like(checks["avoid"][0], item))
    if "keys" in checks:
        edits["keys"] = swap(text, checks["keys"][0], "thing")
    return edits


KINDS_OF_BREAKING = {
    "avoid", "begin", "bullet", "case", "commas", "doubled", "end", "first", "flat", "from", "gibberish", "half",
    "half quoted", "include", "json", "keys", "last", "lines", "numbering", "one less", "order", "pairs", "repeated",
    "same", "semicolons", "these", "times", "unquoted", "value",
}  # fmt: skip


def test_a_solution_with_one_constraint_broken_scores_nothing():
    met = set()
    for problem in sample():
        for name, text in broken(problem).items():
            assert text != problem.solution, (name, problem)
            assert TASK.score(problem, text) == 0.0, (name, text, problem)
            met.add(name)
    assert met == KINDS_OF_BREAKING


def test_the_solution_of_another_problem_is_mostly_wrong():
    for level in LEVELS:
        chosen = list(islice(TASK.problems(level, 21), 200))
        wrongly = sum(TASK.score(a, b.solution) for a in chosen for b in chosen if a is not b)
        assert wrongly / (200 * 199) < 0.02
