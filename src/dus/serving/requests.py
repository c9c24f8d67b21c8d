"""Requests in OpenAI's shape, what they mean for the engine, and errors in the same shape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from dus.serving.service import Closing, Overloaded, ServingError, TooLate


class ApiError(Exception):
    """A request that is answered by an error.

    Attributes:
        status: The status code of HTTP.
        message: What is wrong, and what would be right.
        param: The field of the request that is meant.
        code: A word for programs.
        headers: The headers of the answer.
    """

    def __init__(
        self,
        status: int,
        message: str,
        param: str | None = None,
        code: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        message = message if len(message) <= _LONGEST else f"{message[:_LONGEST]}…"
        super().__init__(message)
        self.status, self.message, self.param, self.code, self.headers = status, message, param, code, headers

    @property
    def body(self) -> dict[str, Any]:
        """The answer's body."""
        kind = _KINDS.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}


_LONGEST = 1000
"""Characters of a message: it may repeat what was asked."""
_KINDS = {401: "authentication_error", 429: "rate_limit_error"}


class ErrorDetail(BaseModel):
    """What is wrong."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(BaseModel):
    """The body of every answer that is an error."""

    error: ErrorDetail


def api_error(error: Exception) -> ApiError:
    """What a request is answered whose rows could not be decoded."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, Overloaded):
        return ApiError(429, str(error), code="overloaded", headers={"Retry-After": str(error.retry_after)})
    if isinstance(error, Closing):
        return ApiError(503, str(error), code="shutting_down")
    if isinstance(error, TooLate):
        return ApiError(504, str(error), code="timeout")
    if isinstance(error, ServingError):
        return ApiError(400, str(error))
    return ApiError(500, str(error) or type(error).__name__, code="decoding_failed")


_NOT_HERE: dict[str, tuple[Any, ...]] = {
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "parallel_tool_calls": (True, False),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "response_format": ({"type": "text"},),
    "logit_bias": ({},),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "best_of": (1,),
    "echo": (False,),
    "top_logprobs": (0,),
    "store": (False,),
    "modalities": (["text"],),
    "service_tier": ("auto", "default"),
    "audio": (),
    "prediction": (),
    "reasoning_effort": (),
    "verbosity": (),
    "web_search_options": (),
}
"""Fields of OpenAI's that this server cannot do, and the values that ask for nothing."""
_LABELS = {"user", "metadata", "safety_identifier", "prompt_cache_key"}
"""Fields that name who asks or why, and change no answer."""

Stops: TypeAlias = Annotated[list[Annotated[str, Field(max_length=256)]], Field(max_length=16)]


class StreamOptions(BaseModel):
    """What a stream holds beside the answer."""

    model_config = ConfigDict(extra="forbid", strict=True)
    include_usage: bool = Field(False, description="Whether a last chunk tells the usage.")
    include_obfuscation: bool = Field(False, description="Without effect.")


class Decoding(BaseModel):
    """What both kinds of requests hold."""

    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)

    model: str = Field(description="The name that /v1/models lists.")
    max_tokens: int | None = Field(None, ge=1, description="Masks put behind the prompt: the longest answer.")
    temperature: float | None = Field(None, ge=0, description="0, the default, takes the likeliest token.")
    top_p: float | None = Field(None, gt=0, le=1, description="Keep the likeliest tokens of this probability.")
    seed: int | None = Field(None, ge=-(2**63), lt=2**63, description="Of the draws of tokens.")
    n: int | None = Field(None, ge=1, description="Answers to each prompt.")
    stop: str | Stops | None = Field(None, description="An answer ends before the first of these texts.")
    stream: bool | None = Field(None, description="Send the answer block by block, as server-sent events.")
    stream_options: StreamOptions | None = None

    planner: str | None = Field(None, max_length=1000, description="Which positions are written when.")
    block_length: int | str | None = Field(None, description="Positions that are decoded together, or auto(bits=8).")
    top_k: int | None = Field(None, ge=1, description="Keep so many of the likeliest tokens.")
    cfg_scale: float | None = Field(None, ge=0, description="Classifier-free guidance; 0 is off.")
    eos: Literal["stop", "ignore"] | None = Field(None, description="At the end token: stop, or write on.")
    suppress_tokens: list[int] | None = Field(None, description="Tokens that are never written.")
    stream_steps: bool | None = Field(None, description="In a stream: an event for every denoiser call.")

    @property
    def scores(self) -> bool:
        """Whether log-probabilities are asked for."""
        return False

    def refused(self) -> tuple[str, str] | None:
        """The first field that this server cannot do or does not know, and what to say of it."""
        for name, value in (self.model_extra or {}).items():
            if value is None or name in _LABELS:
                continue
            if name not in _NOT_HERE:
                known = ", ".join(sorted(type(self).model_fields))
                return name, f"there is no field {name[:100]!r}; the fields are {known}"
            if not any(type(value) is type(nothing) and value == nothing for nothing in _NOT_HERE[name]):
                return name, f"{name} cannot be done by this server: leave it out"
        if not self.stream and (self.stream_steps or self.stream_options is not None):
            name = "stream_steps" if self.stream_steps else "stream_options"
            return name, f"{name} goes with stream=true"
        return None


class TextPart(BaseModel):
    """A part of a message that is a text."""

    model_config = ConfigDict(extra="forbid", strict=True)
    type: Literal["text"]
    text: str


class Message(BaseModel):
    """A turn of a conversation."""

    model_config = ConfigDict(extra="forbid", strict=True)
    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart]

    @property
    def plain(self) -> dict[str, str]:
        """As a chat template takes it."""
        text = self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)
        return {"role": "system" if self.role == "developer" else self.role, "content": text}


class ChatRequest(Decoding):
    """A conversation to go on with."""

    messages: list[Message] = Field(min_length=1)
    max_completion_tokens: int | None = Field(None, ge=1, description="The newer name of max_tokens.")
    logprobs: bool | None = Field(None, description="Tell each token's log-probability at the step that wrote it.")

    @property
    def scores(self) -> bool:
        """Whether log-probabilities are asked for."""
        return bool(self.logprobs)


class CompletionRequest(Decoding):
    """Prompts to complete."""

    prompt: str | list[str] | list[int] | list[list[int]] = Field(description="A text or token ids, or a list of them.")
    suffix: str | None = Field(None, description="What follows: the max_tokens masks between are filled in.")
    logprobs: Literal[0] | None = Field(
        None, description="0 tells each token's log-probability at the step that wrote it; of others none is kept."
    )

    @property
    def scores(self) -> bool:
        """Whether log-probabilities are asked for."""
        return self.logprobs is not None


@dataclass(frozen=True)
class Limits:
    """What a server takes.

    Attributes:
        rows: The number of rows that are decoded together.
        line: Rows that may wait.
        seconds: The seconds that a request may take.
        body: Bytes of a request.
        length: Tokens of a row, prompt and answer; None is the model's context.
        max_tokens: The tokens of an answer to a conversation that asks for no number.
    """

    rows: int = 32
    line: int = 256
    seconds: float = 300.0
    body: int = 1 << 20
    length: int | None = None
    max_tokens: int = 256
