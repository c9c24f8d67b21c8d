"""What `model_args` may hold, and how they and a request's own settings say how to decode."""

from __future__ import annotations

import difflib
import logging
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dus.decoding import Settings
from dus.decoding.settings import idle
from dus.evaluation.harness.reading import HarnessError, Length, Rows, Switch, value_of
from dus.writing.synonyms import meant

DECODING = (
    *("planner", "block_length", "max_new_tokens", "cache", "temperature", "top_p", "top_k", "seed", "cfg_scale"),
    *("eos", "suppress_tokens", "defer_tokens"),
)
LOADING = (
    *("revision", "dtype", "device", "trust_remote_code", "mask_token_id", "shift", "quantize", "compile"),
    *("device_map", "attn_implementation"),
)
ROOM = ("max_completion_tokens", "max_tokens", "max_new_tokens", "max_gen_toks")
"""What a request's room may be called; where it has several, the last one was put there by `--gen_kwargs`."""

# Below lm-eval's own, which is the one that its command line shows.
logger = logging.getLogger("lm_eval.models.dus")


@dataclass(frozen=True)
class Arguments:
    """The arguments of the lm-eval model `dus`, beside `pretrained`.

    Those that say how to decode, `planner` to `defer_tokens`, hold for every request where they are given. Where they
    are not, a request's own settings hold (its task's `generation_kwargs`, which `--gen_kwargs` updates), and then
    the defaults of `dus.generate`. The length of a canvas is part of how a diffusion model decodes, and tasks that
    were written for other models should not change it unasked.

    Attributes:
        planner, block_length, max_new_tokens, cache, temperature, top_p, top_k, cfg_scale, eos: Arguments of
            `dus.generate`.
        seed: The seed that tokens are sampled with, and the masks behind a log-likelihood; 0 if it is not given.
        suppress_tokens, defer_tokens: Arguments of `dus.generate`; in a text, semicolons separate the ids.
        mc_samples: The number of masks that a log-likelihood is averaged over.
        check_greedy: Whether lm-eval's `is_greedy` is computed with a log-likelihood, which takes a decoding of its own
            and is read by few metrics; otherwise it is always False.
        escape_until: Whether to leave out the stop strings of tasks, as Dream's evaluation of instruct models does.
        add_bos_token: Whether a text begins with the tokenizer's first token; None does what the tokenizer does.
        max_length: The longest canvas, in tokens; a longer one loses the beginning of its context. None is the model's.
        batch_size: The number of rows in a denoiser call; `auto` takes the largest of `max_batch_size`, its half, and
            so on that fits in memory.
        max_batch_size: The most rows that `batch_size=auto` tries.
        revision, dtype, device, trust_remote_code, mask_token_id, shift, quantize, compile: Arguments of `dus.load`.
        peft: The folder or hub id of an adapter, which `dus.load` calls `adapter`.
        device_map, attn_implementation: Arguments of transformers' `from_pretrained`.
    """

    planner: str | None = None
    block_length: Length | None = None
    max_new_tokens: int | None = None
    cache: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    cfg_scale: float | None = None
    eos: str | None = None
    suppress_tokens: list[int] | None = None
    defer_tokens: list[int] | None = None
    mc_samples: int = 128
    check_greedy: bool = True
    escape_until: bool = False
    add_bos_token: bool | None = None
    max_length: int | None = None
    batch_size: Rows = 1
    max_batch_size: int = 64
    revision: str | None = None
    dtype: str = "auto"
    device: str = "auto"
    trust_remote_code: bool = False
    mask_token_id: int | None = None
    shift: int | None = None
    quantize: str | None = None
    compile: Switch | None = None
    peft: str | None = None
    device_map: str | None = None
    attn_implementation: str | None = None

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Arguments:
        """The arguments from what lm-eval made of a string, a dictionary or its command line; None leaves one out,
        but for the cache, which none is a mode of.

        Raises:
            HarnessError, GenerationError, PlannerError: A name is unknown, or a value cannot be meant.
        """
        hints = typing.get_type_hints(cls)
        if unknown := given.keys() - hints.keys():
            raise HarnessError(_unknown(min(unknown), list(hints), str(given.get("planner"))))
        values = {name: value_of(name, value, hints[name]) for name, value in given.items()}
        if "cache" in values and values["cache"] is None:
            values["cache"] = "none"  # the mode, which lm-eval reads as no value
        arguments = cls(**{name: value for name, value in values.items() if value is not None})
        for name, least in (("mc_samples", 1), ("max_batch_size", 1), ("max_length", 2)):
            number = getattr(arguments, name)
            if number is not None and number < least:
                raise HarnessError(f"{name} is {number}, at least {least} is needed")
        arguments.settings({})
        return arguments

    @property
    def loading(self) -> dict[str, Any]:
        """The keyword arguments of `dus.load`."""
        told = {name: getattr(self, name) for name in LOADING if getattr(self, name) is not None}
        return told if self.peft is None else {**told, "adapter": self.peft}

    def settings(self, asked: Mapping[str, Any]) -> Settings:
        """How to decode a request that asks for this in its `gen_kwargs`.

        Raises:
            HarnessError: There is no such setting.
            GenerationError, PlannerError: A value cannot be meant.
        """
        from lm_eval.utils import warning_once

        own = _own(asked)
        given = {name: getattr(self, name) for name in DECODING if getattr(self, name) is not None}
        if self.escape_until:
            given["stop"] = []
        for name in sorted(own.keys() & given.keys() - {"stop"}):
            if own[name] != given[name]:
                warning_once(logger, f"{name} is {given[name]} for every request, where {own[name]} is asked for too")
        settings = Settings(**{"seed": 0, **own, **given, "scores": False})
        for sentence in idle(settings) if asked else ():
            if sentence.split()[0] in given:
                warning_once(logger, sentence)
        return settings


def _own(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Of a request's `gen_kwargs` the fields of `Settings` that they name."""
    from lm_eval.models.utils import normalize_gen_kwargs

    rooms = [name for name in asked if name in ROOM and asked[name] is not None]
    kept = {name: value for name, value in asked.items() if name not in rooms[:-1]}
    rest: dict[str, Any] = dict(normalize_gen_kwargs(kept, default_max_gen_toks=0))
    own: dict[str, Any] = {"stop": [text for text in rest.pop("until") if text]}
    if length := rest.pop("max_gen_toks"):
        own["max_new_tokens"] = length
    sampled, temperature = rest.pop("do_sample"), rest.pop("temperature", 1.0)
    if {"do_sample", "temperature"} & asked.keys():
        own["temperature"] = temperature if sampled else 0.0
    if rest.pop("num_beams", 1) != 1:
        raise HarnessError("num_beams is asked for, and there are no beams here: --gen_kwargs num_beams=1")
    hints = typing.get_type_hints(Arguments)
    for name, value in rest.items():
        if name not in DECODING:
            known = ", ".join(("until", "max_gen_toks", "do_sample", *DECODING))
            told = f" ({meant(name)})" if meant(name) else ""
            raise HarnessError(f"{name!r} is asked for in gen_kwargs{told}, which here are {known}")
        own[name] = value_of(name, value, hints[name])
    return {name: value for name, value in own.items() if value is not None}


def _unknown(name: str, known: list[str], planner: str) -> str:
    told = meant(name)
    close = [] if told else difflib.get_close_matches(name, known, 1)
    nearest = f" (did you mean {close[0]!r}?)" if close else f" ({told})" if told else ""
    torn = planner.count("(") > planner.count(")")
    advice = " A string splits at commas: separate the fields of a planner by ';'." if torn else ""
    return f"the model dus has no argument {name!r}{nearest}; known are pretrained, {', '.join(known)}.{advice}"
