# The public names, each once: what type checkers read, and what `__init__.py` imports when it is first used.

from dus.decoding import BatchWarning as BatchWarning
from dus.decoding import Engine as Engine
from dus.decoding import Generation as Generation
from dus.decoding import GenerationError as GenerationError
from dus.decoding import GenerationWarning as GenerationWarning
from dus.decoding import Settings as Settings
from dus.decoding import Step as Step
from dus.decoding import Trace as Trace
from dus.decoding import generate as generate
from dus.decoding import infill as infill
from dus.decoding import steps as steps
from dus.decoding.settings import ArgumentError as ArgumentError
from dus.denoisers import Denoiser as Denoiser
from dus.denoisers import DenoiserError as DenoiserError
from dus.denoisers import from_callable as from_callable
from dus.denoisers import load as load
from dus.planners import DUS as DUS
from dus.planners import KLASS as KLASS
from dus.planners import PC as PC
from dus.planners import WINO as WINO
from dus.planners import BlockState as BlockState
from dus.planners import Confidence as Confidence
from dus.planners import ConfidenceBounded as ConfidenceBounded
from dus.planners import Deferred as Deferred
from dus.planners import DiscountedEntropyBounded as DiscountedEntropyBounded
from dus.planners import Edited as Edited
from dus.planners import Entropy as Entropy
from dus.planners import EntropyBounded as EntropyBounded
from dus.planners import Factor as Factor
from dus.planners import LeftToRight as LeftToRight
from dus.planners import Levels as Levels
from dus.planners import LocalLeap as LocalLeap
from dus.planners import Margin as Margin
from dus.planners import Planner as Planner
from dus.planners import PlannerError as PlannerError
from dus.planners import Prediction as Prediction
from dus.planners import Prophet as Prophet
from dus.planners import Random as Random
from dus.planners import ReMDM as ReMDM
from dus.planners import Saber as Saber
from dus.planners import Spaced as Spaced
from dus.planners import parse as parse
from dus.planners import register as register
from dus.planners import registered as registered

__version__: str
