"""A moving picture of planners at work: their answers to one prompt fill in side by side, call by call."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from textwrap import wrap
from typing import TYPE_CHECKING

from dus.writing.colours import block_steps, colour, ink, pieces

if TYPE_CHECKING:
    from dus.decoding import Generation

_WIDTH, _PANEL, _MARGIN, _LINE = 880, 420, 16, 27  # pixels: the picture, a panel, around text, between lines of tiles
_LETTER, _PADDING, _GAP, _TILE = (
    8,
    7,
    2,
    22,
)  # pixels: a letter's width, around it in a tile, between tiles, their height
_BEFORE, _CALL, _AFTER = 1.2, 1.0, 4.0  # seconds: of nothing but masks, a call, of the finished answers
_STYLE = """\
text { font: 13px ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: #1d1b16; }
.prompt { font: 15px system-ui, "Segoe UI", Helvetica, Arial, sans-serif; }
.soft { font: 12px system-ui, "Segoe UI", Helvetica, Arial, sans-serif; fill: #6a6457; }
.name { font-weight: 600; } .mask { fill: #e4dccb; } .gone { opacity: 0; }
@media (prefers-reduced-motion: reduce) { * { animation: none !important; } }
"""


@dataclass(frozen=True)
class _Token:
    """A token of an answer: its text, the call that wrote it (from 1), and the colour of its step."""

    text: str
    call: int
    shade: tuple[int, int, int]


def _escaped(text: str) -> str:
    """The text for XML, which holds no control characters: they are shown as U+FFFD."""
    return escape("".join(letter if letter.isprintable() else "\ufffd" for letter in text))


def moving(prompt: str, generations: list[Generation]) -> str:
    """The answers as an animated SVG, which plays without a script and shows the finished answers where none may move.

    One clock moves all panels: at call 5 each shows what five denoiser calls have made of the masks. A token that was
    taken back and written anew appears when it was written for good.

    Args:
        prompt: The prompt, shown above the answers.
        generations: One of each planner, with a tokenizer; their first answers are drawn, end tokens as dots.
    """
    calls = max(int(generation.trace.step[0].max()) + 1 for generation in generations)
    lines = wrap(prompt, 104)
    top = _MARGIN + 20 * len(lines) + 14
    panels, bottom = [], top
    for number, generation in enumerate(generations):
        left, right = _MARGIN, _WIDTH - _MARGIN - _PANEL
        if number % 2 == 0:
            top = bottom
        body, height = _panel(generation)
        panels.append(f'<g transform="translate({right if number % 2 else left} {top})">\n{body}</g>\n')
        bottom = max(bottom, top + height + 12)
    shown = "".join(
        f'<text class="prompt" x="16" y="{31 + 20 * at}">{_escaped(line)}</text>\n' for at, line in enumerate(lines)
    )
    height = bottom + 28
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" '
        f'role="img">\n<title>{_escaped(prompt)}</title>\n<style>\n{_STYLE}{_keyframes(calls)}</style>\n'
        f'<rect width="{_WIDTH}" height="{height}" rx="12" fill="#f7f4ed"/>\n{shown}{"".join(panels)}'
        f"{_legend(height - 16)}</svg>\n"
    )


def _panel(generation: Generation) -> tuple[str, int]:
    """One planner's panel, and its height."""
    tokens = list(_tokens(generation))
    body, x, y = [], _MARGIN, 44
    for token in tokens:
        width = _LETTER * max(len(token.text), 1) + _PADDING
        if x + width > _PANEL - _MARGIN:
            x, y = _MARGIN, y + _LINE
        body.append(_tile(token, x, y, width))
        x += width + _GAP
        if token.text == "⏎":
            x, y = _MARGIN, y + _LINE
    last = max(token.call for token in tokens)
    y += 16 + (_TILE if x > _MARGIN else 0)
    said = [line for whole in (generation.text or [""])[0].splitlines() for line in wrap(whole, 48)]
    body += [
        f'<text class="c{last}" x="{_MARGIN}" y="{y + 18 * (at + 1) - 4}">{_escaped(line)}</text>\n'
        for at, line in enumerate(said)
    ]
    height = y + 18 * len(said) + 8
    counts = [
        f'<text class="{f"n{at}on" if at == last else f"gone n{at}"}" x="{_PANEL - _MARGIN}" y="27" '
        f'text-anchor="end">{at} call{"" if at == 1 else "s"}</text>\n'
        for at in range(last + 1)
    ]
    frame = f'<rect width="{_PANEL}" height="{height}" rx="10" fill="#fffdf8" stroke="#ddd6c6"/>\n'
    name = f'<text class="name" x="{_MARGIN}" y="27">{_escaped(generation.trace.planner)}</text>\n'
    return frame + name + "".join(counts) + "".join(body), height


def _tokens(generation: Generation) -> Iterator[_Token]:
    """The first answer's tokens, those behind its end included."""
    trace = generation.trace
    steps = block_steps(trace.step[0], trace.blocks[0])
    words = pieces(generation.tokenizer, generation.tokens[0].tolist())
    count = max(steps) + 1
    for at, call in enumerate(trace.step[0].tolist()):
        text = words[at].replace("\n", "⏎") if at < len(words) else "·"
        drawn = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
        yield _Token(drawn, call + 1, colour(steps[at], count))


def _tile(token: _Token, x: int, y: int, width: int) -> str:
    """A mask, and above it the token, which its call brings to sight."""
    text = token.text.strip()
    length = f' textLength="{_LETTER * len(text)}" lengthAdjust="spacingAndGlyphs"' if len(text) > 1 else ""
    place = f'x="{x}" y="{y}" width="{width}" height="{_TILE}" rx="5"'
    return (
        f'<rect class="mask" {place}/><g class="c{token.call}"><rect {place} fill="rgb{token.shade}"/>'
        f'<text x="{x + width / 2:g}" y="{y + 15.5:g}" text-anchor="middle" style="fill: {ink(token.shade)}"{length}>'
        f"{_escaped(text)}</text></g>\n"
    )


def _keyframes(calls: int) -> str:
    """For each call the rules that bring its tokens to sight, and show its number until the next."""
    seconds = _BEFORE + _CALL * calls + _AFTER
    rules = []
    for call in range(calls + 1):
        at = 100 * (_BEFORE + _CALL * (call - 1)) / seconds if call else 0.0
        soon, then = at + 25 / seconds, 100 * (_BEFORE + _CALL * call) / seconds
        hidden = f"0%, {at:.2f}% {{ opacity: 0; }} " if call else ""
        rules += [
            f"@keyframes c{call} {{ {hidden}{soon:.2f}%, 100% {{ opacity: 1; }} }}",
            f"@keyframes n{call} {{ {hidden}{at + 0.01:.2f}%, {then:.2f}% {{ opacity: 1; }} "
            f"{then + 0.01:.2f}%, 100% {{ opacity: 0; }} }}",
            f"@keyframes n{call}on {{ {hidden}{at + 0.01:.2f}%, 100% {{ opacity: 1; }} }}",
            *(
                f".{name} {{ animation: {name} {seconds:g}s infinite; }}"
                for name in (f"c{call}", f"n{call}", f"n{call}on")
            ),
        ]
    return "\n".join(rules) + "\n"


def _legend(y: int) -> str:
    """What the colours mean."""
    scale = "".join(
        f'<rect x="{130 + 14 * at}" y="{y - 10}" width="14" height="12" fill="rgb{colour(at, 8)}"/>' for at in range(8)
    )
    said = "its last. Each tile is a token; an empty one is a mask, and a dot an end token."
    first = f'<text class="soft" x="16" y="{y}">A block’s first step</text>'
    return f'{first}{scale}<text class="soft" x="252" y="{y}">{said}</text>\n'
