"""Which positions to unmask: pure rules on tensors that know no model, no tokenizer and no loop.

A planner is added in one file and one line of `_REGISTRY`.
"""

from dus.planners.base import BlockState, Planner, PlannerError, Prediction, Schedule, Wrapper
from dus.planners.bounded import ConfidenceBounded, EntropyBounded, Factor
from dus.planners.dilated import DUS
from dus.planners.levels import Levels
from dus.planners.ranked import Confidence, Entropy, LeftToRight, Margin, Random
from dus.planners.revising import ReMDM, Saber
from dus.planners.text import parse, register, registered
from dus.planners.wrappers import Deferred, Spaced

_REGISTRY: dict[str, type[Planner]] = {
    "dus": DUS,
    "confidence": Confidence,
    "entropy": Entropy,
    "margin": Margin,
    "random": Random,
    "left-to-right": LeftToRight,
    "eb": EntropyBounded,
    "cb": ConfidenceBounded,
    "factor": Factor,
    "levels": Levels,
    "saber": Saber,
    "remdm": ReMDM,
    "spaced": Spaced,
    "deferred": Deferred,
}
for _name, _planner in _REGISTRY.items():
    register(_name, _planner)

__all__ = [
    "DUS",
    "BlockState",
    "Confidence",
    "ConfidenceBounded",
    "Deferred",
    "Entropy",
    "EntropyBounded",
    "Factor",
    "LeftToRight",
    "Levels",
    "Margin",
    "Planner",
    "PlannerError",
    "Prediction",
    "Random",
    "ReMDM",
    "Saber",
    "Schedule",
    "Spaced",
    "Wrapper",
    "parse",
    "register",
    "registered",
]
