"""One training run in a folder.

`settings.json` and `tokenizer/` are written first, `checkpoint-N/` is what a run resumes from, `log.jsonl` what was
measured when, and `model/` the result: the averaged weights in LLaDA's format with their card.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from dus.evaluation.tasks import TASKS
from dus.lab.training import journal
from dus.lab.training.journal import newest_checkpoint, step_of
from dus.lab.training.settings import TrainingError, TrainingSettings, begin_with, save_start, stored_settings
from dus.writing.files import write

if TYPE_CHECKING:
    from dus.lab.training.trainer import DenoiserTrainer


def train(folder: Path, settings: TrainingSettings, *, resume: bool = False) -> Path:
    """Trains in `folder` until `settings.steps` and returns the folder of the exported model.

    With `resume` the newest complete checkpoint is continued, or the run begun anew where there is none yet, with the
    same batches that an unbroken run would have seen; a run that has all its steps is only exported again.

    Raises:
        TrainingError: When there is nothing to resume, when other settings than the numbers of steps differ from
            the begun run's, when a new run would write into a folder that is not empty, or when this machine lacks
            what training needs.
    """
    _check_machine(settings)
    checkpoint = newest_checkpoint(folder)
    if resume:
        _check_resumable(folder, settings, checkpoint)
        journal.cut(folder, step_of(checkpoint) if checkpoint else 0)
    elif folder.exists() and any(folder.iterdir()):
        raise TrainingError(f"{folder} is not empty: resume the run in it or name another folder")
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / "settings.json", json.dumps(asdict(settings), indent=1))
    run = prepare(folder, settings, checkpoint)
    if checkpoint is None or step_of(checkpoint) < settings.steps:
        run.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    return finish(folder, settings, run)


def _check_machine(settings: TrainingSettings) -> None:
    """What would otherwise fail in the middle of the run."""
    from dus.evaluation.sandbox import SandboxError, check

    if find_spec("accelerate") is None:
        raise TrainingError("training needs accelerate: pip install 'dus-lm[train]'")
    others = [task for task in TASKS if not TASKS[task].runs_code]
    if any(TASKS[task].runs_code for task in settings.tasks):
        try:
            check()
        except SandboxError as error:
            raise TrainingError(f"{error}; without programs: --task {','.join(others)}") from None


def _check_resumable(folder: Path, settings: TrainingSettings, checkpoint: Path | None) -> None:
    if checkpoint and step_of(checkpoint) > settings.steps:
        raise TrainingError(f"{checkpoint.name} in {folder} is already past {settings.steps} steps")
    stored = stored_settings(folder)
    if checkpoint is None and stored.start and newest_checkpoint(Path(stored.start)) is None:
        raise TrainingError(f"the run in {folder} begins with the one in {stored.start}, and no checkpoint is there")
    for name in ("seed", "tasks", "shares", "size", "tokens_per_batch", "start"):
        if getattr(stored, name) != getattr(settings, name):
            raise TrainingError(f"the run in {folder} has {name} {getattr(stored, name)}: it cannot change")


def prepare(folder: Path, settings: TrainingSettings, checkpoint: Path | None) -> DenoiserTrainer:
    """The trainer of a run, at its beginning or at a checkpoint."""
    from transformers import AutoTokenizer

    from dus.lab.training import data, measure, model, tokenizer, trainer

    words = folder / "tokenizer"
    if not checkpoint:
        tokenizer.build(settings.tasks).save_pretrained(words)
    vocabulary = AutoTokenizer.from_pretrained(words)
    network = model.build(settings.size, vocabulary, settings.seed)
    run = trainer.DenoiserTrainer(
        model=network,
        args=_arguments(folder, settings),
        train_dataset=data.Batches(
            vocabulary,
            seed=settings.seed,
            start=step_of(checkpoint) if checkpoint else 0,
            tokens_per_batch=settings.tokens_per_batch,
            curriculum=data.Curriculum.of(settings.tasks, settings.shares, begun=settings.start is not None),
        ),
        data_collator=_the_batch,
        warmup=settings.warmup,
        decay=settings.decay,
        matrix_lr=settings.matrix_lr,
        other_lr=settings.other_lr,
    )
    if checkpoint:
        run.average.load(checkpoint)
    elif settings.start:
        save_start(folder, begin_with(run, Path(settings.start), vocabulary, settings.seed))
    run.add_callback(measure.Journal(folder))
    run.add_callback(measure.Probing(run, measure.Probe(vocabulary, settings.tasks), settings.probe_every))
    run.add_callback(measure.Trying(run, vocabulary, settings.tasks, settings.try_every, settings.tried))
    return run


def finish(folder: Path, settings: TrainingSettings, run: DenoiserTrainer) -> Path:
    """Exports the averaged weights to `folder/model`, with a card that tells how well they answer."""
    from transformers import AutoTokenizer

    from dus.denoisers import load
    from dus.lab.training import card
    from dus.lab.training.measure import judge_all
    from dus.lab.training.model import as_checkpoint, save_checkpoint

    vocabulary = AutoTokenizer.from_pretrained(folder / "tokenizer")
    with run.average.swapped_into(run.model) as network:
        model = as_checkpoint(network, vocabulary)
    with TemporaryDirectory() as scratch:  # the model is judged as it will be loaded
        save_checkpoint(model, Path(scratch) / "model", "")
        judged = load(Path(scratch) / "model")
        verdicts = list(judge_all(judged, settings.tasks, settings.judged_levels, settings.judged))
    text = card.write(folder, settings, model.model.num_parameters(), len(vocabulary), verdicts)
    save_checkpoint(model, folder / "model", text)
    return folder / "model"


def _the_batch(batches: list[dict[str, Any]]) -> dict[str, Any]:
    """The data set gives whole batches, so the Trainer's batches hold one."""
    return batches[0]


def _arguments(folder: Path, settings: TrainingSettings) -> Any:
    import torch
    from transformers import TrainingArguments

    from dus.denoisers.arguments import fast_type

    accelerator = torch.accelerator.current_accelerator(check_available=True)
    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=settings.steps,
        per_device_train_batch_size=1,
        bf16=fast_type(accelerator.type if accelerator else "cpu") is torch.bfloat16,
        use_cpu=accelerator is None,
        max_grad_norm=1.0,
        logging_steps=settings.log_every,
        logging_first_step=True,
        save_steps=settings.save_every,
        save_total_limit=3,
        ignore_data_skip=True,
        dataloader_pin_memory=False,
        remove_unused_columns=False,
        report_to=[],
        disable_tqdm=not sys.stderr.isatty(),
        seed=settings.seed,
    )
    arguments._n_gpu = 1  # a batch is whole and the network no `DataParallel`: of several GPUs the first
    return arguments
