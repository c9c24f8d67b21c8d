"""What other programs call the arguments of generation and loading: so that an error can say what is right here."""

from __future__ import annotations

NAMES = {
    **dict.fromkeys(
        (
            "gen_length",
            "gen_len",
            "generation_length",
            "max_gen_len",
            "max_gen_toks",
            "max_tokens",
            "max_output_tokens",
        ),
        "max_new_tokens",
    ),
    **dict.fromkeys(("block_size", "block_len", "blocklength"), "block_length"),
    **dict.fromkeys(("cfg", "guidance_scale", "classifier_free_guidance"), "cfg_scale"),
    **dict.fromkeys(("mask_id", "mask_token", "mask_index"), "mask_token_id"),
    **dict.fromkeys(("use_cache", "dual_cache", "prefix_cache", "kv_cache", "cache_mode"), "cache"),
    **dict.fromkeys(("torch_dtype", "precision"), "dtype"),
    **dict.fromkeys(("model_path", "model_name", "model_name_or_path", "model_id"), "pretrained"),
    **dict.fromkeys(("mc_num", "mc_iterations"), "mc_samples"),
    **dict.fromkeys(("is_check_greedy",), "check_greedy"),
    **dict.fromkeys(("until", "stop_sequences", "stop_strings"), "stop"),
    **dict.fromkeys(("load_in_8bit", "quantization"), "quantize"),
    **dict.fromkeys(("prompt", "input_ids", "inputs", "messages"), "prompts"),
    **dict.fromkeys(("num_return_sequences", "num_samples"), "samples"),
    **dict.fromkeys(("do_sample",), "temperature"),
}
"""For names of other programs those of the same thing here."""
PLANNERS = {
    **dict.fromkeys(("steps", "diffusion_steps", "num_steps", "num_inference_steps"), "confidence(steps=8)"),
    **dict.fromkeys(("remasking", "alg", "algorithm", "sampler", "scheduler", "strategy"), "confidence"),
    **dict.fromkeys(("threshold", "confidence_threshold"), "cb(tau=0.9)"),
    **dict.fromkeys(("factor",), "factor"),
}
"""For what a planner says here, one that says it."""


def meant(name: str, known: dict[str, str] | None = None) -> str:
    """What an unknown argument is called here, as the end of a sentence; empty where nobody knows.

    Args:
        name: The name as it was given, on a command line or in Python.
        known: For the names here what they are called where this is said; None leaves them as they are.
    """
    plain = name.lstrip("-").replace("-", "_").lower()
    if plain in PLANNERS:
        return f"it is the planner's: {(known or {}).get('planner', 'planner')}={PLANNERS[plain]}, say"
    if plain not in NAMES:
        return ""
    right = NAMES[plain]
    return f"it is called {(known or {}).get(right, right)} here"
