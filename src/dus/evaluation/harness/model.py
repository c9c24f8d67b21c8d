"""The lm-eval model `dus`: denoisers and planners behind what lm-eval asks of a language model."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from jinja2 import TemplateError
from lm_eval.api.model import TemplateLM
from lm_eval.utils import simple_parse_args_string
from torch import Tensor
from tqdm import tqdm  # type: ignore[import-untyped]

from dus.denoisers import Denoiser, load
from dus.evaluation.harness.answers import (
    Answer,
    Attempt,
    Calls,
    Record,
    accelerator,
    answers,
    attempt,
    fitting,
    present,
    written,
)
from dus.evaluation.harness.arguments import Arguments, HarnessError, logger
from dus.evaluation.harness.kept import Kept, asked_of, draws, model_of, object_of
from dus.evaluation.harness.likelihood import Estimate, Likelihood, Pair
from dus.evaluation.harness.work import Texts, Work, grouped, once

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance
    from lm_eval.api.model import CacheHook


class DusLM(TemplateLM):
    """A masked diffusion language model with a planner, as lm-eval's `dus`.

    Args:
        pretrained: A folder or hub id, as for `dus.load`, or a denoiser with a tokenizer; None is the bundled model.
        arguments: The fields of `Arguments`, which describes them.

    Attributes:
        denoiser, tokenizer: The model that answers, and its tokenizer.
        arguments: The arguments that say how to decode and to score.
        record: The denoiser calls and standard errors of what this process has answered and scored so far.

    Raises:
        HarnessError, GenerationError, PlannerError: An argument is unknown or cannot be meant.
        DenoiserError: The model cannot be loaded.
    """

    def __init__(self, pretrained: str | Denoiser | None = None, **arguments: Any) -> None:
        super().__init__()
        self.arguments = Arguments.read(arguments)
        self._accelerator = accelerator(self.arguments.device)
        device = present(self.arguments.device)
        if self._accelerator is not None:
            self._rank, self._world_size = self._accelerator.process_index, self._accelerator.num_processes
            device = self._accelerator.device
        self.identify = object_of
        if pretrained is None or isinstance(pretrained, str):
            self.identify = partial(model_of, pretrained)
            where = "auto" if self.arguments.device_map else device
            pretrained = load(pretrained, **{**self.arguments.loading, "device": where})
        self.denoiser = pretrained
        self.tokenizer: Any = getattr(pretrained, "tokenizer", None)
        if self.tokenizer is None:
            raise HarnessError("the model has no tokenizer, so that no text can be read or written")
        longest = self.arguments.max_length or getattr(pretrained, "max_length", None)
        self.texts = Texts(self.tokenizer, pretrained.mask_token_id, self.arguments.add_bos_token, longest)
        self._device = getattr(pretrained, "device", torch.device("cpu"))
        self.record = Record()
        self._everyones: Record | None = None
        self.kept = Kept(None)

    def set_cache_hook(self, cache_hook: CacheHook) -> None:
        """Keep answers where lm-eval's cache lies, and let all requests through to here."""
        self.kept = Kept(cache_hook.dbdict, self.identify(self.denoiser, self.arguments))

    @classmethod
    def create_from_arg_string(cls, arg_string: str, additional_config: dict[str, Any] | None = None) -> DusLM:
        """A model from a text, `planner=dus(base=4;order=random),block_length=32`."""
        return cls.create_from_arg_obj(simple_parse_args_string(arg_string), additional_config)

    @classmethod
    def create_from_arg_obj(cls, arg_dict: dict[str, Any], additional_config: dict[str, Any] | None = None) -> DusLM:
        """A model from a dictionary, which comes before what lm-eval adds: its command line always adds something."""
        return cls(**{**(additional_config or {}), **arg_dict})

    @property
    def eot_token_id(self) -> int | None:
        """The tokenizer's end token."""
        return self.tokenizer.eos_token_id

    @property
    def max_length(self) -> int | None:
        """The longest canvas in tokens; None is any."""
        return self.texts.max_length

    @property
    def tokenizer_name(self) -> str:
        """What tells this tokenizer's prompts from others in lm-eval's cache of requests."""
        return self.tokenizer.name_or_path.replace("/", "__")

    @property
    def calls(self) -> dict[str, Calls]:
        """For each task the denoiser calls and tokens of its answers; those of all processes, once they have met."""
        return (self._everyones or self.record).calls

    def get_model_info(self) -> dict[str, Any]:
        """What lm-eval's results say of the model: how it decoded, what that took, how sure its scores are."""
        settings = self.arguments.settings({})
        length = self.arguments.block_length or settings.block_length  # the rule, where lengths are chosen
        decoding = {"planner": str(settings.rule), "block_length": length, "cache": settings.cache}
        scoring = {"mc_samples": self.arguments.mc_samples, "seed": settings.seed}
        dtype = str(getattr(self.denoiser, "dtype", ""))
        return {**decoding, **scoring, "dtype": dtype, **(self._everyones or self.record).summary()}

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """The conversation as a prompt, in the tokenizer's chat template.

        Raises:
            HarnessError: The tokenizer has none, or it refuses the conversation, as some do with a system's turn.
        """
        if self.tokenizer.chat_template is None:
            raise HarnessError("the model's tokenizer has no chat template: leave out --apply_chat_template")
        try:
            return self.tokenizer.apply_chat_template(
                chat_history,
                tokenize=False,
                add_generation_prompt=add_generation_prompt,
                continue_final_message=not add_generation_prompt,
            )
        except TemplateError as error:
            roles = ", ".join(message["role"] for message in chat_history)
            raise HarnessError(f"the model's chat template refuses a conversation of {roles}: {error}") from None

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **_: Any) -> list[int]:
        """Token ids."""
        return self.texts.bare(string) if add_special_tokens is False else self.texts.tokens(string)

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """An answer to each request, which is a context and its `gen_kwargs`; see `Arguments` for what these may say.

        Raises:
            HarnessError, GenerationError, PlannerError: The `gen_kwargs` cannot be meant.
        """
        groups = list(grouped(requests, self.arguments, self.texts))
        texts = [""] * len(requests)
        with self._bar("answers", len(requests), disable_tqdm) as bar:
            for work in groups:
                found = dict(self._answered(work))
                for place, members in enumerate(work.members):
                    for index in members:
                        texts[index] = found[place].text
                counts = [found[place].nfe for place in sorted(found)], [found[place].tokens for place in sorted(found)]
                self.record.answered(work.task, *counts)
                bar.update(sum(map(len, work.members)))
        self._log()
        return texts

    def _answered(self, work: Work) -> Iterator[tuple[int, Answer]]:
        """For each row of some work its place and its answer; those that were kept come first."""
        asked = asked_of(work.settings)
        places = zip(work.rows, work.numbers if draws(work.settings) else [None] * len(work.rows), strict=True)
        keys = [self.kept.key("generate_until", row.tolist(), asked, number) for row, number in places]
        known = {place: found for place, key in enumerate(keys) if (found := self.kept.get(key))}
        yield from ((place, Answer(**found)) for place, found in known.items())
        left = [place for place in range(len(keys)) if place not in known]
        if not left:
            return
        rows, numbers = [work.rows[place] for place in left], [work.numbers[place] for place in left]
        size = self._rows(len(rows), partial(attempt, self.denoiser, rows, work.settings))
        for which, answer in answers(self.denoiser, rows, work.settings, size, numbers):
            self.kept.put(keys[left[which]], asdict(answer))
            yield left[which], answer

    def loglikelihood(self, requests: list[Instance], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """For each request, a context and a continuation, its log-likelihood in nats and whether it is what is written.

        Raises:
            HarnessError: A continuation has no token of its own, or is longer than the model takes.
        """
        asked, places = once(requests)
        encoded = [(request.args, *self._encode_pair(*request.args)) for request in asked]
        scored = self._loglikelihood_tokens(encoded, disable_tqdm=disable_tqdm)
        return [scored[place] for place in places]

    def _encode_pair(self, context: str, continuation: str) -> Pair:
        """Tokens of a context and a continuation; before an empty context stands what stands before every text."""
        before, tokens = self.texts.tokens(""), self.texts.bare(continuation)
        if context:
            before, tokens = super()._encode_pair(context, continuation)
        return self.texts.pair(before, tokens, continuation)

    def _loglikelihood_tokens(
        self, requests: list[tuple[Any, list[int], list[int]]], disable_tqdm: bool = False, **_: Any
    ) -> list[tuple[float, bool]]:
        pairs = [(context, continuation) for _, context, continuation in requests]
        scored, errors = dict[int, tuple[float, bool]](), dict[int, float]()
        keys = [self._key("loglikelihood", *pair, self.arguments.check_greedy) for pair in pairs]
        for index, key in enumerate(keys):
            if kept := self.kept.get(key):
                scored[index], errors[index] = (kept["value"], kept["greedy"]), kept["error"]
        left = [index for index in range(len(pairs)) if index not in scored]
        asked = [pairs[index] for index in left]
        checked = asked if self.arguments.check_greedy else []
        greedy = written(self.denoiser, checked, self.arguments.settings({}), self._rows) or [False] * len(asked)
        for place, estimate in self._estimates(asked, disable_tqdm):
            index = left[place]
            scored[index], errors[index] = (estimate.value, greedy[place]), estimate.error
            self.kept.put(keys[index], {**asdict(estimate), "greedy": greedy[place]})
        self.record.errors += [errors[index] for index in range(len(pairs))]
        self._log()
        return [scored[index] for index in range(len(pairs))]

    def loglikelihood_rolling(self, requests: list[Instance], disable_tqdm: bool = False) -> list[float]:
        """For each request, a text, its log-likelihood in nats; behind the model's length, that of its pieces."""
        asked, places = once(requests)
        windows = [list(self.texts.windows(request.args[0])) for request in asked]
        keys = [self._key("loglikelihood_rolling", pieces) for pieces in windows]
        found = {index: Estimate(**kept) for index, key in enumerate(keys) if (kept := self.kept.get(key))}
        owner = [index for index, pieces in enumerate(windows) if index not in found for _ in pieces]
        parts: dict[int, list[Estimate]] = {index: [] for index in range(len(asked)) if index not in found}
        left = [piece for index in parts for piece in windows[index]]
        found |= {index: Estimate(0.0, 0.0) for index in parts if not windows[index]}
        for place, estimate in self._estimates(left, disable_tqdm):
            index = owner[place]
            parts[index].append(estimate)
            if len(parts[index]) == len(windows[index]):
                value, error = zip(*((part.value, part.error) for part in parts[index]), strict=True)
                found[index] = Estimate(math.fsum(value), math.hypot(*error))
                self.kept.put(keys[index], asdict(found[index]))
        self.record.errors += [found[index].error for index in range(len(asked)) if windows[index]]
        self._log()
        return [found[place].value for place in places]

    def _key(self, kind: str, *parts: Any) -> str:
        """The name of a score, with all that it depends on beside the texts."""
        return self.kept.key(kind, *parts, asked_of(self.arguments.settings({})), self.arguments.mc_samples)

    def _estimates(self, pairs: list[Pair], disable_tqdm: bool) -> Iterator[tuple[int, Estimate]]:
        if not pairs:
            return
        settings = self.arguments.settings({})
        likelihood = Likelihood(self.denoiser, self.arguments.mc_samples, settings.seed or 0, settings.cfg_scale)
        size = self._rows(len(pairs) * likelihood.samples, partial(likelihood.attempt, pairs))
        if self.rank == 0:
            logger.info("log-likelihoods: at most %d masks each, seed %d", likelihood.samples, likelihood.seed)
        with self._bar("log-likelihoods", len(pairs), disable_tqdm) as bar:
            for done in likelihood.estimates(pairs, size):
                yield done
                bar.update()

    def _log(self) -> None:
        if self._accelerator is None:
            self.record.log()

    def _rows(self, needed: int, attempt: Attempt) -> int:
        return fitting(self.arguments.batch_size, min(self.arguments.max_batch_size, needed), attempt)

    def _bar(self, what: str, total: int, disable: bool) -> Any:
        return tqdm(total=total, desc=what, disable=disable or self.rank != 0)

    def all_gather(self, tensor: Tensor) -> Tensor:
        """A tensor of every process, one after the other."""
        return tensor if self._accelerator is None else self._accelerator.gather(tensor)

    def gather_object(self, obj: Any, dst: int = 0) -> list[Any] | None:
        """An object of every process, at process `dst`; None at the others."""
        if self._accelerator is None:
            return [obj]
        found = [None] * self.world_size if self.rank == dst else None
        torch.distributed.gather_object(obj, found, dst)
        return found

    def barrier(self) -> None:
        """Wait for every process; the first one then knows what all of them answered and scored."""
        if self._accelerator is not None:
            records = self.gather_object(self.record)
            if records is not None:
                self._everyones = Record.together(records)
                self._everyones.log()
            self._accelerator.wait_for_everyone()
