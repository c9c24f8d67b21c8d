"""WHAT the model says: checkpoints of every family behind one contract.

Importing this room teaches transformers' `AutoConfig`, `AutoTokenizer` and `AutoModelForMaskedLM` the families.
"""

from dus.denoisers.quiet import quiet_loading  # noqa: F401 - before transformers' models are imported

# isort: split
from dus.denoisers import a2d, fast_dllm, llada2, llada_moe, nemotron, sdar  # noqa: F401 - registers them
from dus.denoisers.base import Denoiser, DenoiserAround, DenoiserError, KeyValueCache
from dus.denoisers.columns import Layout
from dus.denoisers.dream import DreamConfig, DreamForMaskedLM, DreamTokenizer
from dus.denoisers.function import FunctionDenoiser, from_callable
from dus.denoisers.llada import LladaConfig, LladaForMaskedLM
from dus.denoisers.load import load
from dus.denoisers.model import MaskedLM
from dus.denoisers.native import NativeLM

__all__ = [
    "Denoiser",
    "DenoiserAround",
    "DenoiserError",
    "DreamConfig",
    "DreamForMaskedLM",
    "DreamTokenizer",
    "FunctionDenoiser",
    "KeyValueCache",
    "Layout",
    "LladaConfig",
    "LladaForMaskedLM",
    "MaskedLM",
    "NativeLM",
    "from_callable",
    "load",
]
