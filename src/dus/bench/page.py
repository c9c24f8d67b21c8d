"""What was measured, as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from dus.bench.growth import LABELS
from dus.bench.requests import LEAST
from dus.bench.requests import NOTES as REQUEST_NOTES
from dus.bench.requests import table as request_table
from dus.bench.seconds import table as split_table
from dus.writing.tables import listed, markdown

NOTES = """What the columns say:

- *faster*: how many times as fast as the first line.
- *first block*: the seconds until the first block is written.
- *over floor*: the time, divided by that of the same denoiser calls with nothing around them; the median of the rounds.
- *over products*: the time of these calls, divided by that of their matrix products with nothing between them; the
  median of the rounds. Products inside torch's own attention, which is a single operation, are not counted.
- *denoiser*, *planner*, *rest*: shares of the time of one more run, which is watched. The scores that a planner reads
  are part of *rest*. Those of a trace are left out (`scores=False`).
- *memory*: the most that a run takes on top of the weights.
- *agrees*: the share of tokens that are those of the first line. Behind prompts of random tokens every token is nearly
  a tie, so this says little about quality."""
FIRST_RUN = """
- *first run*: the seconds of the very first run, with all that is done only once."""
SPLIT_NOTES = """What the lines say:

- *textbook, token by token*: the published loop, at one token a call.
- *schedule*: the same loop with as many calls as the planner takes.
- *logits*: the loop of this package, which computes logits only where they are wanted.
- *cache*: the same with the cache mode.

Factors are over the line above. The last lines are other planners with as many calls in that cache mode."""
TIMED = {
    "runs": "a generation in each cache mode",
    "split": "a generation as what makes it fast is added one by one",
    "requests": "requests of mixed sizes, in the engine and in batches that move together",
}
SUBJECTS = {
    "runs": "cache modes",
    "split": "where a speed-up comes from",
    "requests": "requests of mixed sizes",
}


def page(found: dict[str, Any], command: str, pictures: Sequence[str] = ()) -> str:
    """All that `dus bench` measured.

    Args:
        found: `machine`, and `runs` (of `Bench.run`), `growth` (of `grow`), `split` (of `where_the_seconds_go`) or
            `requests` (of `requests.measure`).
        command: The command that measured it.
        pictures: File names, one for each growth.
    """
    machine = found["machine"]
    setting = found["setting"]
    made_on = ", ".join(
        [
            f"{machine['parameters'] / 1e6:.1f} million parameters in {machine['dtype']} on {machine['device']}",
            f"threads: {machine['threads']}",
            *(f"{name} {machine[name]}" for name in ("torch", "transformers")),
        ]
    )
    rounds = f"Medians of {setting['repeats']} rounds in which all ways took turns, after one that was not timed."
    lead = " ".join([f"This page times {_timed(found)}.", *_in_words(found)])
    parts = [f"# What a generation costs: {_subject(found)}", lead, f"Made by\n\n    {command}", f"{made_on}. {rounds}"]
    for run in found.get("runs", []):
        parts += [_described(run["setting"]), _table(run["lines"])]
    if "runs" in found:
        first_run = any(_compiled(run["lines"]) for run in found["runs"])
        parts.append(NOTES + FIRST_RUN * first_run)
    if "split" in found:
        parts += [
            _described(setting),
            f"The last change is to cache mode `{found['split']['cache']}`.",
            split_table(found["split"]),
            SPLIT_NOTES,
        ]
    if "requests" in found:
        parts += [_mixed(setting, found["requests"]), request_table(found["requests"])]
        parts += [f"![Which request is in which place at which denoiser call]({pictures[0]})"] if pictures else []
        parts.append(REQUEST_NOTES)
    for number, growth in enumerate(found.get("growth", [])):
        parts += [f"## By {LABELS[growth['axis']]}", _described(setting, growth["axis"]), _growth_table(growth)]
        parts += [f"![Seconds and memory by {LABELS[growth['axis']]}]({pictures[number]})"] if pictures else []
    return "\n\n".join(parts) + "\n"


def _subject(found: dict[str, Any]) -> str:
    """What tells the page from others."""
    told = [SUBJECTS[name] for name in SUBJECTS if name in found]
    batches = sorted({run["setting"]["batch"] for run in found.get("runs", [])})
    if batches[1:] or batches > [1]:
        told.append(f"in batches of {', '.join(map(str, batches))}")
    if "runs" in found and found["setting"]["planner"] != "dus":
        told.append(f"under `{found['setting']['planner']}`")
    if any(_compiled(run["lines"]) for run in found.get("runs", [])):
        told.append("compiled")
    if "growth" in found:
        told.append("over " + ", ".join(LABELS[growth["axis"]] for growth in found["growth"]))
    return f"{', '.join(told)} ({found['machine']['parameters'] / 1e6:.1f} M, {found['machine']['dtype']})"


def _timed(found: dict[str, Any]) -> str:
    """What was timed."""
    told = [TIMED[name] for name in TIMED if name in found]
    if "growth" in found:
        told.append(f"a generation over the number of {listed([LABELS[growth['axis']] for growth in found['growth']])}")
    return " and ".join(told)


def _in_words(found: dict[str, Any]) -> Iterator[str]:
    """What came out, a sentence at a time."""
    for run in found.get("runs", []):
        first, fastest = run["lines"][0], min(run["lines"], key=lambda line: line["seconds"])
        rows = f"With {run['setting']['batch']} rows " if run["setting"]["batch"] > 1 else ""
        taken = f"{fastest['seconds']:.3f} s"
        if fastest is first:
            yield f"{rows}`{first['name']}` takes {taken}."
        else:
            factor = f"{first['seconds'] / fastest['seconds']:.2f}× as fast as `{first['name']}`"
            yield f"{rows}`{fastest['name']}` is fastest: it takes {taken} and is {factor}."
    if "split" in found:
        first, *_, last = found["split"]["changes"]
        factor = f"{first['seconds'] / last['seconds']:.1f}×"
        yield f"The whole is {factor} as fast as the published loop at one token a call."
    if "requests" in found:
        first, *_, last = found["requests"]["lines"]
        yield f"The {first['name']} takes {first['seconds']:.2f} s, and {last['name']}, take {last['seconds']:.2f} s."
    for growth in found.get("growth", []):
        low, high = growth["points"][0], growth["points"][-1]
        grown = [
            f"`{before['name']}` goes from {before['seconds']:.3f} s to {after['seconds']:.3f} s"
            for before, after in zip(low["lines"], high["lines"], strict=True)
        ]
        yield (
            f"From {low['value']} to {high['value']} {LABELS[growth['axis']]}, "
            f"{listed(list(dict.fromkeys([grown[0], grown[-1]])))}."
        )


def _compiled(lines: Sequence[dict[str, Any]]) -> bool:
    return any("compiled" in line["name"] for line in lines)


def _described(setting: dict[str, Any], growing: str = "") -> str:
    """What was generated, but for what grows."""
    sizes = {
        "batch": f"rows: {setting['batch']}",
        "prompt": f"prompts of {setting['prompt']} random tokens",
        "new": f"{setting['new']} tokens generated for each",
        "block": f"blocks of {setting['block_length']}",
    }
    return f"Planner `{setting['planner']}`, {', '.join(text for name, text in sizes.items() if name != growing)}."


def _mixed(setting: dict[str, Any], found: dict[str, Any]) -> str:
    """What was asked for."""
    return (
        f"{found['count']} requests, prompts of {LEAST} to {setting['prompt']} random tokens, answers of {LEAST} to "
        f"{setting['new']}, drawn evenly; places: {setting['batch']}, planner `{setting['planner']}`, blocks of "
        f"{setting['block_length']}, cache mode `{found['cache']}`."
    )


def _table(lines: Sequence[dict[str, Any]]) -> str:
    """A line a way; what a run did once, and weights of different sizes, where there are forms of the model."""
    first, forms = lines[0]["seconds"], len({line["weights"] for line in lines}) > 1
    compiled = _compiled(lines)
    heads = [
        "",
        "seconds",
        "tokens/s",
        "faster",
        "calls",
        "first block",
        "over floor",
        "over products",
        "denoiser",
        "planner",
        "rest",
    ]
    heads += ["first run"] * compiled + ["weights (MB)"] * forms + ["memory (MB)", "agrees"]
    rows = []
    for line in lines:
        timed = [f"{line['seconds']:.3f}", f"{line['tokens_per_second']:.0f}", f"{first / line['seconds']:.2f}×"]
        inside = [""] * 7
        if "nfe" in line:
            inside = [f"{line['nfe']:g}", f"{line['first_block']:.3f}", f"{line['over_floor']:.3f}"]
            inside += [f"{line['over_products']:.2f}" if line["over_products"] else ""]
            inside += [f"{line[share]:.1%}" for share in ("denoiser", "planner", "rest")]
        sizes = [f"{line['first']:.1f}"] * compiled + [_megabytes(line["weights"])] * forms
        rows.append(
            [f"`{line['name']}`", *timed, *inside, *sizes, _megabytes(line["memory"]), f"{line['agreement']:.0%}"]
        )
    return markdown(heads, rows)


def _growth_table(growth: dict[str, Any]) -> str:
    """A line a value: the seconds of each way and its memory on top of the weights."""
    names = [f"`{line['name']}`" for line in growth["points"][0]["lines"]]
    rows = [
        [str(point["value"])]
        + [f"{line['seconds']:.3f} s ({_megabytes(line['memory'])} MB)" for line in point["lines"]]
        for point in growth["points"]
    ]
    return markdown([LABELS[growth["axis"]], *names], rows)


def _megabytes(count: int | None) -> str:
    return "?" if count is None else f"{count / 1e6:.0f}"
