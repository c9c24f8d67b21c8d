"""What no loop can undercut: the time to read all weights once, beside one cached step, and where its time goes."""

import argparse
import json
import statistics
import time
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from dus.bench.shapes import random_model
from dus.decoding import Engine, Settings
from dus.denoisers.load import prepared
from dus.writing.files import write

STEPS = 20


def wait(device):
    """Until the device is done with what it was told."""
    if device == "cuda":
        torch.cuda.synchronize()


def median(action, device, times=STEPS):
    """Seconds of an action, once the device is done with it."""
    taken = []
    for _ in range(times):
        wait(device)
        began = time.perf_counter()
        action()
        wait(device)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken[2:] or taken)


@torch.no_grad()
def reading(model, device):
    """Every matrix of the model times one vector: its weights are read once, and little else is done.

    Of the input embedding a step reads a few rows alone, unless it is the vocabulary projection as well.
    """
    inputs = None if model.config.tie_word_embeddings else model.get_input_embeddings().weight
    matrices = [weight for weight in model.parameters() if weight.dim() == 2 and weight is not inputs]
    vectors = [torch.ones(weight.shape[1], 1, dtype=weight.dtype, device=weight.device) for weight in matrices]

    def action():
        for weight, vector in zip(matrices, vectors, strict=True):
            weight @ vector

    return median(action, device)


def main():
    """Measure, print the profile of five steps, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    model = random_model("llada-8b", asked.scale, dtype=torch.bfloat16, device=asked.device)
    found = {"reading": reading(model.model, asked.device)}
    model = prepared(model, compile=False)
    engine = Engine(model, rows=1, cache="block", watch=False)
    prompt = torch.randint(2, model.vocab_size, (256,))
    new = 32 * (STEPS + 8)
    engine.submit(prompt, Settings(planner="confidence(per_step=1)", max_new_tokens=new, eos="ignore", scores=False))
    engine.step()
    found["step"] = median(engine.step, asked.device)
    kinds = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * (asked.device == "cuda")
    with profile(activities=kinds) as watched:
        for _ in range(5):
            engine.step()
        wait(asked.device)
    order = "self_cuda_time_total" if asked.device == "cuda" else "self_cpu_time_total"
    print(watched.key_averages().table(sort_by=order, row_limit=25))
    write(asked.out, json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
