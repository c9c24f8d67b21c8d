"""Tensor parallelism: two processes on a CPU, under torchrun, have the same logits and write the same tokens as one."""

import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

import dus
from dus.denoisers import DenoiserError, load

from .test_families import tiny

CANVAS, READ = torch.arange(5, 29).view(2, 12), torch.arange(12)
WORKER = """
import sys
import torch, torch.distributed
from safetensors.torch import save_file
import dus

torch.set_num_threads(1)
folder, out = sys.argv[1:]
model = dus.load(folder, dtype="float32", tp_plan="auto")
canvas = torch.arange(5, 29).view(2, 12)
found = {"logits": model.logits(canvas, read=torch.arange(12)).contiguous()}
for cache in ("none", "block"):
    tokens = dus.generate(model, canvas, max_new_tokens=16, cache=cache, eos="ignore").tokens
    found[cache] = torch.stack(tokens)
found["weights"] = torch.tensor(sum(getattr(p, "to_local", lambda p=p: p)().numel() for p in model.model.parameters()))
save_file(found, f"{out}-{torch.distributed.get_rank()}.safetensors")
torch.distributed.destroy_process_group()
"""


@pytest.mark.parametrize("name", ["llada", "llada2_moe"])
def test_two_processes_are_one_model(name, tmp_path):
    tiny(name).save_pretrained(tmp_path / name)
    (tmp_path / "worker.py").write_text(WORKER)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    told = [str(tmp_path / "worker.py"), str(tmp_path / name), str(tmp_path / "found")]
    run = subprocess.run([*command, *told], check=False, capture_output=True, text=True, env=environment, timeout=100)
    assert run.returncode == 0, run.stderr[-2000:]
    alone = load(tmp_path / name, dtype="float32", device="cpu")
    expected = alone.logits(CANVAS, read=READ)
    weights = sum(parameter.numel() for parameter in alone.model.parameters())
    for rank in (0, 1):
        found = load_file(tmp_path / f"found-{rank}.safetensors")
        assert (found["logits"] - expected).abs().max() < 1e-5 * expected.abs().max()
        for cache in ("none", "block"):
            tokens = dus.generate(alone, CANVAS, max_new_tokens=16, cache=cache, eos="ignore").tokens
            assert torch.equal(found[cache], torch.stack(tokens))
        assert int(found["weights"]) < 0.75 * weights


def test_tensor_parallelism_needs_its_processes(tmp_path):
    tiny("llada").save_pretrained(tmp_path)
    for told in ({"tp_plan": "auto"}, {"tp_size": 2}):
        with pytest.raises(DenoiserError, match="needs several processes: start them by torchrun"):
            load(tmp_path, device="cpu", **told)
