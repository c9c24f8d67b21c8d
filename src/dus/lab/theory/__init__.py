"""Exact and estimated information quantities of unmasking schedules, on known sources and on trained denoisers.

All entropies, informations and divergences are in nats.
"""

from dus.lab.theory.adaptive import Estimate, planner_divergence, sampled_law, true_law
from dus.lab.theory.best import BestSchedules, best_schedules, local_search
from dus.lab.theory.calibrate import Calibration
from dus.lab.theory.chains import TheoryError, mixing_rate, period, stationary
from dus.lab.theory.denoiser import MarkovDenoiser
from dus.lab.theory.entropies import all_entropies, entropy, entropy_of
from dus.lab.theory.fit import Decay, Fit, decay, fits
from dus.lab.theory.gap import Gap, Mean, exact_gap, gaps
from dus.lab.theory.randoms import random_hidden, random_markov, random_variable_order
from dus.lab.theory.sampling import sampled_conditionals, sampled_divergence, schedule_divergence
from dus.lab.theory.schedules import (
    StepGap,
    conditionals,
    contiguous,
    divergence,
    equal_sizes,
    schedule_of,
    step_gaps,
)
from dus.lab.theory.sources import Source, from_tokens, hidden, markov, variable_order
from dus.lab.theory.texts import Texts, from_file, from_source, from_task

__all__ = [
    "BestSchedules", "Calibration", "Decay", "Estimate", "Fit", "Gap", "MarkovDenoiser", "Mean", "Source", "StepGap",
    "Texts", "TheoryError", "all_entropies", "best_schedules", "conditionals", "contiguous", "decay", "divergence",
    "entropy", "entropy_of", "equal_sizes", "exact_gap", "fits", "from_file", "from_source", "from_task", "from_tokens",
    "gaps", "hidden", "local_search", "markov", "mixing_rate", "period", "planner_divergence", "random_hidden",
    "random_markov", "random_variable_order", "sampled_conditionals", "sampled_divergence", "sampled_law",
    "schedule_divergence", "schedule_of", "stationary", "step_gaps", "true_law", "variable_order",
]  # fmt: skip
