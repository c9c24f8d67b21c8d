"""Arguments in all the forms in which lm-eval hands them over."""

import inspect
import logging
from dataclasses import fields, replace

import pytest
from lm_eval._cli.utils import key_val_to_dict
from lm_eval.utils import simple_parse_args_string

from dus.decoding import GenerationError, Settings
from dus.denoisers import load
from dus.evaluation.harness.arguments import Arguments, HarnessError
from dus.planners import PlannerError, parse

TEXT = (
    "planner=eb(gamma=2) | spaced(gap=8),block_length=16,max_new_tokens=64,cache=none,temperature=0.5,top_p=none,"
    "top_k=5,seed=-1,cfg_scale=1,suppress_tokens=2;3,defer_tokens=4,mc_samples=16,check_greedy=false,batch_size=8,dtype=float32"
)
PLANNERS = [
    "dus",
    "eb(gamma=2) | spaced(gap=8)",
    "dus(base=4;order=random)",
    "confidence(like=dus(base=4;order=random)) | deferred(threshold=0.3)",
    "remdm(steps=5; seed=1)",
]


def test_a_string_a_dictionary_and_the_command_line_say_the_same():
    given = {
        "planner": "eb(gamma=2) | spaced(gap=8)",
        "block_length": 16,
        "max_new_tokens": 64,
        "cache": None,
        "temperature": 0.5,
        "top_p": None,
        "top_k": 5,
        "seed": -1,
        "cfg_scale": 1.0,
        "suppress_tokens": [2, 3],
        "defer_tokens": [4],
        "mc_samples": 16,
        "check_greedy": False,
        "batch_size": 8,
        "dtype": "float32",
    }
    arguments = Arguments.read(given)
    assert Arguments.read(simple_parse_args_string(TEXT)) == arguments
    on_command_line = Arguments.read(key_val_to_dict(TEXT))
    assert on_command_line.cache == arguments.cache == "none"
    assert Arguments.read({}).cache is None
    assert on_command_line.settings({}) == arguments.settings({})
    settings = arguments.settings({})
    assert (settings.rule, settings.seed, settings.top_p, settings.cache) == (parse(PLANNERS[1]), -1, None, "none")


@pytest.mark.parametrize("planner", PLANNERS)
def test_planner_texts_survive_the_string_and_the_command_line(planner):
    for found in (simple_parse_args_string, key_val_to_dict):
        arguments = Arguments.read(found(f"block_length=8,planner={planner},seed=1"))
        assert arguments.settings({}).rule == parse(planner)
        assert (arguments.block_length, arguments.seed) == (8, 1)
    written = str(parse(planner)).replace(",", ";")
    assert Arguments.read(simple_parse_args_string(f"planner={written}")).settings({}).rule == parse(planner)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "blok_length=8",
            r"no argument 'blok_length' \(did you mean 'block_length'\?\); known are pretrained, planner,",
        ),
        ("planner=dus(base=4,order=random)", "no argument 'order'.* separate the fields of a planner by ';'"),
        ("block_length=8.5", r"block_length is 8.5, but has to be a whole number, auto, or auto\(bits=8;longest=32\)"),
        ("compile=3", "compile is 3, but has to be true, false, or a mode of torch.compile"),
        ("block_length=true", "block_length is True, but has to be a whole number"),
        ("temperature=warm", "temperature is 'warm', but has to be a number"),
        ("check_greedy=perhaps", "check_greedy is 'perhaps', but has to be true or false"),
        ("suppress_tokens=2;b", "suppress_tokens is '2;b', but has to be token ids, as in 2;3"),
        ("batch_size=0", "batch_size is 0, but has to be a whole number above 0, or auto"),
        ("batch_size=automatic", "batch_size is 'automatic'"),
        ("mc_samples=0", "mc_samples is 0, at least 1 is needed"),
        ("max_length=1", "max_length is 1, at least 2 is needed"),
    ],
)
def test_what_cannot_be_meant_is_said_in_a_sentence(text, problem):
    with pytest.raises(HarnessError, match=problem):
        Arguments.read(simple_parse_args_string(text))


def test_bad_settings_of_the_decoding_are_found_before_a_model_is_loaded():
    with pytest.raises(PlannerError, match="no planner is named 'duss'"):
        Arguments.read({"planner": "duss"})
    with pytest.raises(GenerationError, match="cache is 'most'"):
        Arguments.read({"cache": "most"})


@pytest.mark.parametrize(
    ("asked", "settings"),
    [
        ({}, {"temperature": 0.0, "max_new_tokens": 256, "stops": (), "seed": 0, "scores": False}),
        ({"until": "a"}, {"stops": ("a",)}),
        ({"until": ["a", "", "b"]}, {"stops": ("a", "b")}),
        ({"until": None}, {"stops": ()}),
        ({"do_sample": True}, {"temperature": 1.0}),
        ({"do_sample": True, "temperature": 0.2, "top_p": 0.95}, {"temperature": 0.2, "top_p": 0.95}),
        ({"do_sample": False, "temperature": 0.8}, {"temperature": 0.0}),
        ({"temperature": 0.7}, {"temperature": 0.7}),
        ({"temperature": 0}, {"temperature": 0.0}),
        ({"max_gen_toks": 50}, {"max_new_tokens": 50}),
        ({"max_gen_toks": 50, "max_new_tokens": 8}, {"max_new_tokens": 8}),
        ({"max_new_tokens": 8, "until": [], "max_gen_toks": 50}, {"max_new_tokens": 50}),
        ({"max_new_tokens": 40}, {"max_new_tokens": 40}),
        ({"max_tokens": "30", "num_beams": 1}, {"max_new_tokens": 30}),
        ({"block_length": "8", "cache": "dual", "suppress_tokens": [1]}, {"block_length": 8, "cache": "dual"}),
    ],
)
def test_what_a_request_asks_for(asked, settings):
    found = Arguments().settings(asked)
    assert {name: getattr(found, name) for name in settings} == settings


def test_what_a_request_cannot_ask_for():
    with pytest.raises(HarnessError, match="'repetition_penalty' is asked for in gen_kwargs, which here are until, "):
        Arguments().settings({"repetition_penalty": 1.2})
    with pytest.raises(HarnessError, match="there are no beams here"):
        Arguments().settings({"num_beams": 10})
    with pytest.raises(HarnessError, match="top_k is 'few'"):
        Arguments().settings({"top_k": "few"})


def test_an_argument_holds_for_every_request_and_says_so_where_it_matters(caplog):
    log = logging.getLogger("lm_eval.models.dus")
    log.addHandler(caplog.handler)
    arguments = Arguments.read({"max_new_tokens": 128, "temperature": 0.4})
    settings = arguments.settings({"max_gen_toks": 1024, "until": ["a"], "block_length": 16})
    log.removeHandler(caplog.handler)
    assert (settings.max_new_tokens, settings.temperature, settings.block_length) == (128, 0.4, 16)
    assert "max_new_tokens is 128 for every request, where 1024 is asked for too" in caplog.text
    assert "temperature" not in caplog.text


def test_every_argument_says_how_to_load_or_how_to_decode_or_is_the_models_own():
    arguments = Arguments.read({"device": "cpu", "revision": 12, "trust_remote_code": "True", "device_map": "auto"})
    assert arguments.loading == {
        "device": "cpu",
        "dtype": "auto",
        "revision": "12",
        "trust_remote_code": True,
        "device_map": "auto",
    }


def test_what_load_takes_is_handed_to_it():
    text = "quantize=int8,compile=true,peft=some/adapter,dtype=float32"
    loading = {"device": "auto", "trust_remote_code": False, "dtype": "float32", "quantize": "int8", "compile": True}
    for found in (simple_parse_args_string, key_val_to_dict):
        assert Arguments.read(found(text)).loading == {**loading, "adapter": "some/adapter"}
    assert Arguments.read({"compile": "reduce-overhead"}).loading["compile"] == "reduce-overhead"


def test_block_lengths_may_be_chosen():
    for text in ("block_length=auto", "block_length=auto(bits=8;longest=16)"):
        settings = Arguments.read(simple_parse_args_string(text)).settings({})
        assert settings.auto is not None
    assert Arguments().settings({"block_length": "auto(bits=8,longest=16)"}) == replace(
        settings, block_length="auto(bits=8,longest=16)"
    )


def test_every_argument_of_load_and_of_decoding_is_one_here():
    names = {field.name for field in fields(Arguments)}
    here = {"planner", "stop", "scores"}  # stop strings are a task's
    assert {field.name for field in fields(Settings) if field.init} - here <= names
    loading = set(inspect.signature(load).parameters) - {"path_or_hub_id", "model_kwargs", "adapter", "pack"}
    assert loading <= names


def test_an_argument_without_effect_is_told_of(caplog):
    given = {"top_p": 0.5, "top_k": 3, "defer_tokens": "4"}
    Arguments.read(given).settings({"temperature": 1.0, "do_sample": True})
    assert [record.message.split()[0] for record in caplog.records] == ["defer_tokens"]
    Arguments.read(given).settings({"until": ["a"]})
    Arguments.read({"planner": "confidence"}).settings({"until": ["a"], "top_p": 0.5})
    assert {record.message.split()[0] for record in caplog.records} == {"defer_tokens", "top_p", "top_k"}
