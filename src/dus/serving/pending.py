"""One request between the event loop and the engine thread."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial

from starlette.requests import Request

from dus.decoding import Decoded, Failed
from dus.serving.guard import OUTCOME
from dus.serving.requests import api_error
from dus.serving.rows import Job, Told, nobody
from dus.serving.service import Line


class Pending:
    """The rows of one request, as the event loop sees them.

    Args:
        service: Decodes them.
        jobs: The rows.
    """

    def __init__(self, service: Line, jobs: list[Job]) -> None:
        self.service, self.jobs = service, jobs
        self.told: asyncio.Queue[tuple[int, Told]] = asyncio.Queue()
        self.loop = asyncio.get_running_loop()
        for index, job in enumerate(self.jobs):
            job.tell = partial(self._tell, index)

    def submit(self) -> None:
        """Put the rows into the line.

        Raises:
            ApiError: They are not taken.
        """
        try:
            self.service.submit(self.jobs)
        except ValueError as error:
            raise api_error(error) from None

    def cancel(self) -> None:
        """Give up what is not done."""
        self.service.cancel(self.jobs)

    def _tell(self, index: int, told: Told) -> None:
        """Called in the engine thread."""
        if isinstance(told, Decoded | Failed) or self.jobs[index].streamed:
            self.loop.call_soon_threadsafe(self.told.put_nowait, (index, told))

    async def events(self) -> AsyncGenerator[tuple[int, Told]]:
        """What happens to the rows, until all are done; whoever stops listening gives the rest up.

        Raises:
            ApiError: A row could not be decoded.
        """
        left = len(self.jobs)
        try:
            while left:
                index, told = await self.told.get()
                if isinstance(told, Failed):
                    raise api_error(told.error)
                left -= isinstance(told, Decoded)
                yield index, told
        finally:
            self.cancel()
            for job in self.jobs:
                job.tell = nobody  # or a circle would keep all this until Python looks for circles

    async def rows(self) -> list[Decoded]:
        """All rows, done, in the order of the request.

        Raises:
            ApiError: A row could not be decoded.
        """
        async with aclosing(self.events()) as events:
            found = {index: told async for index, told in events if isinstance(told, Decoded)}
        return [found[index] for index in range(len(self.jobs))]


async def unless_gone(request: Request, pending: Pending) -> list[Decoded] | None:
    """The rows; None where the client hangs up before they are done."""
    rows = asyncio.ensure_future(pending.rows())
    gone = asyncio.ensure_future(_hang_up(request))
    try:
        await asyncio.wait({rows, gone}, return_when=asyncio.FIRST_COMPLETED)
        if rows.done():
            return rows.result()
        request.scope[OUTCOME] = "cancelled"
        return None
    finally:
        rows.cancel()
        gone.cancel()


async def _hang_up(request: Request) -> None:
    """Return when the client has gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
