"""Names that other programs use are answered with those used here, each of which there is."""

import inspect

import pytest
from lm_eval.utils import simple_parse_args_string

import dus
from dus.evaluation.harness.arguments import Arguments, HarnessError
from dus.writing.synonyms import NAMES, PLANNERS, meant


def test_what_is_named_exists():
    known = {*inspect.signature(dus.generate).parameters, *inspect.signature(dus.load).parameters}
    known |= {"pretrained", *Arguments.__dataclass_fields__}
    assert set(NAMES.values()) <= known
    for text in PLANNERS.values():
        dus.parse(text)


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("gen_length=64", "it is called max_new_tokens here"),
        ("mask_id=3", "it is called mask_token_id here"),
        ("steps=8", r"planner=confidence\(steps=8\), say"),
        ("alg=entropy", "planner="),
    ],
)
def test_the_harness_names_what_is_meant(text, right):
    with pytest.raises(HarnessError, match=right):
        Arguments.read(simple_parse_args_string(text))
    with pytest.raises(HarnessError, match=right):
        Arguments().settings(simple_parse_args_string(text))


def test_nobody_knows_the_rest():
    assert meant("--beam-width") == ""
    assert meant("--gen-length", {"max_new_tokens": "--max-new-tokens"}) == "it is called --max-new-tokens here"
