"""A page that plays a generation token by token: one HTML file, nothing fetched, readable without a script."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from html import escape
from pathlib import Path

from dus.lab.analysis.pictures.words import BREAK, Word, words
from dus.lab.analysis.traced import Traced
from dus.writing.style import write_bytes

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #222;
  background: #fff; }
h1 { font-size: 1.1rem; font-weight: 600; white-space: pre-wrap; overflow-wrap: anywhere; }
h2 { font-size: 1rem; margin: 1.6rem 0 .3rem; } h2 small { font-weight: 400; color: #666; }
p.answer { font: 15px/1.75 ui-monospace, monospace; margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; }
p.answer span { unicode-bidi: isolate; border-radius: 3px; margin-right: 1px; padding: 1px 0; background: #e3e3e3;
  color: transparent; animation: written 1ms both; animation-delay: calc((var(--s) + 1) * .35s); }
@keyframes written { to { background: var(--p); color: var(--i); } }
.driven p.answer span { animation: none; }
.driven p.answer span.on { background: var(--p); color: var(--i); }
#drive { display: none; position: sticky; top: 0; padding: .6rem 0; background: #fff; gap: .8rem; align-items: center; }
.driven #drive { display: flex; } #drive input { flex: 1; } #drive output { min-width: 7rem; color: #666; }
button { font: inherit; padding: .1rem .8rem; }
@media (prefers-reduced-motion: reduce) { p.answer span { animation-delay: 0s; } }
"""

_SCRIPT = """
const slider = document.querySelector("input"), button = document.querySelector("button");
const tokens = [...document.querySelectorAll("p.answer span")].map(span => [span, +span.dataset.s]);
const output = document.querySelector("output"), last = +slider.max;
let timer = null;
function show() {
  const now = +slider.value;
  for (const [span, step] of tokens) span.classList.toggle("on", step < now);
  output.textContent = "step " + now + " of " + last;
}
function halt() { clearInterval(timer); timer = null; button.textContent = "play"; }
function play() {
  if (timer) return halt();
  if (+slider.value >= last) { slider.value = 0; show(); }
  button.textContent = "pause";
  timer = setInterval(() => { slider.value = +slider.value + 1; show(); if (+slider.value >= last) halt(); }, 350);
}
slider.addEventListener("input", () => { halt(); show(); });
button.addEventListener("click", play);
document.documentElement.classList.add("driven");
show();
if (!matchMedia("(prefers-reduced-motion: reduce)").matches) play();
"""


def page(path: Path, runs: Sequence[Traced]) -> Path:
    """Write the page: the first answer of each run below the other, a slider over the steps, scores on hovering.

    Without a script the tokens appear in their order all the same. Whatever the model wrote is text: it is escaped,
    and the page's policy lets no other script run than its own, and nothing be fetched.

    Args:
        path: of the HTML file.
        runs: planners on the same prompt.
    """
    digest = base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    prompt = runs[0].answers[0].prompt
    last = max(run.answers[0].steps for run in runs)
    sections = "\n".join(map(_section, runs))
    text = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{_text(prompt[:80])}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{_text(prompt)}</h1>
<div id="drive"><button>play</button><input type="range" min="0" max="{last}" value="{last}" aria-label="step">
<output></output></div>
{sections}
<script>{_SCRIPT}</script>
</body>
</html>
"""
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
