"""Code that a checkpoint brings: whether it attends as a denoiser must, and what to say where it does not run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers

from dus.denoisers.base import DenoiserError
from dus.denoisers.model import MaskedLM

_PROBE = 128  # tokens, twice the longest block of a published block-causal model
_SEED = 0


def explained(error: Exception, folder: Path, config: dict[str, Any]) -> DenoiserError:
    """What to raise where the code that a folder brings fails, most often because transformers has changed."""
    written = config.get("transformers_version")
    told = f" (its config.json says transformers {written})" if written else ""
    said = " ".join(str(error).split())
    return DenoiserError(
        f"The code that {folder} brings{told} fails under transformers {transformers.__version__}, with "
        f"{type(error).__name__}: {said}. Code written for another version runs in an environment of its own; families "
        "known here need none."
    )


@torch.no_grad()
def check_attention(denoiser: MaskedLM, folder: Path, config: dict[str, Any]) -> None:
    """Refuse a model whose code attends causally, or in blocks, where nobody gives it another mask.

    Such a model fills in masks without looking at what stands behind them, or was trained with a mask that its own
    generation code makes and `load` does not know.

    Args:
        denoiser: The denoiser of the model that the folder's code makes.
        folder: The folder that the checkpoint lies in.
        config: The published configuration of the model.

    Raises:
        DenoiserError: Tokens of the second half of a canvas change no logits of the first; or the code fails.
    """
    length = min(_PROBE, denoiser.max_length or _PROBE) // 2 * 2
    if length < 4:
        return
    drawn = torch.Generator().manual_seed(_SEED)
    canvas, other = torch.randint(denoiser.vocab_size, (2, 1, length), generator=drawn).to(denoiser.device)
    half = length // 2
    first = torch.arange(half).to(denoiser.device)
    try:
        before = denoiser.logits(canvas, read=first)
        behind = denoiser.logits(torch.cat([canvas[:, :half], other[:, half:]], dim=1), read=first)
        if not torch.equal(before, behind):
            return
        near = denoiser.logits(torch.cat([canvas[:, :3], other[:, 3:]], dim=1), read=first[:3])
    except DenoiserError:
        raise
    except Exception as error:
        raise explained(error, folder, config) from error
    how = "causally" if torch.equal(before[:, :3], near) else "in blocks"
    raise DenoiserError(
        f"The code that {folder} ({config['model_type']}) brings attends {how} where it is given no mask: no token "
        "changes what is predicted before its block. Its masks would be filled without what follows them; wrap it by "
        "dus.denoisers.from_callable in a function that gives it the mask that it needs."
    )
