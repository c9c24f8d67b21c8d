"""What stands before the app: the key, how long and how large a body may be, and what came of each request."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import MutableMapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dus.serving.metrics import Metrics
from dus.serving.requests import ApiError

_OUTCOMES = {401: "unauthorized", 408: "slow", 429: "overloaded", 503: "closing", 504: "timeout"}
OUTCOME = "dus.outcome"
"""The key of a request's scope under which the app notes how a stream ended."""


class Guard:
    """Refuses who has no key, and counts.

    Args:
        app: What stands behind.
        metrics: What is counted.
        key: The key that `/v1` and `/metrics` ask for; None asks for none.
        patience: Seconds within which a body has to be here.
        largest: Bytes that it may have.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, key: str | None, patience: float, largest: int) -> None:
        self.app, self.metrics, self.patience, self.largest = app, metrics, patience, largest
        self.key = None if key is None else f"Bearer {key}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection's request."""
        path = scope.get("path", "")
        if scope["type"] != "http" or not path.startswith(("/v1/", "/metrics")):
            await self.app(scope, receive, send)
            return
        status = 0

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            if self._admits(scope):
                await self.app(scope, _Body(receive, self.patience, self.largest), watched)
            else:
                error = ApiError(401, "a key is needed: Authorization: Bearer KEY", code="invalid_api_key")
                await JSONResponse(error.body, 401, {"WWW-Authenticate": "Bearer"})(scope, receive, watched)
        finally:
            if scope["method"] == "POST" and path in ("/v1/chat/completions", "/v1/completions"):
                self.metrics.requests.labels(path, _outcome(scope, status)).inc()

    def _admits(self, scope: Scope) -> bool:
        if self.key is None or scope["method"] == "OPTIONS":
            return True
        given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        return hmac.compare_digest(given, self.key)


def _outcome(scope: MutableMapping[str, Any], status: int) -> str:
    if status == 0:
        return "cancelled"
    if status == 200:
        return str(scope.get(OUTCOME, "ok"))
    return _OUTCOMES.get(status, "invalid" if status < 500 else "failed")


class _Body:
    """Receives a body, which has to be here within some seconds and to have at most so many bytes."""

    def __init__(self, receive: Receive, patience: float, largest: int) -> None:
        self.receive, self.until, self.whole = receive, time.monotonic() + patience, False
        self.largest, self.size = largest, 0

    async def __call__(self) -> Message:
        if self.whole:
            return await self.receive()
        try:
            message = await asyncio.wait_for(self.receive(), max(self.until - time.monotonic(), 0))
        except asyncio.TimeoutError:
            raise HTTPException(408, "the body did not come in time") from None
        self.whole = not message.get("more_body", False)
        self.size += len(message.get("body", b""))
        if self.size > self.largest:
            raise HTTPException(413, f"a request has at most {self.largest} bytes")
        return message
