"""What the fuzz tests share: JSON values, edits of them, torn files, and a model to be asked."""

import copy
import os
import warnings

import torch
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from dus.denoisers import from_callable

from .conftest import byte_tokenizer

COUNT = int(os.environ.get("DUS_FUZZ", "100"))
fuzz = settings(
    max_examples=COUNT,
    deadline=None,
    derandomize="DUS_FUZZ" not in os.environ,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 300)
    | st.sampled_from([2**31, 2**63, -(2**63) - 1, 10**400, 1e308, float("nan"), float("inf"), "", "auto", "dus"])
    | st.floats()
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def edited(draw, whole, small=False):
    """A JSON value with one to three of its parts left out, or replaced by something else."""
    whole = copy.deepcopy(whole)
    for _ in range(draw(st.integers(1, 3))):
        here = [whole]
        at = 0
        while True:
            part = here[at]
            keys = list(part) if isinstance(part, dict) else list(range(len(part))) if isinstance(part, list) else []
            inner = [key for key in keys if isinstance(part[key], dict | list) and part[key]]
            if not keys:
                return draw(values)
            if at == 0 and isinstance(part, list) and len(part) == 0:
                return draw(values)
            key = draw(st.sampled_from(keys))
            if key in inner and draw(st.booleans()):
                here, at = part, key
                continue
            if draw(st.integers(0, 3)) == 0:
                del part[key]
            else:
                new = draw(values)
                huge = isinstance(new, int | float) and not isinstance(new, bool) and abs(new) > 300
                part[key] = 7 if small and huge else new
            break
    return whole


@st.composite
def torn(draw, text):
    """The bytes of a text, now and then cut, or with a few others among them."""
    data = text.encode("utf-8", "surrogatepass")
    if draw(st.integers(0, 5)) == 0:
        at = draw(st.integers(0, len(data)))
        data = data[:at] + draw(st.binary(max_size=4)) + data[at + draw(st.integers(0, 3)) :]
    return data


def ours(call, *arguments, **named):
    """What a call gives; None where it refuses with an error of ours, and that says something."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return call(*arguments, **named)
    except ValueError as error:
        if type(error).__module__.partition(".")[0] != "dus" or not str(error).strip():
            raise
        return None


def bytes_model(template=None):
    tokenizer = byte_tokenizer(template)
    size = len(tokenizer)
    return from_callable(
        lambda canvas: torch.zeros(*canvas.shape, size), mask_token_id=1, vocab_size=size, tokenizer=tokenizer
    )
