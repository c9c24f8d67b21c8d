"""dus lm-eval: lm-eval's command line, with our model and our form of its tasks."""

import json
import sys
from functools import partial
from types import SimpleNamespace

import lm_eval.tasks
import pytest

from dus import generate, load
from dus.cli import InputError
from dus.cli.lm_eval import _complete, _parsed
from dus.evaluation.harness.arguments import HarnessError

TASK = """
task: letters
custom_dataset: !function letters.docs
test_split: test
output_type: generate_until
doc_to_text: "{{text}}"
doc_to_target: "{{text}}"
generation_kwargs: {until: ["z"], do_sample: false}
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
"""
DOCS = """
from datasets import Dataset

def docs(**_):
    return {"test": Dataset.from_list([{"text": text} for text in ("abc", "hello there", "xy")])}
"""
TEXTS = ["abc", "hello there", "xy"]


@pytest.fixture(autouse=True)
def quick_and_offline(monkeypatch):
    """Without the hub, and without what takes seconds: an index of all of lm-eval's tasks, a list of all packages."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(lm_eval.tasks, "TaskManager", partial(lm_eval.tasks.TaskManager, include_defaults=False))
    monkeypatch.setattr("lm_eval.evaluator.add_env_info", lambda results: None)
    monkeypatch.setattr("lm_eval.utils.setup_logging", lambda: None)  # it would hold on to this test's standard error


@pytest.fixture
def task(tmp_path):
    (tmp_path / "letters.yaml").write_text(TASK)
    (tmp_path / "letters.py").write_text(DOCS)
    return str(tmp_path / "letters.yaml")


def written(folder, name):
    (path,) = folder.glob(f"**/{name}*")
    return path.read_text()


@pytest.mark.parametrize("planner", ["dus(base=4;order=random)", "eb(gamma=2) | spaced(gap=8)"])
def test_a_task_is_evaluated_with_the_model_that_its_arguments_name(good, checkpoint, task, tmp_path, planner):
    arguments = f"pretrained={checkpoint},planner={planner},block_length=8,max_new_tokens=16,dtype=float32"
    before = list(sys.argv)
    table = good(
        "lm-eval", "--tasks", task, "--model_args", arguments, "-b", 2, "-s", "--output_path", tmp_path / "out"
    )
    assert sys.argv == before
    assert "|letters|" in table
    expected = generate(
        load(checkpoint, dtype="float32"),
        TEXTS,
        planner=planner,
        block_length=8,
        max_new_tokens=16,
        stop=["z"],
        chat=False,
        seed=0,
    )
    samples = [json.loads(line) for line in written(tmp_path / "out", "samples_letters").splitlines()]
    assert [sample["resps"][0][0] for sample in sorted(samples, key=lambda one: one["doc_id"])] == expected.text
    config = json.loads(written(tmp_path / "out", "results"))["config"]
    assert config["model"] == "dus"
    assert config["calls"]["letters"]["nfe"] == sum(expected.nfe) / 3


def test_the_papers_tasks_come_from_local_files_where_a_folder_is_named(good, checkpoint, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    rows = [{"question": f"What is {n} + 1?", "answer": f"{n} + 1 = {n + 1}\n#### {n + 1}"} for n in range(6)]
    for split in ("train", "test"):
        (data / f"gsm8k_{split}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    arguments = f"pretrained={checkpoint},max_new_tokens=8,block_length=8"
    asked = ["--limit", 2, "--output_path", tmp_path / "out", "--log_samples", "--num_fewshot", 1]
    assert "|gsm8k|" in good("lm-eval", "--tasks=gsm8k", "--data-dir", data, "-a", arguments, *asked)
    samples = [json.loads(line) for line in written(tmp_path / "out", "samples_gsm8k").splitlines()]
    assert {sample["doc"]["question"] for sample in samples} == {"What is 0 + 1?", "What is 1 + 1?"}


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        (["--tasks", "TASK", "-a", "planner=duss"], "planner 'duss': no planner is named 'duss'"),
        (["--tasks", "TASK", "-a", "blok_length=8"], "the model dus has no argument 'blok_length'"),
        (
            ["--tasks", "TASK", "--gen_kwargs", "repetition_penalty=2"],
            "'repetition_penalty' is asked for in gen_kwargs",
        ),
        (["--tasks", "TASK", "--apply_chat_template"], "the model's tokenizer has no chat template"),
        (["--tasks", "no_such_task"], "Tasks not found: no_such_task"),
        (["--tasks", "hellaswag", "--data-dir", "."], "no task 'hellaswag' of the paper's benchmarks"),
        (["--limit", "2"], "no task is named"),
        (["ls", "tasks", "--data-dir", "."], "--data-dir goes with an evaluation, and ls makes none"),
        (["--tasks", "TASK", "--log_samples"], "Specify --output_path"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(dus, checkpoint, task, asked, problem):
    model = [] if "-a" in asked else ["-a", f"pretrained={checkpoint}"]
    arguments = [task if part == "TASK" else part for part in asked]
    code, _, err = dus("lm-eval", *arguments, *(model if "--tasks" in asked else []))
    assert code == 2
    assert err.splitlines()[-1].startswith(f"dus: {problem}")
    assert "Traceback" not in err


def test_options_that_lm_eval_lacks_end_as_it_says(dus):
    code, _, err = dus("lm-eval", "--tasks", "gsm8k", "--no-such-option", "3")
    assert code == 2
    assert "unrecognized arguments: --no-such-option 3" in err


def test_without_the_extra_a_line_says_what_to_install(dus, monkeypatch):
    monkeypatch.setattr("dus.cli.lm_eval.find_spec", lambda name: None)
    code, _, err = dus("lm-eval", "--tasks", "gsm8k")
    assert (code, err) == (2, "dus: lm-eval is not installed: pip install 'dus-lm[eval]'\n")


def test_help_is_ours_and_points_to_lm_evals(good):
    text = good("lm-eval", "--help")
    assert "--data-dir" in text
    assert "lm-eval run --help" in text
    assert good("lm-eval") == text


def arguments(**given):
    none = dict.fromkeys(("model", "tasks", "config", "include_path", "seed"))
    return SimpleNamespace(**{**none, **given})


def test_the_model_is_dus_where_neither_options_nor_a_configuration_name_one(tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text("model: hf\ntasks: [arc_easy]\n")
    for given, model in (
        ({"tasks": ["arc_easy"]}, "dus"),
        ({"tasks": ["arc_easy"], "model": "vllm"}, "vllm"),
        ({"config": str(config)}, "hf"),
        ({"config": str(config), "model": "dus"}, "dus"),
    ):
        found = arguments(**given)
        _complete(found, None, tmp_path)
        assert (found.model, found.include_path) == (model, None)


@pytest.mark.parametrize(
    ("asked", "seed"),
    [
        ([], None),
        (["--seed", "42"], 42),
        (["--seed", "0,1,2,3"], 2),
        (["--seed", "0,1,none,3"], None),
        (["--seed", "42", "--model_args", "seed=7"], 7),
        (["--seed", "42", "--model", "hf"], None),
        (["--config", "CONFIG"], 5),
        (["--config", "CONFIG", "--seed", "6"], 6),
    ],
)
def test_the_seed_of_lm_eval_draws_tokens_where_the_model_has_none_of_its_own(tmp_path, asked, seed):
    from lm_eval._cli import HarnessCLI

    config = tmp_path / "config.yaml"
    config.write_text("seed: [3, 4, 5, 6]\nmodel_args: {block_length: 8}\n")
    arguments = ["--tasks", "arc_easy", *(part.replace("CONFIG", str(config)) for part in asked)]
    found = _parsed(HarnessCLI(), arguments)
    _complete(found, None, tmp_path)
    given = found.model_args or {}
    assert given.get("seed") == seed
    assert "--config" not in asked or given["block_length"] == 8


def test_code_is_never_run_by_lm_evals_own_form_of_a_task(tmp_path):
    found = arguments(tasks=["humaneval*", "arc_easy"])
    _complete(found, None, tmp_path)
    assert found.include_path == str(tmp_path)
    config = (tmp_path / "humaneval.yaml").read_text()
    assert "dus.evaluation.harness.tasks_code" in config
    assert "utils.pass_at_k" not in config
    assert (tmp_path / "humaneval_instruct.yaml").exists()
    with pytest.raises(InputError, match="--include_path does not go together with humaneval"):
        _complete(arguments(tasks=["humaneval"], include_path="mine"), None, tmp_path)
    with pytest.raises(HarnessError, match="no task 'arc_easy'"):
        _complete(arguments(tasks=["arc_easy"]), tmp_path, tmp_path)
