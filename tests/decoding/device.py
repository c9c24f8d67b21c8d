"""A device of another kind, on the processor: its tensors cannot be mixed with the host's, and looks at them count.

Tensors say that they are on torch's "meta" device and hold their values all the same. What would fail on a GPU fails
here (an operation on tensors of both devices), and what would make the host wait for it is written down: a value read
on the host (`item`, a branch, `nonzero`, a mask as an index), a copy from the device, a blocking copy to it.
"""

import traceback

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from dus.denoisers import NativeLM

META = torch.device("meta")
READS = {"_local_scalar_dense", "nonzero", "masked_select", "unique", "_unique2", "unique_dim", "equal", "bincount"}
"""Operations that look at a value, or whose result has a size that depends on values."""
SORTS = {"isin"}
"""Operations that do so on CUDA, of many tensors, inside of other operations."""


class There(torch.Tensor):
    """A tensor on the device, around one on the processor."""

    @staticmethod
    def __new__(cls, here):
        made = torch.Tensor._make_wrapper_subclass(
            cls, here.shape, here.stride(), here.storage_offset(), dtype=here.dtype, device=META
        )
        made.here = here
        return made

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        raise AssertionError(f"{func} outside of the device's mode")

    __torch_function__ = torch._C._disabled_torch_function_impl


def _here(value):
    return value.here if isinstance(value, There) else value


def _there(value):
    return There(value) if isinstance(value, torch.Tensor) and not isinstance(value, There) else value


class Device(TorchFunctionMode):
    """Within it tensors can be made on the device.

    Attributes:
        waits: what made the host wait so far, each with the line of `dus` that asked for it.
    """

    def __init__(self):
        super().__init__()
        self.waits, self.dispatch = [], _Dispatch(self)

    def __enter__(self):
        super().__enter__()
        self.dispatch.__enter__()
        return self

    def __exit__(self, *error):
        self.dispatch.__exit__(*error)
        super().__exit__(*error)

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if func in (torch.tensor, torch.as_tensor) and str(kwargs.get("device")) == "meta":
            del kwargs["device"]
            self.waited(f"{func.__name__} on the device")
            return There(func(*args, **kwargs))
        return func(*args, **kwargs)

    def waited(self, what):
        """Write down what the host waits for."""
        ours = [frame for frame in traceback.extract_stack() if "/dus/" in frame.filename]
        self.waits.append(f"{what} in {ours[-1].filename.rsplit('/dus/', 1)[1]}:{ours[-1].lineno}" if ours else what)

    def moved(self, model):
        """A model whose weights and buffers are on the device."""
        with self:
            for module in model.model.modules():
                for name, value in module.named_parameters(recurse=False):
                    module._parameters[name] = torch.nn.Parameter(There(value.detach()), requires_grad=False)
                module._buffers = {name: There(value) for name, value in module.named_buffers(recurse=False)}
            return NativeLM(model.model, model.tokenizer)


class _Dispatch(TorchDispatchMode):
    """Computes on the processor what is asked of the device."""

    def __init__(self, device):
        super().__init__()
        self.device = device

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        there = [tensor for tensor in tensors if isinstance(tensor, There)]
        asked = kwargs.get("device")
        name = func.overloadpacket.__name__
        if not there and (asked is None or torch.device(asked) != META):
            return func(*args, **kwargs)
        if there:
            self._look(name, args, kwargs, tensors)
        stays = asked is None or torch.device(asked) == META
        if not there and name == "_to_copy" and not kwargs.get("non_blocking"):
            self.device.waited("a blocking copy to the device")
        if asked is not None:
            kwargs = {**kwargs, "device": torch.device("cpu")}
        made = func(*tree_map(_here, args), **tree_map(_here, kwargs))
        if name == "_local_scalar_dense" or not stays:
            return made.clone() if isinstance(made, torch.Tensor) and not stays else made
        if func._schema.is_mutable and isinstance(made, torch.Tensor):
            return args[0] if made is _here(args[0]) else kwargs["out"]
        return tree_map(_there, made)

    def _look(self, name, args, kwargs, tensors):
        """Whether an operation that meets a tensor of the device is allowed, and makes the host wait."""
        asked = kwargs.get("device")
        if name in READS | SORTS or (asked is not None and torch.device(asked) != META):
            self.device.waited(name if asked is None else "a copy from the device")
        if name == "copy_":
            if not isinstance(args[0], There) or (not isinstance(args[1], There) and not kwargs.get("non_blocking")):
                self.device.waited("copy_ between devices")
            return
        others = [tensor for tensor in tensors if not isinstance(tensor, There)]
        if name in ("index", "index_put", "index_put_"):
            found = [index for index in args[1] if index is not None]
            if any(index.dtype in (torch.bool, torch.uint8) for index in found):
                self.device.waited(f"{name} with a mask")
            if any(not isinstance(index, There) for index in found):
                self.device.waited(f"{name} with indices of the host")
            if name != "index" and args[2].dim() == 0 and not isinstance(args[2], There):
                self.device.waited(f"{name} with a number of the host")
            others = [tensor for tensor in (args[0], *args[2:3]) if isinstance(tensor, torch.Tensor)]
            others = [tensor for tensor in others if not isinstance(tensor, There)]
        if any(tensor.dim() > 0 for tensor in others):
            raise RuntimeError(f"{name} of tensors on the device and on the host")
