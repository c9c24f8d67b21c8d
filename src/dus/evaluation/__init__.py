"""What planners do on problems with checkable answers: sweeps that resume, and the tables made from them."""

from dus.evaluation.accuracy import Accuracy, accuracy
from dus.evaluation.sweep import Cell, Outcome, SweepError, sweep

__all__ = ["Accuracy", "Cell", "Outcome", "SweepError", "accuracy", "sweep"]
