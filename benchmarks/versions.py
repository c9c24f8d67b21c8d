"""Two checkouts of this project side by side: python benchmarks/versions.py BEFORE --page docs/results/versions.md.

Each checkout runs in a process of its own and generates with the same random model in turns, so that what disturbs the
machine disturbs both. That versions write the same tokens is the golden traces' business (tests/decoding).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

MODES = ("none", "prefix", "dual", "block", "touched")
HERE = Path(__file__).resolve().parents[1]


def serve(scale: float) -> None:
    """Generate for each line of the standard input, a mode and a number of rows, and print how that went."""
    import torch

    from dus.bench.machine import machine
    from dus.bench.shapes import random_model
    from dus.decoding import generate
    from dus.denoisers.load import prepared

    warnings.filterwarnings("ignore")
    model = prepared(random_model("llada-8b", scale, dtype=torch.bfloat16, device="cpu"), False)
    prompts = torch.randint(2, model.vocab_size, (64, 256), generator=torch.Generator().manual_seed(1))
    print(json.dumps(machine(model)), flush=True)
    for line in sys.stdin:
        mode, rows = line.split()
        begun = time.perf_counter()
        found = generate(model, list(prompts[: int(rows)]), planner="dus", cache=mode, eos="ignore", scores=False)
        seconds = time.perf_counter() - begun
        print(json.dumps({"seconds": seconds, "calls": found.nfe}), flush=True)


class Version:
    """A checkout at work in a process of its own."""

    def __init__(self, checkout: Path, scale: float) -> None:
        path = {**os.environ, "PYTHONPATH": str(checkout / "src")}
        command = [sys.executable, __file__, "--serve", "--scale", str(scale)]
        self.process = subprocess.Popen(command, env=path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.machine = self._answer()

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline() or "null")

    def ask(self, mode: str, rows: int) -> dict[str, Any]:
        """One generation: its seconds and calls."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{mode} {rows}\n")
        self.process.stdin.flush()
        found: dict[str, Any] = self._answer()
        return found


def compare(before: Version, now: Version, mode: str, rows: int, rounds: int) -> list[str]:
    """A line of the table: medians over rounds in which both took turns, after one that is not counted."""
    first = [version.ask(mode, rows) for version in (before, now)]
    seconds: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds):
        for which in (0, 1) if number % 2 else (1, 0):
            seconds[which].append((before, now)[which].ask(mode, rows)["seconds"])
    old, new = map(statistics.median, seconds)
    pairs = sorted(b / a for a, b in zip(*seconds, strict=True))
    spread = f"{pairs[len(pairs) // 4]:.3f} to {pairs[3 * len(pairs) // 4]:.3f}"
    print(mode, rows, f"{old:.3f} {new:.3f} {new / old:.3f}", file=sys.stderr)
    calls = max(first[1]["calls"])
    return [f"`{mode}`", str(rows), f"{old:.3f}", f"{new:.3f}", f"{new / old:.3f}", spread, str(calls)]


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Time two checkouts side by side.")
    parser.add_argument("before", type=Path, nargs="?", help="Another checkout of this project.")
    parser.add_argument("--rows", default="1", help="Rows of a batch, separated by commas.")
    parser.add_argument("--mode", default=",".join(MODES), help="Cache modes, separated by commas.")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--scale", type=float, default=0.17)
    parser.add_argument("--page", type=Path)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve(args.scale)
        return
    if args.before is None or not (args.before / "src" / "dus").is_dir():
        parser.error("name the folder of another checkout, which has src/dus in it")
    from dus.writing.files import write
    from dus.writing.tables import markdown

    before, now = Version(args.before, args.scale), Version(HERE, args.scale)
    asked = ["git", "-C", str(args.before), "log", "-1", "--format=%h"]
    commit = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    sizes = [(mode, int(rows)) for rows in args.rows.split(",") for mode in args.mode.split(",")]
    lines = [compare(before, now, mode, rows, args.rounds) for mode, rows in sizes]
    head = ["mode", "rows", "before (s)", "now (s)", "now over before", "middle half", "calls"]
    words = sys.argv[1:]
    words[words.index(str(args.before))] = "BEFORE"
    millions, made = now.machine["parameters"] / 1e6, f"python benchmarks/versions.py {' '.join(words)}"
    ratios = sorted(line[4] for line in lines)
    page = f"""# What a generation costs, beside an earlier version (rows: {args.rows})

This page times a generation in this version and in an earlier one, in turns. The seconds now are {ratios[0]} to
{ratios[-1]} of those before, by cache mode. Made by

    {made}

{millions:.1f} million parameters in bfloat16 on {now.machine["device"]}, threads: {now.machine["threads"]}.
*Before* is revision `{commit}`. Planner `dus`, prompts of 256 random tokens, 256 tokens
generated for each, blocks of 32; medians of {args.rounds} rounds in which both took turns.

{markdown(head, lines)}

*Middle half* is the range between the quartiles of the ratios of single rounds.
"""
    if args.page:
        write(args.page, page)
    print(page)


if __name__ == "__main__":
    main()
