"""Which positions to unmask: pure rules on tensors that know no model, no tokenizer and no loop.

A planner is added in one file, under `@register`, and one line here.
"""

from dus.planners.base import Planner as Planner
from dus.planners.base import Schedule as Schedule
from dus.planners.base import Wrapper as Wrapper
from dus.planners.fields import PlannerError as PlannerError
from dus.planners.registry import register as register
from dus.planners.registry import registered as registered
from dus.planners.state import BlockState as BlockState
from dus.planners.state import Prediction as Prediction
from dus.planners.text import parse as parse

# The planners, in the order in which they are listed.
# isort: off
from dus.planners.dilated import DUS as DUS
from dus.planners.ranked import Confidence as Confidence
from dus.planners.ranked import Entropy as Entropy
from dus.planners.ranked import Margin as Margin
from dus.planners.ranked import Random as Random
from dus.planners.ranked import Halton as Halton
from dus.planners.ranked import LeftToRight as LeftToRight
from dus.planners.bounded import EntropyBounded as EntropyBounded
from dus.planners.bounded import ConfidenceBounded as ConfidenceBounded
from dus.planners.bounded import Factor as Factor
from dus.planners.deb import DiscountedEntropyBounded as DiscountedEntropyBounded
from dus.planners.klass import KLASS as KLASS
from dus.planners.localleap import LocalLeap as LocalLeap
from dus.planners.pc import PC as PC
from dus.planners.levels import Levels as Levels
from dus.planners.revising import Saber as Saber
from dus.planners.revising import ReMDM as ReMDM
from dus.planners.wino import WINO as WINO
from dus.planners.wrappers import Spaced as Spaced
from dus.planners.wrappers import Deferred as Deferred
from dus.planners.editing import Edited as Edited
from dus.planners.prophet import Prophet as Prophet

__all__ = [name for name, value in globals().items() if callable(value) and not name.startswith("_")]
