"""Sweeps with a name: what `dus eval` asks for where nobody says otherwise, and what the results page is made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dus.evaluation.cells import Cell, SweepError, grid
from dus.evaluation.intervals import TOKEN_BY_TOKEN
from dus.evaluation.tasks import Questions

EQUAL_COUNTS = "confidence(like=dus(groups=residues))"
LIKE_DUS = tuple(f"{score}(like=dus)" for score in ("confidence", "entropy", "margin", "random", "left-to-right"))


def _bounded(loose: str, strict: str) -> tuple[str, ...]:
    """A planner at two bounds, and at the looser one the hybrids."""
    return strict, loose, *(f"{loose} | spaced(gap={gap})" for gap in (4, 8))


@dataclass(frozen=True)
class Preset:
    """What a sweep varies, and how many problems a cell has.

    Attributes:
        planners: The planners that are decoded at every block length.
        once: The planners that are decoded at block length 32 only: token by token, as in the paper's tables.
        block_lengths, eos, seeds: The values of everything else that varies, as for `cells.grid`.
        levels: The levels of a task that has levels.
        limit: The number of problems of each level.
        max_new_tokens: The most tokens of an answer; None is what the questions say.
    """

    planners: tuple[str, ...] = ("confidence(like=dus)", "dus")
    once: tuple[str, ...] = (TOKEN_BY_TOKEN,)
    block_lengths: tuple[int, ...] = (8, 16, 32)
    eos: tuple[str, ...] = ("stop",)
    seeds: tuple[int, ...] = (0,)
    levels: tuple[int, ...] = (1,)
    limit: int = 300
    max_new_tokens: int | None = None

    def cells(
        self,
        asked: Sequence[Questions],
        *,
        caches: Sequence[str] = ("none",),
        temperature: float | None = None,
        batch_size: int = 64,
    ) -> list[Cell]:
        """The cells of the preset, token by token last, which takes longest; see `cells.grid`.

        Raises:
            PlannerError, GenerationError, SweepError: Something cannot be decoded as asked, as for `cells.grid`.
        """
        return [
            cell
            for planners, lengths in ((self.planners, self.block_lengths), (self.once, (32,)))
            for cell in grid(
                asked,
                planners=planners,
                block_lengths=lengths,
                caches=caches,
                eos=self.eos,
                seeds=self.seeds,
                temperature=temperature,
                max_new_tokens=self.max_new_tokens,
                batch_size=batch_size,
            )
        ]


REPORT = Preset(
    planners=(
        "dus",
        "dus | deferred(threshold=0.3)",
        *LIKE_DUS,
        EQUAL_COUNTS,
        *_bounded("eb(gamma=2)", "eb(gamma=0.1)"),
        *_bounded("cb(tau=0.5)", "cb(tau=0.9)"),
        "saber",
        "remdm(steps=8)",
    ),
    block_lengths=(8, 16, 32, 64),
    eos=("ignore", "stop"),
    levels=(2,),
    max_new_tokens=96,
)
ORDER = Preset(
    planners=(
        "dus",
        "dus(order=entropy)",
        "dus(order=entropy, by=mean)",
        "dus(order=random)",
        "dus(order=fine-to-coarse)",
        "dus(groups=residues)",
        "dus(order=entropy, groups=residues)",
        "confidence(like=dus)",
        EQUAL_COUNTS,
        "left-to-right(like=dus)",
        "left-to-right(like=dus(groups=residues))",
        "random(like=dus)",
    ),
    once=(),
    levels=(2,),
)
LEADING = (  # the families that come first on the field's page
    *("deb", "deb(f=2)", "deb(f=4)"),
    *("cb(tau=0.7)", "cb(tau=0.8)", "cb(tau=0.9)"),
    *("factor(f=0.5)", "factor(f=1)", "factor(f=2)"),
    *("eb(gamma=0.1)", "eb(gamma=0.5)", "eb(gamma=2)"),
    *("localleap(tau=0.8, relaxed=0.6)", "localleap", "localleap(tau=0.95, relaxed=0.85)"),
)
FIELD = Preset(  # every family at three settings, on either side of the one that its paper recommends
    planners=(
        *LEADING,
        *("eb(gamma=0.1) | spaced(gap=8)", "eb(gamma=0.5) | spaced(gap=8)", "eb(gamma=2) | spaced(gap=8)"),
        *("dus", "dus(base=3)", "dus(base=4)"),
        *("confidence(like=dus)", "confidence(like=dus(base=3))", "confidence(like=dus(base=4))"),
        *("cb(tau=0.7) | prophet", "cb(tau=0.8) | prophet", "cb(tau=0.9) | prophet"),
        *("cb(tau=0.7) | edited", "cb(tau=0.8) | edited", "cb(tau=0.9) | edited"),
        *("wino(wide=0.5)", "wino", "wino(wide=0.7)"),
        *("saber(n=1)", "saber", "saber(n=4)"),
        *("klass(tau=0.6, kl=0.01)", "klass(tau=0.6, kl=0.1)", "klass(tau=0.8, kl=0.1)"),
        *("pc(like=dus)", "pc(like=dus(base=3))", "pc(per_step=4)"),
        *("remdm(steps=4)", "remdm(steps=6)", "remdm(steps=8)"),
    ),
    block_lengths=(16, 32, 64),
    levels=(1, 2, 3),
    limit=500,
)
LEADERS = replace(FIELD, planners=(*LEADING, "dus", "confidence(like=dus)"), once=())
PRESETS = {
    "default": Preset(),
    "field": FIELD,
    "leaders": LEADERS,
    "order": ORDER,
    "report": REPORT,
    "report-quick": Preset(
        planners=REPORT.planners,
        block_lengths=(16, 32),
        eos=REPORT.eos,
        levels=REPORT.levels,
        limit=64,
        max_new_tokens=96,
    ),
}


def preset(name: str) -> Preset:
    """The preset of that name; a SweepError that lists the known ones otherwise."""
    if name not in PRESETS:
        raise SweepError(f"no preset {name!r}: the presets are {', '.join(PRESETS)}")
    return PRESETS[name]
