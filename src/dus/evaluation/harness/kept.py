"""Answers of earlier evaluations, where lm-eval was told to keep them: found again by all that they depend on.

lm-eval's own cache (`--use_cache`) knows an answer by its prompt and its `gen_kwargs`. Here an answer depends on the
planner, the block length, the weights and more besides, and where tokens are drawn on its place in the list; and what
it cost belongs to it. So lm-eval's table stays empty, and these stand in the same file in a table of their own.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import torch

from dus.decoding import Settings
from dus.denoisers import Denoiser
from dus.denoisers.adapters import model_and_adapter
from dus.denoisers.files import checkpoint_folder
from dus.evaluation.harness.arguments import Arguments
from dus.evaluation.record import fingerprint

_PROBE = 32  # tokens


class Kept:
    """What was answered and scored before, in a file of lm-eval's cache, for one model.

    Args:
        database: The `sqlitedict` of lm-eval's cache; None if nothing is to be kept.
        model: The facts that tell the model from others, as JSON can hold them.
    """

    def __init__(self, database: Any, model: Mapping[str, Any] | None = None) -> None:
        self.model = model
        self.found: Any = None
        if database is None:
            return
        from sqlitedict import SqliteDict  # type: ignore[import-untyped]

        database.tablename = "passed_on"
        for statement in (
            "CREATE TEMP TABLE IF NOT EXISTS passed_on (key TEXT PRIMARY KEY, value BLOB)",
            "CREATE TEMP TRIGGER IF NOT EXISTS passing AFTER INSERT ON passed_on BEGIN DELETE FROM passed_on; END",
        ):
            database.conn.execute(statement)
        self.found = SqliteDict(
            database.filename, tablename="dus", autocommit=True, encode=json.dumps, decode=json.loads
        )

    def key(self, kind: str, *parts: Any) -> str:
        """The name of an answer: a digest of the model and of all parts, which JSON or `str` can say."""
        whole = json.dumps([self.model, kind, *parts], sort_keys=True, default=str)
        return hashlib.sha256(whole.encode()).hexdigest()

    def get(self, key: str) -> Any:
        """What stands under a key; None where that is nothing."""
        return None if self.found is None else self.found.get(key)

    def put(self, key: str, value: Any) -> None:
        """Note something that is no longer lost where the process ends now."""
        if self.found is not None:
            self.found[key] = value


def model_of(name: str | None, model: Denoiser, arguments: Arguments) -> dict[str, Any]:
    """What tells a model from others: files and how they were loaded; or the logits of a few tokens.

    Args:
        name: The folder or hub id that it was loaded from; None is the bundled model.
        model: The denoiser.
        arguments: The arguments that say how it was loaded and how it reads texts.
    """
    read = {"add_bos_token": arguments.add_bos_token, "max_length": arguments.max_length}
    loaded = {key: value for key, value in arguments.loading.items() if key not in ("device", "device_map")}
    code = arguments.trust_remote_code
    folders = model_and_adapter(checkpoint_folder(name, arguments.revision, code), arguments.peft, code)
    weights = [fingerprint(folder) for folder in folders if folder is not None]
    return {**read, **loaded, "dtype": str(getattr(model, "dtype", "")), "weights": weights}


def object_of(model: Denoiser, arguments: Arguments) -> dict[str, Any]:
    """The same of a denoiser that came as an object, known by its logits of a few tokens, half of them masked."""
    length = min(_PROBE, getattr(model, "max_length", None) or _PROBE)
    canvas = torch.arange(length)[None] * 7919 % model.vocab_size
    canvas[:, length // 2 :] = model.mask_token_id
    device = getattr(model, "device", "cpu")
    with torch.no_grad():
        logits = model.logits(canvas.to(device), read=torch.arange(length // 2, length).to(device))
    said = hashlib.sha256(logits.float().cpu().numpy().tobytes()).hexdigest()
    return {"add_bos_token": arguments.add_bos_token, "max_length": arguments.max_length, "logits": said}


def asked_of(settings: Settings) -> dict[str, Any]:
    """All that settings say of decoding, a planner's files by what is in them."""
    rule = settings.rule.self_contained()
    said = {each.name: getattr(settings, each.name) for each in fields(settings) if each.init and each.name != "scores"}
    files = [hashlib.sha256(path.read_bytes()).hexdigest() for path in rule.reads()]
    return {**said, "planner": str(rule), "files": files, "auto": repr(settings.auto), "stop": settings.stops}


def draws(settings: Settings) -> bool:
    """Whether an answer depends on the place of its request."""
    return settings.temperature > 0 or settings.rule.draws
