"""The bridge to lm-evaluation-harness: importing it makes the model `dus` known to lm-eval.

    import dus.evaluation.harness

    lm_eval.simple_evaluate(model="dus", model_args="planner=dus,block_length=32", tasks=["gsm8k"])

`Arguments` describes what `model_args` may hold.
"""

from lm_eval.api.registry import model_registry

# Later releases of lm-eval find the model by its entry point, and take no second registration.
if "dus" not in model_registry:
    model_registry.register("dus", target="dus.evaluation.harness.model:DusLM")
