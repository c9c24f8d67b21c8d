"""The report that `dus theory report` writes: a page, and the pictures that it shows."""

from __future__ import annotations

import platform
import re
from collections.abc import Callable
from pathlib import Path

from dus.lab.theory.kinds import KINDS
from dus.lab.theory.report import discount, far, figures, page, planned, verdicts
from dus.lab.theory.report.settings import FULL, QUICK, Extent
from dus.lab.theory.report.studies import (
    Comparison,
    adaptive,
    blocks,
    compare,
    contexts,
    decays,
    first_look,
    identity,
    searched,
)

__all__ = ["FULL", "QUICK", "Extent", "write"]

INTRODUCTION = """# What a schedule loses: the theory, measured

A planner that unmasks several tokens in one call draws each from its own marginal, and so loses what ties them to
each other. With exact conditionals, a schedule that does not look at the tokens, and temperature 1, the divergence of
what is sampled from the truth is exactly the sum over calls of the conditional total correlation of the tokens drawn
together:

    KL(truth ‖ sampled) = Σ_t [ Σ_{i in I_t} H(X_i | X_{U_t}) - H(X_{I_t} | X_{U_t}) ]

(Lavenant and Zanella, arXiv 2510.25544; Chen, Cong and Li, arXiv 2511.04647, for random schedules; Zhao and Cai,
arXiv 2602.20126, for random schedules that adapt to the dependence.) Here the sources are Markov chains and hidden
Markov chains, whose conditionals are known, so that the sum is computed and not estimated, unless an error stands
beside it. **Everything is in nats.** Blocks begin anywhere in a stationary stream, with nothing known before them. ρ is
the mixing rate, the second largest eigenvalue modulus of the chain. At high ρ a *sticky* chain repeats its last token;
a chain of two (three) *strands* copies the token two (three) places back, so that every second (third) position is a
slow chain of its own.

What chains cannot say: how far real text is from them, and what a trained denoiser gets wrong by itself. `dus theory
gap`, `long` and `order` ask a denoiser for that.
"""

USE = """## Your own source

```python
from dus.lab.theory import MarkovDenoiser, all_entropies, best_schedules, divergence, from_tokens, schedule_of

source = from_tokens([0, 1, 1, 0, 1, 0, 0, 1, 1, 1, 0, 1] * 50, vocab=2, order=2)
table = all_entropies(source, 12)
print(divergence(schedule_of("dus", 12), table.item))
print(best_schedules(table, steps=4).schedule(4))
```

`MarkovDenoiser(source)` goes through `dus.generate` like any model, and `dus theory best` draws the best schedule of
the random sources on this page.
"""


def write(folder: Path, extent: Extent = FULL, tell: Callable[[str], None] = lambda _: None) -> Path:
    """Run all studies and write `theory.md` and its pictures, in `theory/`.

    Args:
        folder: where to.
        extent: how much to look at.
        tell: called with the name of each study before it runs.

    Returns:
        The page.

    Raises:
        TheoryError: matplotlib is not installed.
    """
    figures.require_matplotlib()
    pictures = folder / "theory"
    sections = [INTRODUCTION]
    tell("planners on first-order chains")
    look = page.first_look(extent, first_look(extent)) + "\n" + page.identity(identity())
    tell("the bound")
    curves = decays(extent)
    shown_rate = max(rate for rate in extent.long_rates if rate < 0.95)
    figures.bound(pictures, curves, shown_rate)
    tell(f"the best schedule of {extent.short} positions")
    short = [
        compare(kind, rate, seed, extent.short)
        for kind in KINDS
        for rate in extent.rates
        for seed in range(extent.draws)
    ]
    figures.over_rates(pictures, "best-short", short)
    tell(f"the best schedule of {extent.length} positions")
    long = _long(extent, shown_rate)
    figures.over_rates(pictures, "best-long", long)
    shown = {each.kind: each for each in long if each.seed == 0 and round(each.rate, 4) == shown_rate}
    shown["vowels"] = compare("vowels", 0, 0, extent.length, samples=extent.samples)
    figures.schedules(pictures, shown)
    figures.over_steps(pictures, shown)
    sections += [
        "## In short\n\n" + verdicts.short_words(long, shown["vowels"]),
        look,
        page.bound(curves, shown_rate),
        verdicts.best(extent, short, long, list(shown.values())),
        verdicts.orders(list(shown.values())),
    ]
    tell("context and block length")
    sections.append(page.blocks(extent, contexts(extent), blocks(extent)))
    tell("long contexts")
    sections.append(far.section(extent, far.study(extent)))
    tell("schedules made from measurements")
    sections.append(planned.section(extent, planned.study(extent)))
    tell("planners that look at predictions")
    sections.append(page.adaptive(extent, adaptive(extent)))
    sections.append(discount.SECTION)
    tell("local search")
    sections.append(page.searched(extent, searched(extent)))
    sections.append(USE)
    sections.append(
        f"---\n\nEvery table and picture on this page was made by `{extent.command}`, with Python "
        f"{platform.python_version()} (the vowels are those of its language reference)."
    )
    written = folder / "theory.md"
    text = "\n".join(section.strip() + "\n" for section in sections)
    text = re.sub(r"(?m)^!\[.*\)$", rf"\g<0>\n\n*Made by `{extent.command}`.*", text)
    written.write_text(text, encoding="utf-8")
    return written


def _long(extent: Extent, shown_rate: float) -> list[Comparison]:
    """The comparisons on long blocks; the orders that need sampling only where they are shown."""
    return [
        compare(kind, rate, seed, extent.length, samples=extent.samples if (rate, seed) == (shown_rate, 0) else 0)
        for kind in KINDS
        for rate in extent.long_rates
        for seed in range(extent.long_draws)
    ]
