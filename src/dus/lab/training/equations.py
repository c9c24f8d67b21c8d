"""Bare equations ("17 + 8 = 25. 30 - 4 = 26. "): the arithmetic drill of the curriculum.

All numbers are from 0 to 99. Small operands come more often: half of the draws take both from 0 to 12.
"""

from __future__ import annotations

import random

LIMIT = 99
SIGNS = "+++++----**/"


def draw(rng: random.Random) -> tuple[int, str, int, int]:
    """A random true equation as (a, sign, b, result), every number from 0 to 99, quotients exact."""
    sign = rng.choice(SIGNS)
    top = 12 if rng.random() < 0.5 else LIMIT
    if sign in "+-":
        first = rng.randint(0, top)
        second = rng.randint(0, min(top, LIMIT - first))
        return (first, "+", second, first + second) if sign == "+" else (first + second, "-", first, second)
    first = rng.randint(1, min(top, 49))
    second = rng.randint(1, min(LIMIT // first, top))
    return (first, "*", second, first * second) if sign == "*" else (first * second, "/", first, second)


def text(equation: tuple[int, str, int, int]) -> str:
    """The equation as it is written in a row of equations, with the full stop and the space after it."""
    a, sign, b, result = equation
    return f"{a} {sign} {b} = {result}. "
