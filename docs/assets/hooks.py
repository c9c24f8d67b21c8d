"""What mkdocs calls while it builds the site."""

import json
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

_CODE_WITH_BARS = re.compile(r"`[^`\n]*\\\|[^`\n]*`")
_NOTEBOOK = re.compile(r"(notebooks/[\w-]+)\.ipynb\)")
_WORD = re.compile(r"<code>([^<\s]{1,24})</code>")
_CODE = re.compile(r"(<code[^>]*>)(.*?)(</code>)", re.DOTALL)
_OPTION = re.compile(r"(?<![^\s>])(--?[a-z][\w-]*)(?![^\s<,;.)])")
_LAID_OUT = re.compile(
    r'<div class="language-text highlight">(?=<pre><span></span><code>(?!dus |python |benchmarks/))'
)
_CELL = re.compile(r"<td>(.*?)</td>", re.DOTALL)
_PICTURE = re.compile(r'(?<=<p>)<img [^>]*src="(?!data:)([^"]+)"[^>]*>')
_TAG = re.compile(r"<[^>]+>")
FEW = 3
"""The most sections of a page that needs no table of contents."""


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Take the escape from bars in the code of a table, which GitHub needs and which would be shown here, and lead a
    link to a notebook to its page."""
    markdown = _NOTEBOOK.sub(r"\1.md)", markdown)
    return _CODE_WITH_BARS.sub(lambda code: code[0].replace("\\|", "|"), markdown)


def on_page_content(html: str, page: Page, **_: Any) -> str:
    """Tell the style sheet what it cannot see: words of code and options, which are not broken, text whose lines are
    laid out as they stand, unlike those of a long command, and cells of prose; a picture leads to itself, larger. A
    page of results with few sections has its whole width for tables, and no table of contents."""
    if page.url.startswith("results/") and len(page.toc.items[0].children) <= FEW:
        page.meta["hide"] = ["toc"]
    html = _PICTURE.sub(r'<a class="picture" href="\1">\g<0></a>', html)
    html = _LAID_OUT.sub('<div class="language-text laid-out highlight">', html)
    html = _WORD.sub(r'<code class="word">\1</code>', html)
    html = _CODE.sub(_options, html)
    return _CELL.sub(_cell, html)


def _options(code: re.Match[str]) -> str:
    return (
        code[1]
        + _OPTION.sub(r'<span class="option">\1</span>', code[2])
        + code[3]
    )


def _cell(cell: re.Match[str]) -> str:
    length = len(_TAG.sub("", cell[1]))
    if length > 60:
        return f'<td class="long">{cell[1]}</td>'
    if length > 10 and "<code" not in cell[1]:
        return f'<td class="phrase">{cell[1]}</td>'
    return cell[0]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each notebook, with the outputs that it holds; the notebook itself is there to be downloaded."""
    for notebook in sorted(Path(config.docs_dir).glob("notebooks/*.ipynb")):
        page = f"notebooks/{notebook.stem}.md"
        files.append(File.generated(config, page, content=as_markdown(notebook)))
    return files


def as_markdown(notebook: Path) -> str:
    """The cells one below the other; of an output its HTML or picture where it has one, else its text."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    parts = []
    for cell in cells:
        source = "".join(cell["source"])
        parts.append(
            source
            if cell["cell_type"] == "markdown"
            else f"```python\n{source}\n```"
        )
        outputs = cell.get("outputs", ())
        parts += [
            _shown(output["data"]) for output in outputs if "data" in output
        ]
        if printed := "".join(
            "".join(output["text"]) for output in outputs if "text" in output
        ):
            parts.append(f"```text\n{printed.rstrip()}\n```")
    title, *rest = parts
    return (
        "\n\n".join([title, f"[Download this notebook]({notebook.name})", *rest])
        + "\n"
    )


def _shown(data: dict[str, Any]) -> str:
    if "text/html" in data:
        return f'<div class="output">\n{"".join(data["text/html"])}\n</div>'
    picture = "".join(data["image/png"]).replace("\n", "")
    return f'<img class="output" alt="What the cell above draws" src="data:image/png;base64,{picture}">'
