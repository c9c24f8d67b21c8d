"""WHAT the model says: checkpoints of every family behind one contract.

Importing this room teaches transformers' `AutoConfig`, `AutoTokenizer` and `AutoModelForMaskedLM` the families.
"""

from dus.denoisers.base import Denoiser, DenoiserError, KeyValueCache
from dus.denoisers.dream import DreamConfig, DreamForMaskedLM, DreamTokenizer
from dus.denoisers.function import FunctionDenoiser, from_callable
from dus.denoisers.llada import LladaConfig, LladaForMaskedLM
from dus.denoisers.load import load
from dus.denoisers.model import Checkpoint, MaskedLM

__all__ = [
    "Checkpoint",
    "Denoiser",
    "DenoiserError",
    "DreamConfig",
    "DreamForMaskedLM",
    "DreamTokenizer",
    "FunctionDenoiser",
    "KeyValueCache",
    "LladaConfig",
    "LladaForMaskedLM",
    "MaskedLM",
    "from_callable",
    "load",
]
