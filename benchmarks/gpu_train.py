"""How much a GPU trains in some seconds: a run of `dus train --size base` that is interrupted, as its log tells."""

import argparse
import signal
import subprocess
import sys
from pathlib import Path


def main():
    """Train until the time is up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder of the run, which must not exist")
    asked = parser.parse_args()
    command = [sys.executable, "-m", "dus", "train", "--size", "base", "--out", str(asked.out)]
    run = subprocess.Popen(command)
    try:
        return run.wait(timeout=asked.seconds)
    except subprocess.TimeoutExpired:
        run.send_signal(signal.SIGINT)
        run.wait(timeout=15)
    return 0 if (asked.out / "log.jsonl").exists() else 1


if __name__ == "__main__":
    sys.exit(main())
