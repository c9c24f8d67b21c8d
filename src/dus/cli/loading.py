"""The model of a command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import typer

    from dus.denoisers import MaskedLM


def load_model(
    name: str | None,
    *,
    dtype: str = "auto",
    device: str = "auto",
    revision: str | None = None,
    trust: bool = False,
    quantize: str | None = None,
    compile: bool = False,
    mask_token_id: int | None = None,
) -> MaskedLM:
    """`dus.load`, with transformers' remarks switched off: what matters is raised as a `DenoiserError`.

    Raises:
        InputError: The model has no tokenizer, so that no text can be read or written.
    """
    from rich.console import Console

    from dus.cli import InputError

    with Console(stderr=True).status("starting torch"):
        from transformers.utils import logging

        from dus.denoisers import load

    logging.set_verbosity_error()
    model = load(
        name,
        dtype=dtype,
        device=device,
        revision=revision,
        trust_remote_code=trust,
        quantize=quantize,
        compile=compile,
        mask_token_id=mask_token_id,
    )
    if model.tokenizer is None:
        raise InputError(f"{name} has no tokenizer.json, so that no text can be read or written")
    return model


def load_asked(context: typer.Context) -> MaskedLM:
    """The model that a command's options ask for; what the command has no option for is left as it is.

    Raises:
        InputError: As `load_model`.
    """
    return load_model(context.params["model"], **asked(context.params))


def asked(given: dict[str, Any]) -> dict[str, Any]:
    """What a command's options, by their names, say of loading, as `load_model` takes it."""
    names = ("dtype", "device", "revision", "quantize", "compile", "mask_token_id")
    return {name: given[name] for name in names if name in given} | {"trust": given["trust_remote_code"]}


def identity_of(model: str | None, loading: dict[str, Any], *, here: bool) -> dict[str, Any]:
    """What has to be the same of all answers in a folder; where the device is not `here`, `dtype` stays as it is.

    Args:
        model: The name of the model, as `load_model` takes it.
        loading: What `asked` says.
        here: Whether the model will be on a device of this machine.
    """
    from dus.denoisers.arguments import place_of, type_name
    from dus.denoisers.files import checkpoint_folder
    from dus.evaluation.record import fingerprint

    folder = checkpoint_folder(model, loading["revision"], code=loading["trust"])
    dtype, quantize = loading["dtype"], loading["quantize"]
    name = f"{model or 'bundled'} ({quantize})" if quantize else model or "bundled"
    if here:
        dtype = type_name(dtype, place_of(loading["device"]), folder)
    found = {"name": name, "fingerprint": fingerprint(folder), "dtype": dtype}
    return found | {key: loading[key] for key in ("quantize", "mask_token_id") if loading[key] is not None}
