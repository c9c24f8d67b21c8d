"""The denoiser contract: tokens with masks in, logits at the positions read out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from dus.denoisers.columns import Layout

Read: TypeAlias = "Tensor | tuple[Tensor, Tensor]"
"""Which logits are wanted: int64 `[R]`, columns of every row; `[N, R]`, columns of each row's own; or a pair of int64
`[T]`, rows and their columns, for as many of each row as it needs."""


class DenoiserError(ValueError):
    """A checkpoint that cannot be loaded, or a denoiser that breaks its contract; the message says which."""


class KeyValueCache(Protocol):
    """What a denoiser asks of a cache, beside being a `transformers.Cache` (whose `get_mask_sizes` is `(L, 0)`).

    Attributes:
        layout: The canvas columns that this forward runs on. It must hold every position that is read; for a
            denoiser with shifted logits (`shift`) the position before each of them as well.
    """

    layout: Layout

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: object, **kwargs: object
    ) -> tuple[Tensor, Tensor]:
        """Write keys and values at the layout's columns, return those of all columns, `[N, heads, L, D]`.

        What comes in is `[N, heads, P, D]`, or `[1, heads, T, D]` where the layout is ragged.
        """
        ...


class Denoiser(ABC):
    """A masked diffusion language model as the engine sees it.

    Everything that the engine reads is named here, with the value that it has where a denoiser says nothing.

    Attributes:
        mask_token_id: The id that stands for "not written yet".
        vocab_size: The width V of the logits.
        block_length: None where attention reaches over the whole canvas. Else attention is block-causal: on a grid
            of blocks of so many tokens that begins at the row's first token, a position attends to every block up
            to its own, whole.
        tokenizer: A transformers tokenizer, for prompts and answers in text; None where there is none.
        eos_token_ids: The tokens that end a text or a turn.
        max_length: The longest canvas in tokens; None where there is no limit.
        device: The device that canvases belong on.
        dtype: The floating type of the logits.
        shift: How many positions before a token the row stands that predicts it inside the model: 0, or 1 for Dream.
            `logits` hides this; a cache has to know which columns are computed together.
        ragged: Whether a forward with a cache may compute other numbers of columns in one row than in the next.
    """

    mask_token_id: int
    vocab_size: int
    block_length: int | None = None
    tokenizer: Any = None
    eos_token_ids: tuple[int, ...] = ()
    max_length: int | None = None
    device: torch.device | str = "cpu"
    dtype: torch.dtype = torch.float32
    shift: int = 0
    ragged: bool = False

    @abstractmethod
    def logits(
        self,
        canvas: Tensor,
        *,
        read: Read,
        attention_mask: Tensor | None = None,
        cache: KeyValueCache | None = None,
    ) -> Tensor:
        """Float `[N, R, V]`, or `[T, V]` for a pair: the prediction for the tokens at the positions of `read`.

        Args:
            canvas: Int64 `[N, L]`, masks included.
            read: Int64 `[R]`; `[N, R]` for positions of each row's own (short rows repeat a valid index); or a pair of
                int64 `[T]`, rows and columns.
            attention_mask: Bool or int `[N, L]`, zero where nothing may attend to: at padding; None where there
                is none. Position ids count 0, 1, … from a row's first nonzero column on.
            cache: None recomputes everything. With a cache the canvas is still the whole canvas and `read` still
                names its positions, but the forward runs on the columns of `cache.layout` only, and attends to the
                keys and values that the cache returns; the layout also says which of them a row may see, and
                `attention_mask` is None. Position ids are the columns.

        The token at position i is predicted by row i of the answer whatever the family does inside.
        """

    def row_bytes(self, length: int, *, cached: bool) -> tuple[int, int]:
        """Roughly what a row of a length takes: the bytes that stay between calls, and those of a forward in passing.

        The logits that are read are not counted: the engine knows how many there are.
        """
        return 0, 0


class DenoiserAround(Denoiser):
    """A denoiser around another one, whose declared attributes it has: for whoever watches or changes what is asked.

    Args:
        inner: The denoiser; `logits` and `row_bytes` are its unless overridden.
    """

    def __init__(self, inner: Denoiser) -> None:
        self.inner = inner
        for name in Denoiser.__annotations__:
            setattr(self, name, getattr(inner, name))

    def logits(
        self,
        canvas: Tensor,
        *,
        read: Read,
        attention_mask: Tensor | None = None,
        cache: KeyValueCache | None = None,
    ) -> Tensor:
        """The inner denoiser's."""
        return self.inner.logits(canvas, read=read, attention_mask=attention_mask, cache=cache)

    def row_bytes(self, length: int, *, cached: bool) -> tuple[int, int]:
        """The inner denoiser's."""
        return self.inner.row_bytes(length, cached=cached)
