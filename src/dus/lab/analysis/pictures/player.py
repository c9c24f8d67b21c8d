"""A page that plays a generation token by token: one HTML file, nothing fetched, readable without a script."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from html import escape
from pathlib import Path

from dus.lab.analysis.pictures.tokens import BREAK, Word, words
from dus.lab.analysis.traced import Traced
from dus.writing.style import write_bytes
from dus.writing.tables import filled

_TEMPLATE = Path(__file__).with_suffix(".html")


def page(path: Path, runs: Sequence[Traced]) -> Path:
    """Write the page: the first answer of each run below the other, a slider over the steps, scores on hovering.

    Without a script the tokens appear in their order all the same. Whatever the model wrote is text: it is escaped,
    and the page's policy lets no other script run than its own, and nothing be fetched.

    Args:
        path: The path of the HTML file.
        runs: Planners on the same prompt.
    """
    script = re.search(r"<script>(.*)</script>", _TEMPLATE.read_text(encoding="utf-8"), re.DOTALL)
    assert script is not None
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    prompt = runs[0].answers[0].prompt
    text = filled(
        _TEMPLATE,
        policy=f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'",
        title=_text(prompt[:80]),
        prompt=_text(prompt),
        last=max(run.answers[0].steps for run in runs),
        sections="\n".join(map(_section, runs)),
    )
    return write_bytes(path, lambda partial: partial.write_bytes(text.encode()))


def _section(run: Traced) -> str:
    answer = run.answers[0]
    facts = f"{len(answer.step)} positions in {answer.steps} steps, blocks of {run.block_length}"
    tokens = "".join(map(_span, words(run)))
    return f'<section><h2>{_text(run.planner)} <small>{facts}</small></h2>\n<p class="answer">{tokens}</p></section>'


def _span(word: Word) -> str:
    style = f"--s:{word.step};--p:{word.paper};--i:{word.ink}"
    text = escape(word.text).replace(BREAK, f"{BREAK}\n")
    return f'<span data-s="{word.step}" style="{style}" title="{escape(word.about)}">{text}</span>'


def _text(text: str) -> str:
    """Escaped, without the control characters that HTML forbids."""
    return escape("".join(letter for letter in text if letter.isprintable() or letter in "\n\t"))
