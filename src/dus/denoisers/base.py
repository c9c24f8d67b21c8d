"""The denoiser contract: tokens with masks in, logits at the positions read out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor


class DenoiserError(ValueError):
    """A checkpoint that cannot be loaded, or a denoiser that breaks its contract; the message says which."""


class KeyValueCache(Protocol):
    """What a denoiser asks of a cache, beside being a `transformers.Cache` (whose `get_mask_sizes` is `(L, 0)`).

    Attributes:
        positions: int64 `[P]`, or `[N, P]` for positions of each row's own: the canvas columns, ascending, that
            this forward runs on. It must hold every position that is read; for a family with shifted logits
            (`Checkpoint.shift`) the position before each of them as well.
    """

    positions: Tensor

    @property
    def is_initialized(self) -> bool:
        """Whether a forward has filled it."""
        ...

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: object, **kwargs: object
    ) -> tuple[Tensor, Tensor]:
        """Write keys and values `[N, heads, P, D]` at `positions`, return those of all columns `[N, heads, L, D]`."""
        ...


@runtime_checkable
class Denoiser(Protocol):
    """A masked diffusion language model as the decoding loop sees it.

    Attributes:
        mask_token_id: the id that stands for "not written yet".
        vocab_size: width V of the logits.
    """

    mask_token_id: int
    vocab_size: int

    def logits(
        self,
        canvas: Tensor,
        *,
        read: Tensor,
        attention_mask: Tensor | None = None,
        cache: KeyValueCache | None = None,
    ) -> Tensor:
        """Float `[N, R, V]`: the prediction for the tokens at the positions that `read` names.

        Args:
            canvas: int64 `[N, L]`, masks included.
            read: int64 `[R]`, or `[N, R]` for positions of each row's own (short rows repeat a valid index).
            attention_mask: bool or int `[N, L]`, zero where nothing may attend to: at padding; None where there
                is none. Position ids count 0, 1, … from a row's first nonzero column on.
            cache: None recomputes everything. With a cache the canvas is still the whole canvas and `read` still
                names its positions, but the forward runs on `canvas[:, cache.positions]` only, and attends to the
                keys and values that the cache returns, those of all L columns.

        The token at position i is predicted by row i of the answer whatever the family does inside.
        """
        ...
