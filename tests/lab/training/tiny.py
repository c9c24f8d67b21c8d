"""A run of a moment."""

from dus.lab.training.model import Size
from dus.lab.training.settings import TrainingSettings

TINY = TrainingSettings(
    steps=6,
    decay=2,
    size=Size(width=16, layers=2, heads=2, mlp=32, kv_heads=2),
    warmup=2,
    tokens_per_batch=512,
    log_every=1,
    save_every=3,
    probe_every=3,
    try_every=6,
    tried=1,
    judged=3,
    judged_levels=(1,),
)
