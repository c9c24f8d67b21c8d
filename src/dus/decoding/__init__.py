"""The engine: planner x denoiser -> tokens, with sampling, stopping and the trace."""

from dus.decoding.engine import Engine
from dus.decoding.generate import generate, infill, steps
from dus.decoding.memory import BatchWarning
from dus.decoding.settings import GenerationError, GenerationWarning, Settings
from dus.decoding.trace import BlockDone, Decoded, Event, Failed, Generation, Step, Trace

__all__ = [
    "BatchWarning",
    "BlockDone",
    "Decoded",
    "Engine",
    "Event",
    "Failed",
    "Generation",
    "GenerationError",
    "GenerationWarning",
    "Settings",
    "Step",
    "Trace",
    "generate",
    "infill",
    "steps",
]
