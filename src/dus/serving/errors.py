"""Errors in OpenAI's shape."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from dus.serving.service import Closing, Overloaded, ServingError, TooLate


class ApiError(Exception):
    """A request that is answered by an error.

    Attributes:
        status: of HTTP.
        message: what is wrong, and what would be right.
        param: the field of the request that is meant.
        code: a word for programs.
        headers: of the answer.
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
