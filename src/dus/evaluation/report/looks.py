"""How a planner is called and drawn: the same name, colour and place everywhere."""

from __future__ import annotations

import colorsys
import re
from dataclasses import dataclass
from hashlib import sha256

from dus.evaluation.intervals import TOKEN_BY_TOKEN
from dus.planners import Planner, Schedule, registered

PLACES = {  # base planner: (panel, colour), in the order of every table; colours of Okabe and Ito, then of Tol
    "confidence": ("schedules", "#D55E00"),
    "entropy": ("schedules", "#E69F00"),
    "margin": ("schedules", "#CC79A7"),
    "random": ("schedules", "#999999"),
    "left-to-right": ("schedules", "#56B4E9"),
    "halton": ("schedules", "#88CCEE"),
    "dus": ("schedules", "#0072B2"),
    "levels": ("schedules", "#117733"),
    "eb": ("EB", "#009E73"),
    "cb": ("CB", "#882255"),
    "factor": ("CB", "#661100"),
    "saber": ("remasking", "#332288"),
    "remdm": ("remasking", "#AA4499"),
}
PANELS = {
    "schedules": "A fixed number of calls",
    "EB": "EB, alone and spaced",
    "CB": "CB, alone and spaced",
    "remasking": "Tokens taken back",
    "other": "Other planners",
}
SELF_CONFIDENCE, OURS = "confidence(like=dus)", "dus"
_NAMES = {TOKEN_BY_TOKEN: "TBT", SELF_CONFIDENCE: "Conf.", OURS: "DUS"}
_SHORT = (  # what a legend has room for
    (r"^dus\b", "DUS"),
    (r"^eb\(gamma=([\d.e-]+)\)", r"EB \1"),
    (r"^cb\(tau=([\d.e-]+)\)", r"CB \1"),
    (r"^([\w-]+)\(like=dus\)", r"\1"),
    (r"^([\w-]+)\(like=dus\(groups=residues\)\)", r"\1, equal counts"),
    (r"^levels\(groups='([^']{16})[^']{8,}'\)", r"levels \1…"),
    (r" \| spaced\(gap=(\d+)\)", r", gap \1"),
    (r" \| deferred\(threshold=([\d.e-]+)\)", r", deferred \1"),
)


@dataclass(frozen=True)
class Look:
    """How a planner is shown.

    Attributes:
        label: A short name of the planner.
        colour: The colour of its lines.
        panel: The panel of the pictures that it belongs in.
        place: What planners are sorted by in tables and legends.
    """

    label: str
    colour: str
    panel: str
    place: tuple[int, int, int]


def look(planner: str) -> Look:
    """The look of a planner, from its text."""
    base = re.match(r"[\w-]*", planner)
    name = base[0] if base else ""
    panel, colour = PLACES.get(name) or (_panel(name), _colour(name))
    kinds = [*PLACES, *(other for other in registered() if other not in PLACES), name]
    kind = kinds.index(name)
    if planner == TOKEN_BY_TOKEN:
        kind, colour = -1, "#000000"
    gap = re.search(r"spaced\(gap=(\d+)\)", planner)
    return Look(short(planner), colour, panel, (kind, planner.count("|"), int(gap[1]) if gap else 0))


def _panel(name: str) -> str:
    """The panel of a planner that is not among the known ones, by what it can do."""
    cls = registered().get(name)
    if cls is not None and (cls.revise is not Planner.revise or cls.edit is not Planner.edit):
        return "remasking"
    return "schedules" if cls is not None and issubclass(cls, Schedule) else "other"


def _colour(name: str) -> str:
    """A colour for a planner that is not among the known ones, always the same for the same name.

    Its place among the registered ones sets the hue, each a golden section of the circle from the one before; the
    hue of a name that nobody registered is taken from the name.
    """
    others = [other for other in registered() if other not in PLACES]
    place = others.index(name) if name in others else int(sha256(name.encode()).hexdigest()[:8], 16) + 0.5
    red, green, blue = colorsys.hls_to_rgb(place * 0.618034 % 1, 0.35, 0.6)
    return f"#{round(red * 255):02X}{round(green * 255):02X}{round(blue * 255):02X}"


def short(planner: str) -> str:
    """A name that fits into a legend."""
    if planner in _NAMES:
        return _NAMES[planner]
    for pattern, name in _SHORT:
        planner = re.sub(pattern, name, planner)
    return planner
