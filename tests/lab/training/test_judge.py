import shlex
from statistics import fmean

import pytest
import torch

from dus.cli import main
from dus.denoisers import Denoiser
from dus.denoisers.columns import take
from dus.evaluation.intervals import Accuracy
from dus.evaluation.store import Store
from dus.evaluation.tasks import TASKS
from dus.lab.training import measure as judge


class Oracle(Denoiser):
    """A denoiser that is sure of the right solution of every held-out problem it knows."""

    def __init__(self, tokenizer, right):
        from dus.lab.training.data import Encoder

        self.tokenizer, self.right = tokenizer, right
        self.mask_token_id, self.vocab_size = tokenizer.mask_token_id, len(tokenizer)
        self.eos_token_ids, self.max_length, self.device = (tokenizer.eos_token_id,), None, torch.device("cpu")
        rows = Encoder(tokenizer).problems([(p.question, p.solution) for p in right])
        self.rows = {tuple(row.tokens[: row.maskable.index(True)]): row.tokens for row in rows}

    def logits(self, canvas, *, read, attention_mask=None, cache=None):
        out = torch.zeros(*canvas.shape, self.vocab_size)
        for n, tokens in enumerate(canvas.tolist()):
            start = tokens.index(self.tokenizer.convert_tokens_to_ids("<|user|>"))
            prompt = tuple(tokens[start : tokens.index(self.tokenizer.convert_tokens_to_ids("<|assistant|>")) + 1])
            known = self.rows.get(prompt, [])
            for position in range(start, len(tokens)):
                wanted = known[position - start] if position - start < len(known) else self.tokenizer.eos_token_id
                out[n, position, wanted] = 20.0
        return take(out, read)


@pytest.mark.parametrize("level", [1, 3])
def test_a_verdict_counts_the_problems_that_are_solved(vocabulary, level):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(vocabulary)
    problems = TASKS["arithmetic"].held_out(level)[:4]
    found = judge.judge(Oracle(tokenizer, problems[:3]), TASKS["arithmetic"], level, 4)
    assert sum(found.scores) == 3
    assert str(found).endswith("3 of 4)")


def test_the_command_on_the_card_comes_to_what_it_says(finished, tmp_path):
    card = (finished / "model" / "README.md").read_text()
    [command] = [line for line in card.splitlines() if line.startswith("    dus eval")]
    known = command.replace("DIR/model", str(finished / "model")).replace("results/card", str(tmp_path / "again"))
    assert main(shlex.split(known)[1:]) == 0
    outcomes = list(Store(tmp_path / "again").outcomes())
    assert {outcome.cell.questions for outcome in outcomes} == {f"{name}, level 1" for name in TASKS}
    for outcome in outcomes:
        mean = fmean(sample["score"] for sample in outcome.samples)
        said = f"{mean:.3f} ± " if outcome.unit == "nats" else f"{mean:.1%} ("
        assert f"| {outcome.cell.questions.replace(', level', ' |')} | {said}" in card


@pytest.mark.parametrize("level", [1, 2, 3])
@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_every_solution_fits_in_the_answer(vocabulary, task, level):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(vocabulary)
    solutions = [problem.solution for problem in task.held_out(level, 2000)]
    assert max(len(ids) for ids in tokenizer(solutions)["input_ids"]) < task.answer_tokens[level]


def test_wilsons_interval():
    low, high = Accuracy(450, 500).interval()
    assert (low, high) == pytest.approx((0.8706, 0.9234), abs=2e-4)
    assert Accuracy(0, 10).interval()[0] == 0.0
    assert str(Accuracy(1, 2)).startswith("50.0% (")
