"""The app: OpenAI's routes, the live page, health and metrics, over one engine thread."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from functools import partial
from importlib.resources import files
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

from dus.decoding.engine import Engine
from dus.decoding.generate import positions_by_step
from dus.denoisers import Denoiser
from dus.planners import PlannerError, parse
from dus.serving.asked import Asked, Desk
from dus.serving.guard import OUTCOME, Guard
from dus.serving.metrics import Metrics
from dus.serving.pending import Pending, unless_gone
from dus.serving.replies import Reply
from dus.serving.requests import ApiError, ChatRequest, CompletionRequest, Decoding, ErrorBody, Limits, api_error
from dus.serving.rows import Rows
from dus.serving.service import Line, Service

_LARGE = 16_384
"""Bytes of a body from which on its text is read in another thread."""
_PATIENCE = 30.0
"""Seconds within which a body has to be here."""
_PAGE_MAY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; img-src data:"
)
_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorBody} for status in (400, 401, 404, 408, 413, 429, 500, 503, 504)
}


class Server:
    """One model behind HTTP.

    Args:
        model: The denoiser.
        name: The name of the model, as clients call it.
        limits: The limits of what is taken.
        cache: The engine's cache mode.
        key: The key that clients have to give; None asks for none.
        origins: The origins of web pages that may ask, beside the server's own.
        defaults: Settings where a request names none, as keyword arguments of `dus.generate`.
        line: Who decodes, given the limits and what counts; an engine thread of this process unless told.

    Attributes:
        service: Who decodes.
        app: The ASGI app, whose lifespan is that of `service`.

    Raises:
        GenerationError, PlannerError: The model cannot decode so.
    """

    def __init__(
        self,
        model: Denoiser,
        name: str,
        limits: Limits,
        *,
        cache: str = "auto",
        key: str | None = None,
        origins: tuple[str, ...] = (),
        defaults: dict[str, Any] | None = None,
        line: Callable[[Limits, Metrics], Line] | None = None,
    ) -> None:
        self.metrics = Metrics()
        if line is None:
            rows = Rows(model, limits.rows, cache, watch=True)
            self.service: Line = Service(rows, limits.line, limits.seconds, self.metrics)
        else:
            self.service = line(limits, self.metrics)
        self.desk = Desk(model, name, Engine(model, 1, cache), limits, defaults, self.service.capacity)
        self.started = int(time.time())
        self.app = FastAPI(title="dus", description=__doc__, lifespan=self._lifespan, redoc_url=None)
        self._routes()
        self._handlers()
        patience = min(limits.seconds, _PATIENCE)
        self.app.add_middleware(Guard, metrics=self.metrics, key=key, patience=patience, largest=limits.body)
        if origins:
            self.app.add_middleware(
                CORSMiddleware, allow_origins=list(origins), allow_methods=["GET", "POST"], allow_headers=["*"]
            )

    @asynccontextmanager
    async def _lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        self.service.start()
        yield
        await run_in_threadpool(self.service.stop)

    def _routes(self) -> None:
        route = partial(self.app.add_api_route, responses=_ERRORS)
        route("/v1/chat/completions", self.chat, methods=["POST"])
        route("/v1/completions", self.completion, methods=["POST"])
        route("/v1/models", self.models, methods=["GET"])
        route("/v1/models/{name:path}", self.one_model, methods=["GET"])
        route("/v1/schedule", self.schedule, methods=["GET"])
        self.app.add_api_route("/health", self.health, methods=["GET"], responses={503: {"model": ErrorBody}})
        self.app.add_api_route("/metrics", self.counted, methods=["GET"], responses={401: {"model": ErrorBody}})
        self.app.add_api_route("/", self.page, methods=["GET"], include_in_schema=False)

    def _handlers(self) -> None:
        def answer(error: ApiError) -> Response:
            return JSONResponse(error.body, error.status, error.headers)

        async def of_ours(request: Request, error: Exception) -> Response:
            return answer(api_error(error))

        async def of_a_bug(request: Request, error: Exception) -> Response:
            return answer(ApiError(500, "the server met an error of its own", code="internal_error"))

        async def of_fields(request: Request, error: Exception) -> Response:
            assert isinstance(error, RequestValidationError)
            return answer(_malformed(error))

        async def of_http(request: Request, error: Exception) -> Response:
            assert isinstance(error, HTTPException)
            headers = dict(error.headers) if error.headers else None
            return answer(ApiError(error.status_code, str(error.detail), headers=headers))

        self.app.add_exception_handler(ApiError, of_ours)
        self.app.add_exception_handler(RequestValidationError, of_fields)
        self.app.add_exception_handler(HTTPException, of_http)
        self.app.add_exception_handler(Exception, of_a_bug)

    async def chat(self, body: ChatRequest, request: Request) -> Response:
        """Go on with a conversation."""
        return await self._answer(request, body, partial(self.desk.chat, body))

    async def completion(self, body: CompletionRequest, request: Request) -> Response:
        """Complete prompts, or fill in what stands between them and a suffix."""
        return await self._answer(request, body, partial(self.desk.completion, body))

    async def models(self) -> dict[str, Any]:
        """The only model."""
        return {"object": "list", "data": [self._model()]}

    async def one_model(self, name: str) -> dict[str, Any]:
        """A model by its name."""
        if name != self.desk.name:
            raise ApiError(404, f"there is no model {name[:200]!r} here", "model", "model_not_found")
        return self._model()

    def _model(self) -> dict[str, Any]:
        model = self.desk.model
        return {
            "id": self.desk.name,
            "object": "model",
            "created": self.started,
            "owned_by": "dus",
            "max_length": self.desk.limits.length,
            "block_length": model.block_length,
            "chat": getattr(model.tokenizer, "chat_template", None) is not None,
            "end_tokens": list(model.eos_token_ids),
        }

    async def schedule(self, planner: str = "dus", block_length: int = 16) -> dict[str, Any]:
        """The positions that a planner writes at each step of a block; null where the model decides that."""
        if not 1 <= block_length <= 256:
            raise ApiError(400, f"block_length is {block_length}, a schedule is drawn of 1 to 256", "block_length")
        if "file" in planner or len(planner) > 1000:
            raise ApiError(400, "a request's planner may not read a file", "planner")
        try:
            rule = parse(planner)
            rule.check(block_length)
        except PlannerError as error:
            raise ApiError(400, str(error), "planner") from None
        steps = await run_in_threadpool(positions_by_step, rule, block_length) if rule.scheduled else None
        return {"planner": str(rule), "block_length": block_length, "steps": steps}

    async def health(self) -> dict[str, Any]:
        """Whether rows are taken."""
        if self.service.closing or self.service.error is not None:
            raise ApiError(503, "the server takes no more requests", code="shutting_down")
        return {"status": "ok"}

    async def counted(self) -> Response:
        """What was counted, for Prometheus."""
        return Response(self.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def page(self) -> Response:
        """The live page."""
        text = files("dus.serving").joinpath("page.html").read_text(encoding="utf-8")
        return HTMLResponse(text, headers={"Content-Security-Policy": _PAGE_MAY, "X-Content-Type-Options": "nosniff"})

    async def _answer(self, request: Request, body: Decoding, ask: Callable[[], Asked]) -> Response:
        large = int(request.headers.get("content-length", _LARGE)) >= _LARGE
        asked = await run_in_threadpool(ask) if large else ask()
        reply, pending = Reply(body, asked), Pending(self.service, asked.jobs)
        pending.submit()
        if body.stream:
            headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
            return StreamingResponse(_stream(request, reply, pending), 200, headers, "text/event-stream")
        rows = await unless_gone(request, pending)
        return Response(_json(reply.whole(rows)), media_type="application/json") if rows is not None else Response()


async def _stream(request: Request, reply: Reply, pending: Pending) -> AsyncIterator[bytes]:
    """Server-sent events; an error is one of them, and the last."""
    request.scope[OUTCOME] = "cancelled"
    try:
        for chunk in reply.opening():
            yield _event(chunk)
        async with aclosing(pending.events()) as events:
            async for index, told in events:
                for chunk in reply.chunks(index, told):
                    yield _event(chunk)
        for chunk in reply.closing():
            yield _event(chunk)
        yield b"data: [DONE]\n\n"
        request.scope[OUTCOME] = "ok"
    except ApiError as error:
        request.scope[OUTCOME] = {503: "closing", 504: "timeout"}.get(error.status, "failed")
        yield _event(error.body)
    finally:
        pending.cancel()


def _event(data: dict[str, Any]) -> bytes:
    return b"data: " + _json(data) + b"\n\n"


def _json(data: dict[str, Any]) -> bytes:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")


def _malformed(error: RequestValidationError) -> ApiError:
    """What to say of a body that has not the form of a request: its first problem."""
    first = error.errors()[0]
    place = [str(part) for part in first["loc"][1:] if not isinstance(part, str) or part.isidentifier()]
    if first["type"] == "json_invalid":
        return ApiError(400, f"the body is not JSON: {first['ctx']['error']} at byte {first['loc'][-1]}")
    field = ".".join(place)
    said = str(first["msg"])
    if not field:
        said = "the body has to be a JSON object, sent as Content-Type: application/json"
    return ApiError(400, f"{field}: {said[0].lower()}{said[1:]}" if field else said, field.split(".")[0] or None)
