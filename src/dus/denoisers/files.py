"""What lies in a checkpoint's folder, looked at before anything is read from it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

from huggingface_hub import close_session, snapshot_download

from dus.denoisers.base import DenoiserError

BUNDLED = ("bundled", "bundled-dream")
"""Checkpoints that come along, in the formats of LLaDA and of Dream."""
_PICKLES = ("*.bin", "*.pt", "*.pth")
_FETCHED = ("*.json", "*.safetensors", "*.txt", "*.model", "*.jinja")
_HUB_ID = r"\w[\w.-]*(/\w[\w.-]*)?"


def checkpoint_folder(
    path: str | os.PathLike[str] | None,
    revision: str | None = None,
    code: bool = False,
    *,
    subfolder: str = "",
    token: str | bool | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    local_files_only: bool = False,
    force_download: bool = False,
    proxies: Mapping[str, str] | None = None,
) -> Path:
    """The local folder of a checkpoint.

    Args:
        path: A folder; or "bundled", which None is too, or "bundled-dream"; or a hub id, which is fetched without its
            pickles.
        revision: The branch, tag or commit of a hub id.
        code: Fetch its Python files too.
        subfolder: Where in the folder, or in the hub's repository, the checkpoint lies.
        token, cache_dir, local_files_only, force_download: Arguments of the hub's client.
        proxies: Addresses by the kind of request, `{"https": "http://proxy:8080"}`, for fetching this checkpoint.

    Raises:
        DenoiserError: There is no such folder, the hub does not give it out, or something is said that only a hub id
            has.
    """
    here = _here(path)
    if here is not None:
        for name, value in (("revision", revision), ("force_download", force_download)):
            if value:
                raise DenoiserError(f"{name}={value!r} is of a hub id, and {here} is a folder: leave it out.")
        return _inside(here, subfolder)
    try:
        patterns = [*_FETCHED, "*.py"] if code else [*_FETCHED]
        if subfolder:
            patterns = [f"{subfolder.strip('/')}/{pattern}" for pattern in patterns]
        with _through(proxies or {}):
            fetched = snapshot_download(
                str(path),
                revision=revision,
                allow_patterns=patterns,
                token=token,
                cache_dir=None if cache_dir is None else Path(cache_dir),
                local_files_only=local_files_only,
                force_download=force_download,
            )
    except DenoiserError:
        raise
    except Exception as error:  # the hub client's errors have no common base
        reason = str(error).strip().splitlines()[0]
        raise DenoiserError(
            f"{path} is neither a folder here nor a model that the Hugging Face hub gives out: {reason}"
        ) from error
    return _inside(Path(fetched), subfolder)


def _here(path: str | os.PathLike[str] | None) -> Path | None:
    """The folder that a path or the name of a bundled model means; None where it can only be a hub id."""
    folder = Path(path or BUNDLED[0]).expanduser()
    if path is not None and folder.is_dir():
        return folder
    if path is None or path in BUNDLED:
        bundled = Path(str(resources.files("dus") / "assets" / folder))
        if not bundled.is_dir():
            raise DenoiserError("This installation lacks the bundled model: name a folder or a hub id.")
        return bundled
    if folder.exists():
        raise DenoiserError(f"{path} is a file: name the folder that holds config.json and the weights.")
    if not isinstance(path, str) or not re.fullmatch(_HUB_ID, path):
        raise DenoiserError(f"There is no folder {path}.")
    return None


def _inside(folder: Path, subfolder: str) -> Path:
    if subfolder and not (folder / subfolder).is_dir():
        raise DenoiserError(f"{folder} has no folder {subfolder} in it.")
    return folder / subfolder


@contextmanager
def _through(proxies: Mapping[str, str]) -> Iterator[None]:
    """The hub's client behind proxies, which it reads in the environment when it is made."""
    if unknown := sorted(proxies.keys() - {"http", "https", "all"}):
        raise DenoiserError(f"proxies are of 'http', 'https' and 'all', not of {unknown[0]!r}.")
    names = {f"{kind}_proxy": address for kind, address in proxies.items()}
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(names)
    try:
        if names:
            close_session()
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})
        if names:
            close_session()


def read_config(folder: Path) -> dict[str, Any]:
    """`config.json`, which names at least its `model_type`.

    Raises:
        DenoiserError: It is missing, broken, or names none.
    """
    file = folder / "config.json"
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DenoiserError(f"{folder} has no config.json: it is not a checkpoint.") from None
    except ValueError as error:
        raise DenoiserError(f"{file} is not valid JSON: {error}.") from error
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        raise DenoiserError(f"{file} names no model_type.")
    return config


def check_weights(folder: Path) -> int:
    """Bytes of safetensors in the folder.

    Raises:
        DenoiserError: There are none; where there are pickles instead, it says how to convert them.
    """
    weights = list(folder.glob("*.safetensors"))
    if weights:
        return sum(file.stat().st_size for file in weights)
    pickles = sorted(file.name for pattern in _PICKLES for file in folder.glob(pattern))
    if not pickles:
        raise DenoiserError(f"{folder} has no weights: no *.safetensors file.")
    raise DenoiserError(
        f"{folder} has its weights in {pickles[0]}, a pickle, and reading one can run any code; if you trust it, "
        f"convert it once with safetensors.torch.save_file(torch.load({pickles[0]!r}, weights_only=True), "
        "'model.safetensors', metadata={'format': 'pt'})."
    )


def some(names: Iterable[str]) -> str:
    """The first few of many names, for a sentence."""
    listed = sorted(names)
    more = f" and {len(listed) - 3} more" if len(listed) > 3 else ""
    return ", ".join(listed[:3]) + more
