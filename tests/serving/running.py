"""A server in a thread of the test's process, and denoisers that wait, fail or count."""

import socket
import threading
import time
from contextlib import contextmanager

from openai import OpenAI

from dus.denoisers import DenoiserAround
from dus.serving.app import Server
from dus.serving.http import Uvicorn, bound
from dus.serving.requests import Limits

SUM = "Tom has 5 apples. Tom buys 7 more. How many apples does Tom have now?"
ADD = "Write a Python function add_3(x) that adds 3 to x."


@contextmanager
def running(model, limits=None, *, narrow=False, name="tiny", **settings):
    """A server of a model on a free port of this machine; `.url` is its address; `narrow` makes its buffers small."""
    server = Server(model, name, limits or Limits(), **settings)
    with bound("127.0.0.1", 0) as listener:
        if narrow:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        ready = threading.Event()
        process = Uvicorn(server, listener, lambda url: (setattr(server, "url", url), ready.set()))
        thread = threading.Thread(target=process.serve_until_told, daemon=True)
        thread.start()
        assert ready.wait(30)
        try:
            yield server
        finally:
            process.should_exit = True
            thread.join(30)
            assert not thread.is_alive()


def client(server, key="none", **settings):
    """The official client of a server."""
    return OpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=0, timeout=60, **settings)


def chat(server, prompt=SUM, **settings):
    """An answer to one prompt, by the official client."""
    settings = {"max_tokens": 32, **settings}
    messages = [{"role": "user", "content": prompt}]
    return client(server).chat.completions.create(model="tiny", messages=messages, **settings)


def turn(model, text):
    """A user's turn as the text that the model continues."""
    messages = [{"role": "user", "content": text}]
    return model.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)


def eventually(holds, seconds=20):
    """Wait until something holds."""
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, "it never came about"
        time.sleep(0.01)


class Slow(DenoiserAround):
    """A denoiser that takes its time, or waits until it is let go."""

    def __init__(self, inner, seconds=0.0):
        super().__init__(inner)
        self.seconds, self.calls, self.open = seconds, 0, threading.Event()
        self.open.set()

    def logits(self, canvas, **named):
        assert self.open.wait(60)
        time.sleep(self.seconds)
        self.calls += 1
        return super().logits(canvas, **named)


class Allergic(DenoiserAround):
    """A denoiser that raises, or says NaN, where a token is in the canvas."""

    def __init__(self, inner, token, nan=False):
        super().__init__(inner)
        self.token, self.nan = token, nan

    def logits(self, canvas, **named):
        found = super().logits(canvas, **named)
        bad = (canvas == self.token).any(dim=1)
        if bad.any() and not self.nan:
            raise RuntimeError("a kernel failed")
        return found.where(~bad[named["read"][0]][:, None], float("nan"))
