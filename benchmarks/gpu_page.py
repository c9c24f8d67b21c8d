"""The page on what a GPU does: `python benchmarks/gpu_page.py OUT PAGE`, OUT being what `benchmarks/gpu.sh` filled."""

import json
import re
import sys
from pathlib import Path

from dus.writing.files import write
from dus.writing.tables import code, markdown

PARTS = {
    "right": "the tests of tests/gpu",
    "one": "DUS, one row",
    "adaptive": "adaptive planners, one row",
    "each": "token by token, one row",
    "many": "DUS, several rows",
    "experts": "DUS on LLaDA2-mini's shape, block-causal, one row",
    "compiled": "DUS, compiled",
    "floor": "the weights read once, and one cached step",
    "trained": "training",
}


def read(folder, name):
    """A part's figures; None where it did not come to them."""
    file = folder / name
    return json.loads(file.read_text()) if file.exists() else None


def ended(folder):
    """For each part its exit code and seconds."""
    lines = (folder / "parts.txt").read_text().split("\n")
    return {name: (int(exit_code), int(seconds)) for name, exit_code, seconds in map(str.split, filter(None, lines))}


def overview(folder):
    """Whether each part ended, and what the tests came to."""
    found = ended(folder)
    said = {0: "ended", 77: "skipped", 124: "stopped at its limit"}
    tests = (folder / "right.txt").read_text() if "right" in found else ""
    counts = re.findall(r"\d+ (?:passed|failed|skipped|error)\w*", tests.splitlines()[-1] if tests else "")
    lacking = [
        f"{PARTS[name][0].upper()}{PARTS[name][1:]}: {(folder / f'{name}.txt').read_text().strip()}."
        for name, (exit_code, _) in found.items()
        if exit_code == 77
    ]
    rows = [
        [
            title,
            said.get(found[name][0], f"exit code {found[name][0]}") if name in found else "not begun",
            found[name][1] if name in found else "",
        ]
        for name, title in PARTS.items()
    ]
    tests = [f"Tests: {', '.join(counts)}."] if counts else []
    return "\n\n".join([markdown(["part", "", "seconds"], rows, names=2), *tests, *lacking])


def speed(folder):
    """A line a planner, mode and number of rows."""
    rows = []
    for name in ("one", "adaptive", "each", "many", "experts", "compiled"):
        beside = ", LLaDA2-mini" if name == "experts" else ""
        for run in (read(folder, f"{name}.json") or {"runs": []})["runs"]:
            setting = run["setting"]
            rows += [
                [code(setting["planner"]), f"`{line['name']}`{beside}", setting["batch"], setting["new"],
                 f"{line['seconds']:.3f}",
                 f"{line['tokens_per_second']:.0f}", f"{line['nfe']:g}", f"{line['over_floor']:.3f}"]
                for line in run["lines"]
            ]  # fmt: skip
    heads = ["planner", "mode", "rows", "new tokens", "seconds", "tokens/s", "calls", "over floor"]
    return markdown(heads, rows, names=2), rows


def verdict(rows, floor):
    """What was wanted beside what was found."""
    seconds = {tuple(row[:4]): float(row[4]) for row in rows}
    lines = []
    for (planner, mode, batch, new), slow in seconds.items():
        ours = seconds.get((code("dus"), mode, batch, new))
        if planner == code("confidence(per_step=1)") and ours:
            lines.append(f"DUS is {slow / ours:.1f} times as fast as token by token in {mode}; at least 6 was wanted.")
    if floor:
        ratio = floor["step"] / floor["reading"]
        lines.append(
            f"A cached step of one row takes {floor['step'] * 1e3:.1f} ms, {ratio:.2f} times one read of the weights "
            f"({floor['reading'] * 1e3:.1f} ms); at most 1.25 was wanted."
        )
    return " ".join(lines)


def training(folder):
    """Loss and speed of the run, from its log."""
    log, settings = folder / "training" / "log.jsonl", read(folder / "training", "settings.json")
    entries = [json.loads(line) for line in log.read_text().splitlines() if line.endswith("}")] if log.exists() else []
    losses = [entry for entry in entries if "loss" in entry]
    if len(losses) < 2 or settings is None:
        return "No two entries were logged."
    first, last = losses[0], losses[-1]
    each = (last["step"] - first["step"]) / (last["time"] - first["time"])
    return (
        f"Loss {first['loss']:.2f} at step {first['step']}, {last['loss']:.2f} at step {last['step']}; {each:.1f} "
        f"steps or {each * settings['tokens_per_batch']:.0f} tokens a second."
    )


def page(folder):
    """The page as Markdown."""
    known = next((found for name in PARTS if (found := read(folder, f"{name}.json")) and "machine" in found), None)
    machine = known["machine"] if known else {}
    table, rows = speed(folder)
    parts = [
        "# On a GPU",
        "This page says whether the tests pass on a GPU, how fast planners are there in each cache mode, and what it "
        "trains. Made by\n\n    benchmarks/gpu.sh OUT\n    python benchmarks/gpu_page.py OUT docs/results/gpu.md\n    "
        "dus bench --shape llada-8b --no-textbook --cache none,dual,block,touched",
        f"On {machine.get('device', 'an unknown device')}, torch {machine.get('torch')}, transformers "
        f"{machine.get('transformers')}, {machine.get('parameters', 0) / 1e9:.1f} billion random parameters in "
        f"{machine.get('dtype')}.",
        overview(folder),
        "## How fast",
        table,
        verdict(rows, read(folder, "floor.json")),
        "*over floor*: seconds over those of the same denoiser calls with nothing around them.",
        "## What it trains",
        training(folder),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


if __name__ == "__main__":
    write(Path(sys.argv[2]), page(Path(sys.argv[1])))
