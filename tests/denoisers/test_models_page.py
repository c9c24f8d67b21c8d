"""The table of families says what the code says."""

import re
from pathlib import Path

import pytest

from dus.denoisers.known import FAMILIES, MASK_TOKEN_IDS

from .test_families import FAMILIES as CLASSES

PAGE = (Path(__file__).parents[2] / "docs" / "guides" / "your-own-model.md").read_text()
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("| ")]
TABLE = [dict(zip(ROWS[0], row, strict=True)) for row in ROWS[2:] if len(row) == len(ROWS[0])]


def rows_of(name):
    return [row for row in TABLE if name in re.findall(r"`([^`]+)`", row["`model_type`"])]


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_is_in_the_table(name):
    config_class, model_class = CLASSES[name]
    assert rows_of(name)
    for row in rows_of(name):
        if name == "llada" and "num_experts" in row["`model_type`"]:
            continue
        block = getattr(config_class(), "block_length", None)
        named = "block_size" in row["`model_type`"]
        assert row["block"] == ("named" if named else str(block or ""))
        assert row["shift"] == str(model_class.shift)
        assert row["mask"] == str(MASK_TOKEN_IDS.get(name, "named"))
        assert (row["attention"] == "full") == (not row["block"])
