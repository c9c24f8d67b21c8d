"""What planners do on problems with checkable answers: sweeps that resume, and the report made from them."""

from dus.evaluation.accuracy import TOKEN_BY_TOKEN, Accuracy
from dus.evaluation.cells import Cell, SweepError, grid
from dus.evaluation.engine import Engine, Local
from dus.evaluation.questions import Questions, held_out
from dus.evaluation.store import Outcome, Store
from dus.evaluation.sweep import sweep

__all__ = [
    "TOKEN_BY_TOKEN",
    "Accuracy",
    "Cell",
    "Engine",
    "Local",
    "Outcome",
    "Questions",
    "Store",
    "SweepError",
    "grid",
    "held_out",
    "sweep",
]
