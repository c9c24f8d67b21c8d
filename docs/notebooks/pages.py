"""What mkdocs calls while it builds: the notebooks of this folder become pages, with the outputs that they hold."""

import json
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each notebook; the notebook itself is there to be downloaded."""
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
        parts.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
        parts += [_shown(output) for output in cell.get("outputs", ())]
    title, *rest = parts
    return "\n\n".join([title, f"[Download this notebook]({notebook.name})", *rest]) + "\n"


def _shown(output: dict) -> str:
    data = output.get("data", {})
    if "text/html" in data:
        return f'<div class="output">\n{"".join(data["text/html"])}\n</div>'
    if "image/png" in data:
        picture = f"data:image/png;base64,{data['image/png'].strip()}"
        return f'<img class="output" alt="The figure that the cell above draws" src="{picture}">'
    return f"```text\n{''.join(output.get('text', data.get('text/plain', ''))).rstrip()}\n```"
