"""What a trace shows: spacing statistics, entropy maps, pictures, and where wrong answers come from."""

from dus.evaluation.spacing import AnalysisError, isolated_share, pairwise_distance
from dus.lab.analysis.summary import Summary, summarise
from dus.lab.analysis.traced import Answer, Traced

__all__ = ["AnalysisError", "Answer", "Summary", "Traced", "isolated_share", "pairwise_distance", "summarise"]
