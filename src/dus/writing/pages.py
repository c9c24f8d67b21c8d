"""Pages made from templates: the words are Markdown files, and what is computed goes into them."""

from __future__ import annotations

import re
from pathlib import Path


def filled(template: Path, **values: object) -> str:
    """A Markdown template with its values filled in.

    A value stands in it as `<<name>>`, and what `str.format` understands goes with it: `<<extent.length>>`,
    `<<share:.1%>>`, `<<losses[dus]>>`.

    Args:
        template: the file.
        **values: by name; the template need not name all of them.

    Raises:
        KeyError: the template names a value that there is not.
    """
    text = template.read_text(encoding="utf-8").strip()
    return re.sub(r"<<(.+?)>>", lambda found: f"{{{found[1]}}}".format(**values), text)
