"""Rows that do not fit in memory together are decoded a part at a time, and come out the same."""

import weakref
from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

import dus
from dus.decoding import BatchWarning, GenerationError, Settings, memory
from dus.decoding.caches import KeyValuePool
from dus.denoisers import DenoiserAround, DreamConfig, DreamForMaskedLM, Layout, LladaConfig, LladaForMaskedLM, NativeLM

from .standins import Recorder, hashed, rows, same

PROMPTS = [[5, 3, 7, 2, 9, 4, 6], [8], [2, 2, 3], [4, 6, 2], [9, 9, 2, 3, 4, 5], [3], [7, 7]]
REFUSED = "DefaultCPUAllocator: can't allocate memory: you tried to allocate 1125899906842624 bytes."


class Small(DenoiserAround):
    """A denoiser that takes so many rows at once, and runs out of memory above that."""

    def __init__(self, model, most, error=torch.OutOfMemoryError, after=0):
        super().__init__(model)
        self.most, self.error, self.after = most, error, after
        self.tried = []

    def logits(self, canvas, **kwargs):
        self.tried.append(len(canvas))
        if len(canvas) > self.most and len(self.tried) > self.after:
            raise self.error(REFUSED)
        return self.inner.logits(canvas, **kwargs)


def generate(model, prompts=PROMPTS, **kwargs):
    kwargs = {"max_new_tokens": 11, "block_length": 4, **kwargs}
    return dus.generate(model, [torch.tensor(prompt) for prompt in prompts], **kwargs)


@pytest.mark.parametrize("planner", ["dus", "eb(gamma=2)", "random(per_step=2)", "saber"])
@pytest.mark.parametrize("most", [1, 2, 3, 5])
def test_a_device_that_runs_out_halves_the_batch_and_says_so(planner, most):
    asked = {"planner": planner, "temperature": 0.7, "seed": 3}
    model = Small(hashed(1), most)
    with pytest.warns(BatchWarning) as told:
        got = generate(model, **asked)
    assert "7 rows do not fit in the device's memory together: " in str(told[0].message)
    assert [str(each.message).split()[-4] for each in told] == (["3"] if most >= 3 else ["3", "1"])
    assert same(got, generate(hashed(1), **asked))
    assert model.tried[0] == len(PROMPTS)
    assert max(model.tried[2 if most < 3 else 1 :]) <= 3


def test_rows_that_are_done_are_kept():
    whole = generate(hashed(1), max_new_tokens=40)
    calls = sorted(whole.nfe)
    assert calls[0] < calls[-1]
    seen = Counter()
    with pytest.warns(BatchWarning):
        got = generate(
            Small(hashed(1), 3, after=calls[0] + 1), max_new_tokens=40, progress=lambda step: seen.update(step.rows)
        )
    assert same(got, whole)
    kept = {row for row in seen if seen[row] == whole.nfe[row]}
    assert kept == {row for row, count in enumerate(whole.nfe) if count == calls[0]}
    assert all(seen[row] > whole.nfe[row] for row in seen.keys() - kept)


@pytest.mark.parametrize(
    "said",
    [
        "CUDA error: out of memory\nCUDA kernel errors might be reported later",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
    ],
)
def test_what_the_libraries_of_a_gpu_say_of_memory_is_understood(said):
    assert memory.is_out_of_memory(RuntimeError(said))
    assert not memory.is_lost(RuntimeError(said))
    assert not memory.is_lost(torch.AcceleratorError("CUDA error: out of memory"))
    assert memory.is_lost(torch.AcceleratorError("CUDA error: device-side assert triggered"))


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, RuntimeError])
def test_one_row_that_does_not_fit_is_a_clear_error(error):
    with (
        pytest.warns(BatchWarning),
        pytest.raises(GenerationError, match=r"row \d, of \d+ tokens, does not fit .*: a shorter prompt, fewer"),
    ):
        generate(Small(hashed(1), 0, error))


def test_another_runtime_error_is_not_taken_for_this_one():
    def broken(canvas):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    model = dus.denoisers.from_callable(broken, mask_token_id=0, vocab_size=13)
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        generate(model)


def with_free(monkeypatch, count):
    monkeypatch.setattr(memory, "free_bytes", lambda device: count)


@pytest.mark.parametrize("fitting", [1, 2, 3, 6])
def test_an_estimate_splits_before_anything_is_tried(monkeypatch, fitting):
    model, whole = Recorder(hashed(1)), generate(hashed(1))
    need = memory.row_bytes(model, Settings(block_length=4), 18)
    with_free(monkeypatch, int(need * (fitting + 0.5) / memory.SHARE))
    with pytest.warns(BatchWarning) as told:
        got = generate(model)
    (message,) = [str(each.message) for each in told]
    assert message.startswith("7 rows of 18 tokens need about ")
    assert message.endswith(f"decoded {fitting} at a time")
    assert same(got, whole)
    assert max(len(call.canvas) for call in model.calls) == fitting


def test_a_row_that_needs_more_than_is_free_is_refused_before_it_is_tried(monkeypatch):
    model = Recorder(hashed(1))
    with_free(monkeypatch, 10)
    with pytest.raises(GenerationError, match=r"row 0, of 18 tokens, needs about .* MB, and 0.0 MB are free"):
        generate(model)
    assert not model.calls


def test_where_nothing_is_known_of_memory_nothing_is_split(monkeypatch):
    model = Recorder(hashed(1))
    with_free(monkeypatch, None)
    generate(model)
    assert len(model.calls[0].canvas) == len(PROMPTS)


@examples(deadline=None, max_examples=40)
@given(
    lengths=st.lists(st.integers(1, 50), min_size=1, max_size=12),
    most=st.integers(1, 12),
    room=st.integers(1, 10**6),
)
def test_as_many_rows_as_fit_have_a_place(lengths, most, room):
    model, asked = hashed(1), Settings(block_length=8, cache="none")
    need = max(memory.row_bytes(model, asked, length) for length in lengths)
    with pytest.MonkeyPatch.context() as patch:
        room = max(room, need)
        patch.setattr(memory, "free_bytes", lambda device: room)
        patch.setattr(memory, "warn", lambda message: None)
        count = memory.places(model, asked, dict(enumerate(lengths)), most)
    assert 1 <= count <= min(most, len(lengths))
    assert count == 1 or count * need <= memory.SHARE * room
    assert count == min(most, len(lengths)) or (count + 1) * need > memory.SHARE * room


class Live(TorchDispatchMode):
    """Counts the bytes of what torch makes and has not yet let go, and the most there were at once."""

    def __init__(self):
        super().__init__()
        self.now = self.most = 0
        self.known = weakref.WeakSet()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        for tensor in torch.utils._pytree.tree_leaves(made):
            if isinstance(tensor, torch.Tensor) and (storage := tensor.untyped_storage()) not in self.known:
                self.known.add(storage)
                self.now += storage.nbytes()
                self.most = max(self.most, self.now)
                weakref.finalize(storage, self._gone, storage.nbytes())
        return made

    def _gone(self, count):
        self.now -= count


def test_a_pool_that_grows_holds_one_layer_twice_at_most():
    with Live() as live:
        pool, layers = KeyValuePool(4, 10), 8
        pool.layout = Layout(torch.arange(10), None, (10,) * 4, (0,) * 4, (10,) * 4)
        for layer in range(layers):
            pool.update(*torch.ones(2, 4, 2, 10, 16), layer)
        before = pool.keys[0].nbytes
        pool.grow(4, 20)
        assert live.most <= 2 * layers * 2 * before + 5 * before
    assert float(pool.keys[-1][:, :, :10].min()) == 1
    assert float(pool.keys[-1][:, :, 10:].max()) == 0


@pytest.mark.parametrize("cache", ["none", "dual"])
@pytest.mark.parametrize("family", ["llada", "dream"])
@pytest.mark.parametrize(
    "how",
    [{}, {"temperature": 1.0}, {"temperature": 1.0, "top_p": 0.9}, {"cfg_scale": 1.0}, {"planner": "klass"}],
    ids=str,
)
def test_the_estimate_is_near_what_is_taken(family, cache, how):
    torch.manual_seed(3)
    sizes = {"hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 200}
    config, model = (LladaConfig, LladaForMaskedLM) if family == "llada" else (DreamConfig, DreamForMaskedLM)
    heads = 4 if family == "llada" else 2
    made = model(config(**sizes, num_key_value_heads=heads, vocab_size=500, mask_token_id=2)).eval()
    denoiser, prompts = NativeLM(made), torch.randint(3, 500, (4, 100))
    asked = {"planner": "eb(gamma=1)", "max_new_tokens": 64, "block_length": 32, "cache": cache, "seed": 1, **how}
    with Live() as live:
        dus.generate(denoiser, prompts, eos="ignore", **asked)
    assert 0.8 < 4 * memory.row_bytes(denoiser, Settings(**asked), 164) / live.most < 1.25


def test_what_is_free_of_the_main_memory(monkeypatch, tmp_path):
    meminfo = tmp_path / "meminfo"
    monkeypatch.setattr(memory, "_MACHINE", meminfo)
    monkeypatch.setattr(memory, "_CONTAINER", tmp_path)
    cpu = torch.device("cpu")
    assert memory.free_bytes(cpu) is None
    meminfo.write_text("MemTotal:  900 kB\nMemAvailable:     700 kB\n")
    assert memory.free_bytes(cpu) == 700 * 1024
    (tmp_path / "memory.current").write_text("1000\n")
    for limit, free in (("max\n", 700 * 1024), ("5000\n", 4000), ("500\n", 0)):
        (tmp_path / "memory.max").write_text(limit)
        assert memory.free_bytes(cpu) == free
    (tmp_path / "memory.stat").write_text("anon 100\ninactive_file 300\n")
    assert memory.free_bytes(cpu) == 0
    (tmp_path / "memory.max").write_text("900\n")
    assert memory.free_bytes(cpu) == 200
    assert memory.free_bytes(torch.device("meta")) is None


def test_rows_of_the_result_are_in_order_whatever_the_batches_were():
    with pytest.warns(BatchWarning):
        got = generate(Small(hashed(4), 2, after=3))
    whole = generate(hashed(4))
    assert rows(got, *range(7)) == rows(whole, *range(7))
