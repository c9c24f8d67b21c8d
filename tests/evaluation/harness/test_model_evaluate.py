"""lm-eval's own evaluation with the model `dus`, in one process and in two, offline."""

import multiprocessing
import socket
import sys
from dataclasses import replace

import lm_eval
import pytest
from datasets import Dataset
from lm_eval.api.registry import get_model
from lm_eval.api.task import ConfigurableTask
from lm_eval.tasks import TaskManager

import dus
import dus.evaluation.harness  # makes the model known
from dus.evaluation.harness.model import DusLM

from .standins import Counter, hashed, letters, requests

QUESTIONS = ["Tom has 5 apples and buys 7 more. How many apples does Tom have now?", "What is 3 + 4?", "Add 6 and 6."]
TEXTS = ["abcab", "dd", "cbadc", "a", "acdb", "bbcc", "dda"]
PROBE = 1  # row, by which a cache knows a denoiser that came as an object


def task(name, texts, **config):
    """A task of lm-eval about these texts, their documents being `text`, `target` and `choices`."""
    docs = Dataset.from_list([{"text": text, "target": 0, "choices": ["a", "bc", "d"]} for text in texts])
    defaults = {"doc_to_text": "{{text}}", "doc_to_target": "target", "test_split": "test", "num_fewshot": 0}
    return ConfigurableTask(config={"task": name, "custom_dataset": lambda **_: {"test": docs}, **defaults, **config})


def written(texts, name="written", **kwargs):
    mean = [{"metric": "bypass", "aggregation": "bypass"}]
    return task(name, texts, output_type="generate_until", generation_kwargs=kwargs, metric_list=mean)


def evaluate(model, tasks, **kwargs):
    asked = {"bootstrap_iters": 0, "task_manager": TaskManager(include_defaults=False), **kwargs}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lm_eval.evaluator.add_env_info", lambda results: None)  # a list of all packages takes seconds
        return lm_eval.simple_evaluate(model=model, tasks=tasks, **asked)


def responses(results, name):
    samples = sorted(results["samples"][name], key=lambda sample: sample["doc_id"])
    return [[answers[0] for answers in sample["resps"]] for sample in samples]


@pytest.mark.parametrize("form", ["string", "dictionary"])
def test_simple_evaluate_knows_the_model_by_its_name(form):
    arguments = {"planner": "dus(base=4;order=random)", "block_length": 16, "max_new_tokens": 32, "dtype": "float32"}
    text = ",".join(f"{name}={value}" for name, value in arguments.items())
    results = evaluate(
        "dus",
        [written(QUESTIONS, until=["####"])],
        model_args=text if form == "string" else arguments,
        apply_chat_template=True,
        batch_size=2,
        device="cuda:0",  # as lm-eval's command line says where nobody does
    )
    planner = arguments.pop("planner")
    model = dus.load(dtype=arguments.pop("dtype"))
    expected = dus.generate(model, QUESTIONS, planner=planner, stop=["####"], seed=0, chat=True, **arguments)
    assert responses(results, "written") == [[text] for text in expected.text]
    assert results["config"]["planner"] == "dus(base=4, order=random)"
    calls = {"nfe": sum(expected.nfe) / 3, "tpf": sum(expected.useful) / sum(expected.nfe)}
    assert results["config"]["calls"] == {"written": calls}


def test_what_model_args_say_comes_before_what_lm_eval_adds():
    found = get_model("dus").create_from_arg_obj(
        {"pretrained": hashed(1), "batch_size": 4}, {"batch_size": 1, "device": None}
    )
    assert found.arguments.batch_size == 4
    assert found.device == found.denoiser.device


def tasks():
    return [
        written(TEXTS, until=["ab", "ef"], max_gen_toks=8),
        task("chosen", TEXTS, output_type="multiple_choice", doc_to_choice="choices", metric_list=[{"metric": "acc"}]),
        task(
            "rolled",
            TEXTS,
            output_type="loglikelihood_rolling",
            doc_to_text="",
            doc_to_target="{{text}}",
            metric_list=[{"metric": "word_perplexity"}],
        ),
    ]


def model(seed=2, most=None, **arguments):
    """Draws tokens, so that places in the list show."""
    denoiser = Counter(hashed(seed, tokenizer=letters(" abcdefgh")), most=most)
    asked = {"batch_size": 4, "mc_samples": 8, "block_length": 8, "temperature": 1.0, "check_greedy": False}
    return DusLM(denoiser, **{**asked, **arguments})


@pytest.fixture(scope="module")
def alone():
    return evaluate(model(), tasks())


def test_choices_are_scored_and_texts_rolled(alone):
    lm = model()
    chosen = responses(alone, "chosen")
    pairs = [(text, choice) for text in TEXTS for choice in (" a", " bc", " d")]
    expected = lm.loglikelihood(requests("loglikelihood", *pairs), True)
    assert [tuple(found) for choices in chosen for found in choices] == expected
    best = [max(range(3), key=lambda at, found=found: found[at][0]) for found in chosen]
    assert alone["results"]["chosen"]["acc,none"] == best.count(0) / len(TEXTS)
    expected = lm.loglikelihood_rolling(requests("loglikelihood_rolling", *((text,) for text in TEXTS)), True)
    assert [found for (found,) in responses(alone, "rolled")] == expected


def test_an_evaluation_that_was_stopped_goes_on_from_its_cache(alone, tmp_path):
    whole = model()
    evaluate(whole, tasks())
    cache = str(tmp_path / "responses")
    stopped = model(most=whole.denoiser.rows // 2)
    with pytest.raises(KeyboardInterrupt):
        evaluate(stopped, tasks(), use_cache=cache)
    resumed = model()
    results = evaluate(resumed, tasks(), use_cache=cache)
    for name in ("written", "chosen", "rolled"):
        assert responses(results, name) == responses(alone, name)
    assert resumed.denoiser.rows < whole.denoiser.rows
    again = model()
    found = evaluate(again, tasks(), use_cache=cache)
    assert again.denoiser.rows == PROBE
    assert found["config"]["calls"] == alone["config"]["calls"]
    assert found["config"]["log_likelihood_error"] == pytest.approx(alone["config"]["log_likelihood_error"])
    other = evaluate(model(), [*tasks(), written(TEXTS[:2], max_gen_toks=8, name="before")][::-1], use_cache=cache)
    assert responses(other, "written") == responses(alone, "written")


@pytest.mark.parametrize(
    "changed",
    [
        {"planner": "confidence"},
        {"block_length": 4},
        {"temperature": 0.5},
        {"seed": 1},
        {"cfg_scale": 1.0},
        {"suppress_tokens": "1"},
        {"eos": "ignore"},
        {"max_length": 12},
    ],
    ids=str,
)
def test_a_cache_tells_apart_whatever_changes_an_answer(tmp_path, changed):
    cache = str(tmp_path / "responses")
    evaluate(model(), tasks()[:1], use_cache=cache)
    other = model(**changed)
    expected = evaluate(model(**changed), tasks()[:1])
    found = evaluate(other, tasks()[:1], use_cache=cache)
    assert responses(found, "written") == responses(expected, "written")
    assert found["config"]["calls"] == expected["config"]["calls"]
    assert other.denoiser.rows > PROBE


@pytest.mark.parametrize("changed", [{"seed": 3}, {"mc_samples": 4}, {"cfg_scale": 1.0}, {"check_greedy": True}])
def test_a_cache_tells_scores_apart(tmp_path, changed):
    cache = str(tmp_path / "responses")
    evaluate(model(), tasks()[1:], use_cache=cache)
    expected = evaluate(model(**changed), tasks()[1:])
    found = evaluate(model(**changed), tasks()[1:], use_cache=cache)
    for name in ("chosen", "rolled"):
        assert responses(found, name) == responses(expected, name)


def test_a_cache_tells_models_apart(tmp_path):
    cache = str(tmp_path / "responses")
    evaluate(model(), tasks(), use_cache=cache)
    found, expected = evaluate(model(7), tasks(), use_cache=cache), evaluate(model(7), tasks())
    for name in ("written", "chosen", "rolled"):
        assert responses(found, name) == responses(expected, name)


def test_named_models_are_known_by_their_files(tmp_path):
    arguments = {"pretrained": "bundled-dream", "dtype": "float32", "max_new_tokens": 8}
    lm = DusLM(**arguments)
    kept = lm.identify(lm.denoiser, lm.arguments)
    for changed in ({"dtype": "bfloat16"}, {"pretrained": "bundled"}, {"add_bos_token": False}):
        other = DusLM(**{**arguments, **changed})
        assert other.identify(other.denoiser, other.arguments) != kept
    folder = tmp_path / "adapter"
    known = []
    for content in (b"one", b"two"):
        folder.mkdir(exist_ok=True)
        (folder / "adapter_model.safetensors").write_bytes(content)
        adapted = replace(lm.arguments, peft=str(folder))
        known.append(lm.identify(lm.denoiser, adapted))
    assert kept not in known
    assert known[0] != known[1]
    again = DusLM(**arguments, planner="confidence")
    assert again.identify(again.denoiser, again.arguments) == kept


def of_two(rank, port, queue):
    """One process of two."""
    import os

    os.environ.update(
        WORLD_SIZE="2", RANK=str(rank), LOCAL_RANK=str(rank), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port)
    )
    lm = model()
    results = evaluate(lm, tasks())
    if results is not None:
        results["samples"] = {name: responses(results, name) for name in results["samples"]}
        results = {part: results[part] for part in ("samples", "results", "config")}
    queue.put((rank, lm.world_size, lm.denoiser.rows, results))


@pytest.mark.skipif(sys.platform != "linux", reason="only there can a process that has imported torch be forked")
def test_two_processes_share_the_requests(alone):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    fork = multiprocessing.get_context("fork")
    queue = fork.Queue()
    processes = [fork.Process(target=of_two, args=(rank, port, queue)) for rank in range(2)]
    for process in processes:
        process.start()
    try:
        first, second = sorted(queue.get(timeout=60) for _ in processes)
    finally:
        for process in processes:
            process.kill()
            process.join()
    assert first[:2] == (0, 2)
    assert second[:2] == (1, 2)
    assert second[3] is None
    results = first[3]
    assert results["samples"] == {name: responses(alone, name) for name in alone["samples"]}
    assert results["results"]["chosen"]["acc,none"] == alone["results"]["chosen"]["acc,none"]
    assert results["config"]["calls"] == alone["config"]["calls"]
    assert results["config"]["log_likelihood_error"] == pytest.approx(alone["config"]["log_likelihood_error"])
    whole = model()
    evaluate(whole, tasks())
    assert max(first[2], second[2]) < whole.denoiser.rows
