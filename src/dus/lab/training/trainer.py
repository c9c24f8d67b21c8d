"""transformers' Trainer with the masked-diffusion loss, Muon, a trapezoid schedule and averaged weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import LambdaLR
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from dus.lab.training.model import masked_logits
from dus.lab.training.optimizer import MuonAdamW, trapezoid

AVERAGE_NAME = "average.safetensors"


class Average(TrainerCallback):
    """The exponential moving average of the weights; it is what is measured and exported.

    The decay is min(`decay`, (1 + steps) / (10 + steps)), so that the random beginning is forgotten quickly.
    """

    def __init__(self, model: nn.Module, decay: float = 0.997) -> None:
        self.decay = decay
        self.weights = {name: p.detach().clone() for name, p in model.named_parameters()}

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, *, model: nn.Module, **_: Any
    ) -> None:
        """Moves the average towards the weights."""
        decay = min(self.decay, (1 + state.global_step) / (10 + state.global_step))
        torch._foreach_lerp_(list(self.weights.values()), [p.detach() for p in model.parameters()], 1 - decay)

    @contextmanager
    def swapped_into(self, model: Any) -> Iterator[Any]:
        """The model with the averaged weights, for as long as the context lasts."""
        parameters = [p.data for p in model.parameters()]
        trained = [p.clone() for p in parameters]
        torch._foreach_copy_(parameters, list(self.weights.values()))
        try:
            yield model
        finally:
            torch._foreach_copy_(parameters, trained)

    def save(self, folder: Path) -> None:
        """Writes `average.safetensors` into a checkpoint folder."""
        save_file({name: w.contiguous() for name, w in self.weights.items()}, folder / AVERAGE_NAME)

    def load(self, folder: Path) -> None:
        """Reads what `save` wrote."""
        for name, w in load_file(folder / AVERAGE_NAME).items():
            self.weights[name].copy_(w)


class DenoiserTrainer(Trainer):
    """Trains on batches of `dus.lab.training.data.Batches`."""

    def __init__(self, *, warmup: int, decay: int, matrix_lr: float, other_lr: float, **options: Any) -> None:
        self.warmup, self.decay = warmup, decay
        self.matrix_lr, self.other_lr = matrix_lr, other_lr
        super().__init__(**options)
        self.model_accepts_loss_kwargs = False
        self.average = Average(self.model)
        self.add_callback(self.average)

    def compute_loss(self, model: Any, inputs: dict[str, Tensor], return_outputs: bool = False, **_: Any) -> Any:
        """The weighted cross-entropy at the masked positions, `data.masks` gives the weights and the equation."""
        tokens, masked, weights = inputs["tokens"], inputs["masked"], inputs["weights"]
        with self.accelerator.autocast():
            logits = masked_logits(model, tokens, masked)
        losses = cross_entropy(logits.float(), tokens[masked], reduction="none")
        loss = (losses * weights[masked]).sum()
        return (loss, {"logits": logits}) if return_outputs else loss

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """Muon and AdamW."""
        self.optimizer = MuonAdamW(model or self.model, matrix_lr=self.matrix_lr, other_lr=self.other_lr)
        return self.optimizer

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> LambdaLR:
        """The trapezoid that ends at `num_training_steps`."""
        self.lr_scheduler = LambdaLR(
            optimizer or self.optimizer,
            lambda step: trapezoid(step, warmup=self.warmup, steps=num_training_steps, decay=self.decay),
        )
        return self.lr_scheduler

    def note(self, found: dict[str, float]) -> None:
        """Logs measurements in the middle of a step, whose own log entry still follows if it is due."""
        due = self.control.should_log
        self.log(found)
        self.control.should_log = due

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Tensor] | None = None) -> None:
        super()._save(output_dir, state_dict)
        self.average.save(Path(output_dir or self.args.output_dir))
