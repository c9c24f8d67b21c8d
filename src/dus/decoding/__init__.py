"""The loop: planner x denoiser -> tokens, with sampling, stopping and the trace."""

from dus.decoding.batches import BatchWarning
from dus.decoding.generate import generate, infill, steps
from dus.decoding.loop import Step
from dus.decoding.settings import GenerationError, Settings
from dus.decoding.trace import Generation, Trace

__all__ = ["BatchWarning", "Generation", "GenerationError", "Settings", "Step", "Trace", "generate", "infill", "steps"]
