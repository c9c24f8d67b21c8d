"""What `dus theory blocks` says: block lengths chosen for each sequence, beside fixed ones."""

from __future__ import annotations

from collections.abc import Sequence

from dus.lab.theory.lengths import Tried, at_calls
from dus.writing.tables import markdown


def section(found: Sequence[Tried]) -> str:
    """The table by number of calls, and fixed lengths against chosen ones at the same number, as Markdown."""
    rows = [
        (f"`{each.block_length}`", f"{each.calls:.1f}", f"{each.mean_block:.1f}", _share(each))
        for each in sorted(found, key=lambda each: each.calls)
    ]
    fixed = [each for each in found if isinstance(each.block_length, int)]
    chosen = [each for each in found if isinstance(each.block_length, str)]
    words = [_against(each, at_calls(chosen, each.calls)) for each in fixed]
    return f"""{markdown(("block length", "calls a problem", "mean block", "right"), rows)}

{chr(10).join(f"- {sentence}" for sentence in words)}
"""


def page(body: str, planner: str, limit: int) -> str:
    """The section, under what it is about."""
    return f"""The first {limit} held-out problems, answered greedily by `{planner}` in blocks of one length, and in
blocks whose length is chosen for each sequence before each block: the longest of the shortest length and its doubles
whose positions' entropies add up to so many bits at most. Right answers with Wilson's 95% interval. The call that reads
the entropies is the block's first.

{body}"""


def _share(each: Tried) -> str:
    low, high = each.accuracy.interval()
    return f"{each.accuracy.share:.1%} ({low:.0%} to {high:.0%})"


def _against(fixed: Tried, share: float | None) -> str:
    """A fixed length beside chosen ones at the same number of calls."""
    if share is None:
        return f"Blocks of {fixed.block_length} take {fixed.calls:.1f} calls; none of the bounds comes near that."
    low, high = fixed.accuracy.interval()
    where = "above" if share > high else "below" if share < low else "within"
    return (
        f"Blocks of {fixed.block_length}: {fixed.accuracy.share:.1%} at {fixed.calls:.1f} calls; chosen lengths reach "
        f"{share:.1%} there, between the two nearest bounds, {where} the interval of the fixed ones."
    )
