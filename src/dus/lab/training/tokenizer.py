"""The bundled model's tokenizer: byte-level BPE whose numbers below 100 are single tokens.

Digits are split off first, in pairs from the right (144 is 1|44), and a space before a digit belongs to what stands
before it (`" + "`), so a number has one token wherever it stands. Any text round-trips.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from dus.evaluation.tasks import LEVELS, TASKS

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

VOCAB_SIZE = 2048
PROBLEMS_PER_LEVEL = 6000
"""Of each task, in the text that the merges are learned from."""

EOS, MASK, USER, ASSISTANT = "<|endoftext|>", "<|mask|>", "<|user|>", "<|assistant|>"
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
_PIECES = "|".join(
    (
        r"[0-9]{1,2}(?=(?:[0-9]{2})*(?![0-9]))",  # pairs of digits, from the right
        r" ?\p{L}+(?: (?=[0-9]))?",  # a word
        r" ?[^\s\p{L}0-9]+(?: (?=[0-9]))?",  # signs
        r"\s+",
    )
)


def training_text(tasks: Sequence[str] = tuple(TASKS)) -> Iterator[str]:
    """The text that the merges are learned from: generated problems of the tasks, and every pair of digits."""
    for task in tasks:
        for level in LEVELS:
            for problem in islice(TASKS[task].problems(level, seed=0), PROBLEMS_PER_LEVEL):
                yield f"{problem.question}\n{problem.solution}"
    for _ in range(2000):
        yield " ".join(f"{number:02d}" for number in range(100))
        yield "2 + 2 = 4. 4 - 2 = 2. 2 * 2 = 4. 4 / 2 = 2. 2"


def build(tasks: Sequence[str] = tuple(TASKS)) -> PreTrainedTokenizerFast:
    """A tokenizer of at most `VOCAB_SIZE` tokens learned from the `training_text` of some tasks."""
    return learn(training_text(tasks), VOCAB_SIZE)


def learn(texts: Iterable[str], vocab_size: int) -> PreTrainedTokenizerFast:
    """A tokenizer of at most `vocab_size` tokens learned from `texts`."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[EOS, MASK, USER, ASSISTANT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        eos_token=EOS,
        pad_token=EOS,
        mask_token=MASK,
        extra_special_tokens=[USER, ASSISTANT],
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )
