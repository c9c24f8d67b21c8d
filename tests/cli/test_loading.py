"""How a model is loaded: the same options on every command that loads one, and all of them reach `dus.load`."""

from pathlib import Path

import pytest
import typer.main

from dus.cli.app import app

COMMANDS = {
    "generate": ["hello"],
    "compare": ["hello"],
    "infill": ["a[MASK]"],
    "eval": ["--out", "OUT"],
    "calibrate": ["--out", "OUT/levels.json", "--calls", "8"],
    "analyze": ["hello"],
    "demo": [],
    "bench": [],
    "theory gap": [],
    "theory long": [],
    "theory order": [],
    "theory blocks": [],
    "batch": ["OUT/prompts.jsonl", "--out", "OUT/answers"],
    "serve": ["PLAIN", "--port", "0"],
}
OWN = {"theory filled", "theory judged"}
"""Commands of research whose model is one that `dus.lab.language` trained here."""
GIVEN = ["--dtype", "float32", "--revision", "v2", "--trust-remote-code", "--mask-token-id", "1"]


class Loaded(Exception):
    """Far enough."""


@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_said_of_loading_reaches_it(dus, checkpoint, tmp_path, monkeypatch, command):
    asked = []

    def load(name, **given):
        asked.append((name, given))
        raise Loaded

    monkeypatch.setattr("dus.denoisers.load", load)
    monkeypatch.setattr("dus.denoisers.files.checkpoint_folder", lambda name, *args, **given: Path(name))
    (tmp_path / "prompts.jsonl").write_text('{"prompt": "hello"}\n')
    named = [] if command == "serve" else ["--model", "PLAIN"]  # which takes it as an argument
    arguments = [*command.split(), *COMMANDS[command], *named, *GIVEN]
    with pytest.raises(Loaded):
        dus(*(argument.replace("OUT", str(tmp_path)).replace("PLAIN", checkpoint) for argument in arguments))
    ((name, given),) = asked
    assert name == checkpoint
    said = {name: given[name] for name in ("dtype", "revision", "trust_remote_code", "mask_token_id")}
    assert said == {"dtype": "float32", "revision": "v2", "trust_remote_code": True, "mask_token_id": 1}


def commands(group, *names):
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, *names, name)
        else:
            yield " ".join((*names, name)), {parameter.name for parameter in command.params}


def test_every_command_that_takes_a_model_is_tried_above():
    found = {name for name, options in commands(typer.main.get_command(app)) if "model" in options}
    assert found == COMMANDS.keys() | OWN
