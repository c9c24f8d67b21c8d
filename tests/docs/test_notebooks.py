"""The notebooks run from top to bottom, and what they hold is of the kinds that a run gives."""

import nbformat
import pytest
from nbclient import NotebookClient

from .pages import DOCS, REWRITE

NOTEBOOKS = sorted((DOCS / "notebooks").glob("*.ipynb"))


def kinds(notebook):
    """For each cell with code the kinds of its outputs."""
    return [[sorted(output.get("data", "text")) for output in cell.outputs] for cell in code(notebook)]


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path, tmp_path):
    held, ran = nbformat.read(path, 4), nbformat.read(path, 4)
    NotebookClient(ran, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    for cell in code(ran):
        cell.metadata.pop("execution", None)
        cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    ran.metadata["language_info"] = {"name": "python"}
    if REWRITE:
        nbformat.write(ran, path)
    else:
        assert kinds(ran) == kinds(held)


def test_there_are_notebooks():
    assert len(NOTEBOOKS) == 2
