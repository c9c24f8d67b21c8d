"""The lm-eval model `dus`: denoisers and planners behind what lm-eval asks of a language model."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from lm_eval.api.model import TemplateLM
from lm_eval.utils import simple_parse_args_string
from torch import Tensor
from tqdm import tqdm  # type: ignore[import-untyped]

from dus.decoding import Settings
from dus.denoisers import Denoiser, load
from dus.evaluation.harness.answers import Answer, answers, attempt, written
from dus.evaluation.harness.arguments import Arguments, logger
from dus.evaluation.harness.devices import Attempt, accelerator, fitting, present
from dus.evaluation.harness.likelihood import Estimate, Likelihood
from dus.evaluation.harness.masking import Pair
from dus.evaluation.harness.reading import HarnessError
from dus.evaluation.harness.records import Calls, Record
from dus.evaluation.harness.texts import Texts

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance


class DusLM(TemplateLM):
    """A masked diffusion language model with a planner, as lm-eval's `dus`.

    Args:
        pretrained: folder or hub id as for `dus.load`, or a denoiser with a tokenizer; None is the bundled model.
        arguments: the fields of `Arguments`, which describes them.

    Attributes:
        denoiser, tokenizer: what answers.
        arguments: how to decode and to score.
        record: denoiser calls and standard errors of what this process answered and scored so far.

    Raises:
        HarnessError, GenerationError, PlannerError: on an argument that is unknown or cannot be meant.
        DenoiserError: where the model cannot be loaded.
    """

    def __init__(self, pretrained: str | Denoiser | None = None, **arguments: Any) -> None:
        super().__init__()
        self.arguments = Arguments.read(arguments)
        self._accelerator = accelerator(self.arguments.device)
        device = present(self.arguments.device)
        if self._accelerator is not None:
            self._rank, self._world_size = self._accelerator.process_index, self._accelerator.num_processes
            device = self._accelerator.device
        if pretrained is None or isinstance(pretrained, str):
            pretrained = load(pretrained, **{**self.arguments.loading, "device": device})
        self.denoiser = pretrained
        self.tokenizer: Any = getattr(pretrained, "tokenizer", None)
        if self.tokenizer is None:
            raise HarnessError("the model has no tokenizer, so that no text can be read or written")
        longest = self.arguments.max_length or getattr(pretrained, "max_length", None)
        self.texts = Texts(self.tokenizer, pretrained.mask_token_id, self.arguments.add_bos_token, longest)
        self._device = getattr(pretrained, "device", torch.device("cpu"))
        self.record = Record()
        self._everyones: Record | None = None

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
        decoding = {"planner": str(settings.rule), "block_length": settings.block_length, "cache": settings.cache}
        scoring = {"mc_samples": self.arguments.mc_samples, "seed": settings.seed}
        dtype = str(getattr(self.denoiser, "dtype", ""))
        return {**decoding, **scoring, "dtype": dtype, **(self._everyones or self.record).summary()}

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """The conversation as a prompt, in the tokenizer's chat template.

        Raises:
            HarnessError: where it has none.
        """
        if self.tokenizer.chat_template is None:
            raise HarnessError("the model's tokenizer has no chat template: leave out --apply_chat_template")
        return self.tokenizer.apply_chat_template(
            chat_history,
            tokenize=False,
            add_generation_prompt=add_generation_prompt,
            continue_final_message=not add_generation_prompt,
        )

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **_: Any) -> list[int]:
        """Token ids."""
        return self.texts.bare(string) if add_special_tokens is False else self.texts.tokens(string)

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """An answer to each request, which is a context and its `gen_kwargs`; see `Arguments` for what these may say.

        Raises:
            HarnessError, GenerationError, PlannerError: on `gen_kwargs` that cannot be meant.
        """
        work = list(self._work(requests))
        found: dict[int, Answer] = {}
        with self._bar("answers", len(requests), disable_tqdm) as bar:
            for members, rows, settings in work:
                size = self._rows(len(rows), partial(attempt, self.denoiser, rows, settings))
                for place, answer in answers(self.denoiser, rows, settings, size):
                    found[members[place]] = answer
                    self.cache_hook.add_partial("generate_until", requests[members[place]].args, answer.text)
                    bar.update()
        for index, request in enumerate(requests):
            self.record.answered(request.task_name or "requests", [found[index].nfe], [found[index].tokens])
        self._log()
        return [found[index].text for index in range(len(requests))]

    def _work(self, requests: list[Instance]) -> Iterator[tuple[list[int], list[Tensor], Settings]]:
        """Indices of requests that ask for the same settings, their prompts' token rows, and how to decode them."""
        groups: dict[str, list[int]] = {}
        for index, request in enumerate(requests):
            groups.setdefault(json.dumps(request.args[1], sort_keys=True, default=str), []).append(index)
        for members in groups.values():
            settings = self.arguments.settings(requests[members[0]].args[1])
            rows = [self.texts.prompt(requests[index].args[0], settings.max_new_tokens) for index in members]
            yield members, [torch.tensor(row, dtype=torch.long) for row in rows], settings

    def loglikelihood(self, requests: list[Instance], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """For each request, a context and a continuation, its log-likelihood in nats and whether it is what is written.

        Raises:
            HarnessError: on a continuation that has no token of its own, or is longer than the model takes.
        """
        encoded = [(request.args, *self._encode_pair(*request.args)) for request in requests]
        return self._loglikelihood_tokens(encoded, disable_tqdm=disable_tqdm)

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
        checked = pairs if self.arguments.check_greedy else []
        greedy = written(self.denoiser, checked, self.arguments.settings({}), self._rows) or [False] * len(pairs)
        found: dict[int, tuple[float, bool]] = {}
        for index, estimate in self._estimates(pairs, disable_tqdm):
            found[index] = estimate.value, greedy[index]
            self.record.errors.append(estimate.error)
            self.cache_hook.add_partial("loglikelihood", requests[index][0], found[index])
        self._log()
        return [found[index] for index in range(len(pairs))]

    def loglikelihood_rolling(self, requests: list[Instance], disable_tqdm: bool = False) -> list[float]:
        """For each request, a text, its log-likelihood in nats; behind the model's length, that of its pieces."""
        windows = [list(self.texts.windows(request.args[0])) for request in requests]
        owner = [index for index, pieces in enumerate(windows) for _ in pieces]
        found: dict[int, list[Estimate]] = {index: [] for index in range(len(requests))}
        for place, estimate in self._estimates([piece for pieces in windows for piece in pieces], disable_tqdm):
            pieces = found[owner[place]]
            pieces.append(estimate)
            if len(pieces) == len(windows[owner[place]]):
                total = math.fsum(piece.value for piece in pieces)
                self.record.errors.append(math.hypot(*(piece.error for piece in pieces)))
                self.cache_hook.add_partial("loglikelihood_rolling", requests[owner[place]].args, total)
        self._log()
        return [math.fsum(piece.value for piece in found[index]) for index in range(len(requests))]

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
