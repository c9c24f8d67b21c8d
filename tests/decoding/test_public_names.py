"""`import dus` costs nothing, and shows what there is."""

import subprocess
import sys

import pytest

import dus

HEAVY = ("torch", "transformers", "tokenizers", "numpy", "rich", "typer", "safetensors")


def loaded_after(code):
    """The heavy libraries in `sys.modules` of a fresh interpreter that ran the code."""
    code += f"\nimport sys\nprint(*(name for name in {HEAVY} if name in sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return run.stdout.split()


def test_importing_the_package_imports_no_heavy_library():
    assert loaded_after("import dus") == []
    assert loaded_after("import dus; dir(dus); dus.__all__; dus.__doc__; hasattr(dus, 'nothing')") == []


def test_every_public_name_is_there_and_listed():
    assert dir(dus) == sorted(dus.__all__)
    for name in dus.__all__:
        assert getattr(dus, name).__doc__
    assert {"load", "generate", "infill", "steps", "Trace"} <= set(dus.__all__)


def test_star_import_gives_the_public_names():
    names = {}
    exec("from dus import *", names)
    assert set(dus.__all__) <= set(names)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'dus' has no attribute 'genrate'"):
        _ = dus.genrate
    with pytest.raises(ImportError, match="genrate"):
        exec("from dus import genrate")
