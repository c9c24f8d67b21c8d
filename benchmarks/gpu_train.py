"""How much a GPU trains in some seconds: a run of `dus train --size base` that is interrupted, as its log tells."""

import argparse
import signal
import subprocess
import sys
import time
from pathlib import Path

TASKS = "arithmetic,instructions,text"
"""What needs no sandbox to be judged."""


def main():
    """Train until the time is up, of which the tokenizer, which is learned first, takes some."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder of the run, which must not exist")
    asked = parser.parse_args()
    command = [sys.executable, "-m", "dus", "train", "--size", "base", "--task", TASKS, "--out", str(asked.out)]
    began, log = time.monotonic(), asked.out / "log.jsonl"
    run = subprocess.Popen(command)
    while run.poll() is None and not log.exists() and time.monotonic() - began < asked.seconds:
        time.sleep(0.2)
    before = time.monotonic() - began
    print(f"{before:.0f} s before the first step, {max(asked.seconds - before, 0):.0f} s of training")
    try:
        return run.wait(timeout=max(asked.seconds - before, 0))
    except subprocess.TimeoutExpired:
        run.send_signal(signal.SIGINT)
    try:
        run.wait(timeout=10)
    except subprocess.TimeoutExpired:  # it is in the middle of a checkpoint
        run.kill()
        run.wait()
    return 0 if log.exists() else 1


if __name__ == "__main__":
    sys.exit(main())
