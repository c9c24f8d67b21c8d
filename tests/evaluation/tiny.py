"""A denoiser whose every answer is a pure integer function of a row, and questions about nothing."""

from dataclasses import asdict, dataclass

import torch

from dus.denoisers import from_callable
from dus.evaluation.cells import Cell, grid
from dus.evaluation.engine import Local
from dus.evaluation.report.results import sections
from dus.evaluation.store import Outcome, Store
from dus.evaluation.sweep import sweep

MASK, END, LETTERS = 0, 1, "abcdefghij"


class Letters:
    """A tokenizer of single letters; 0 is the mask, 1 the end."""

    chat_template = None

    def __call__(self, text):
        return {"input_ids": [LETTERS.index(letter) + 2 for letter in text]}

    def decode(self, ids, skip_special_tokens=True):
        return "".join(LETTERS[i - 2] for i in ids if i > END)


def mixed(value):
    for factor in (-4658895280553007687, -7723592293110705685):
        value = (value ^ (value >> 29)) * factor
    return value ^ (value >> 32)


def tiny():
    """Logits drawn anew for each row of tokens, position and token: no rounding can differ between batches."""
    vocab = len(LETTERS) + 2

    def fn(canvas):
        column = torch.arange(canvas.shape[1])
        row = mixed(canvas * 1_000_003 + column * 7_919).sum(dim=1)[:, None, None]
        bits = mixed(row + mixed(column * 104_729)[:, None] + torch.arange(vocab) * 611_953)
        return ((bits & 0xFFFFFF).double() / 2**24 * 8).float()

    return from_callable(fn, mask_token_id=MASK, vocab_size=vocab, tokenizer=Letters(), eos_token_ids=(END,))


@dataclass(frozen=True)
class Asked:
    """`Questions` whose answers are right where they hold an even number of a's."""

    prompts: list[str]
    name: str = "letters"
    chat: bool = False
    max_new_tokens: int = 12
    stop: tuple[str, ...] = ()
    unit: str = "right"
    runs_code: bool = False

    def score(self, index, text):
        return float(text.count("a") % 2 == 0)

    def expected(self, index):
        return None


def asked(count=11, **fields):
    """Prompts of different lengths, in no order of length."""
    return Asked([LETTERS[: 1 + (7 * n) % 5] + LETTERS[n % 10] for n in range(count)], **fields)


def swept(folder, *planners, questions=None, engine=None, **settings):
    """A finished sweep of a grid: its store and its outcomes by cell."""
    questions = questions or asked()
    settings = {"block_lengths": [4, 8], "batch_size": 4, **settings}
    cells = grid([questions], planners=planners or ["dus", "confidence(like=dus)"], **settings)
    store = Store(folder)
    store.begin({"name": "tiny"}, {"command": "dus eval"})
    found = list(sweep(engine or Local(tiny), [questions], cells, store))
    return store, {outcome.cell: outcome for outcome in found}


class Counting:
    """An engine that notes which shards it was given, and breaks down before the n-th."""

    def __init__(self, until=None):
        self.engine, self.given, self.until = Local(tiny), [], until

    def answers(self, shards):
        for shard in shards:
            if self.until is not None and len(self.given) == self.until:
                raise KeyboardInterrupt
            self.given.append((shard.cell, shard.number))
            yield from self.engine.answers([shard])


SCORED = Cell("letters", "0" * 16, 4, "dus", 16, 12)
COUNTS = {"nfe": 4, "useful": 8, "written": 12, "distance": 30, "pairs": 5, "isolated": 6, "unmasked": 12}


def outcome(planner, scores, unit="right", seconds=(1.0,), counts=(), chat=None, **cell):
    """An outcome with these scores; each sample's counts are `COUNTS` but for those given as a list."""
    samples = [
        {"index": n, "prompt": str(n), "answer": None, "text": "", "score": score, **COUNTS}
        for n, score in enumerate(scores)
    ]
    for name, values in dict(counts).items():
        for sample, value in zip(samples, values, strict=True):
            sample[name] = value
    fields = {**asdict(SCORED), "planner": planner, "problems": len(samples), **cell}
    return Outcome(Cell(**fields), unit, samples, list(seconds), chat)


def only(outcomes):
    (section,) = sections(outcomes)
    return section
