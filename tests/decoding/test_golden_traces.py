"""The published decoders' own greedy outputs, token for token."""

import json
from collections import defaultdict

import pytest
import torch

import dus

from .goldens import checkpoint, traced


def planner_of(trace):
    name = trace["algo"]
    steps = trace["steps"] * trace["block_length"] // trace["gen_length"] if "steps" in trace else None
    text = {
        "confidence": f"confidence(steps={steps})",
        "threshold": f"cb(tau={trace.get('threshold')})",
        "dus": f"dus(base={trace.get('base')})",
        "eb": f"eb(gamma={trace.get('gamma')})",
        "cb": f"cb(tau={trace.get('tau')})",
    }[name]
    gap = trace.get("start_gap")
    return f"{text} | spaced(gap={gap})" if gap else text


def cases():
    """Traces without a cache, those of the same settings together: one case is a batch."""
    for folder in traced():
        settings = defaultdict(list)
        for trace in json.loads((folder / "traces.json").read_text()):
            if "cache" not in trace["algo"]:
                settings[planner_of(trace), trace["gen_length"], trace["block_length"]].append(trace)
        for (planner, length, block), traces in settings.items():
            yield pytest.param(folder, planner, block, traces, id=f"{folder.name}: {planner}, {length} by {block}")


@pytest.mark.parametrize(("folder", "planner", "block_length", "traces"), list(cases()))
def test_a_published_trace_is_reproduced_with_its_calls(folder, planner, block_length, traces):
    got = dus.generate(
        checkpoint(folder),
        [torch.tensor(trace["prompt"]) for trace in traces],
        planner=planner,
        max_new_tokens=traces[0]["gen_length"],
        block_length=block_length,
        eos="ignore",
    )
    assert [row.tolist() for row in got.tokens] == [trace["output"] for trace in traces]
    expected = [trace.get("nfe", trace.get("steps")) for trace in traces]
    assert got.nfe == expected
