"""The pages, and how the code on them is run."""

import os
import re
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

from dus.planners import registry

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
_BLOCK = re.compile(r"```python\n(?P<code>.+?)```(?P<between>\n+```text\n)?(?(between)(?P<shown>.*?)```)", re.DOTALL)
REWRITE = "DUS_REWRITE_PAGES" in os.environ


def name(page):
    return str(page.relative_to(ROOT))


def text(page):
    return page.read_text(encoding="utf-8")


def with_python(pages):
    return [page for page in pages if "```python\n" in text(page)]


def run(page, known=(), instead=()):
    """Run a page's Python blocks in one namespace.

    Where a block of text stands directly below one, it has to be what was printed. With DUS_REWRITE_PAGES in the
    environment it becomes that.

    Args:
        page: its path.
        known: names that the page takes for granted, with their values.
        instead: pairs of what stands in the code and of what is run in its place.

    Returns:
        All that was printed.
    """
    names, printed = {"__name__": "page", **dict(known)}, []
    registered = dict(registry._names)

    def ran(block):
        code = block["code"]
        for old, new in instead:
            code = code.replace(old, new)
        out = StringIO()
        with redirect_stdout(out):
            exec(compile(code, name(page), "exec"), names)
        printed.append(out.getvalue())
        if block["shown"] is None:
            return block[0]
        return f"```python\n{block['code']}```{block['between']}{out.getvalue().rstrip()}\n```"

    before = text(page)
    try:
        after = _BLOCK.sub(ran, before)
    finally:
        registry._names.clear()
        registry._names.update(registered)
    if REWRITE:
        page.write_text(after, encoding="utf-8")
    else:
        assert after == before
    return "".join(printed)
