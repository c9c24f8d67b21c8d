"""lm-eval's tasks on local files: our prompts and scores are those of lm-eval's own pipeline on recorded answers."""

import json
from pathlib import Path

import datasets
import lm_eval
import pytest
import yaml
from lm_eval.api.model import LM
from lm_eval.tasks import TaskManager

from dus.evaluation.harness import tasks_local
from dus.evaluation.harness.arguments import HarnessError
from dus.evaluation.harness.tasks import known_names, load, write
from dus.evaluation.harness.tasks_local import FILES, read
from dus.evaluation.harness.tasks_questions import PAPER, benchmark
from dus.evaluation.tasks import TASKS

DATA = Path(__file__).parent / "data"

# For each task, from a document to an answer that is right, and answers that are wrong, empty, odd or cut by a stop.
RIGHT = {
    "gsm8k": lambda doc: f" {doc['answer']}",
    "gsm8k_cot": lambda doc: f" So it is clear. The answer is {doc['answer'].rpartition('#### ')[2]}.\n\nQ: What",
    "minerva_math500": lambda doc: f" Final Answer: The final answer is ${doc['answer']}$. I hope it is correct.",
    "humaneval": lambda doc: f"{doc['canonical_solution']}\nprint('and so on')",
    "humaneval_instruct": lambda doc: f"{doc['canonical_solution']}```\nThis is why it works.",
    "mbpp": lambda doc: f"{doc['code']}\n[DONE]\n\nYou are",
    "mbpp_instruct": lambda doc: f"{doc['code']}\n```\nThis is why it works.",
    "bbh_cot_fewshot_boolean_expressions": lambda doc: f"Well. So the answer is {doc['target']}.\n\nQ: not",
    "bbh_cot_fewshot_navigate": lambda doc: f"One step. So the answer is {doc['target']}.",
    "mmlu_pro_law": lambda doc: f" Because. The answer is ({doc['answer']}).\n\nQuestion: which",
    "ifeval": lambda doc: "A RIDDLE " * 8,
    "dus_arithmetic_1": lambda doc: doc["solution"],
    "dus_text_1": lambda doc: doc["solution"],
}
ODD = [
    lambda doc: "",
    lambda doc: "#### 42 The answer is 42. answer is (J)",
    lambda doc: "####\n\\boxed{\\frac{1}{2}} $1,000.50 \x00 ü 日本",
    lambda doc: "Yes, I CAN. First one. Then two! Now: three? Four. Five. Six. Seven. Eight.",
    lambda doc: "    return None\n```\n",
]
# What lm-eval gives a right answer: its metrics are all at their best.
NOT_ONE = {"ifeval", "dus_text_1"}


class Recorded(LM):
    """A model that has answered already."""

    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def generate_until(self, requests, disable_tqdm=False):
        answers = []
        for request in requests:
            answer = self.answer(request.doc)
            for stop in request.args[1]["until"]:
                answer = answer.split(stop)[0]
            answers.append(answer)
        return answers

    def loglikelihood(self, requests):
        raise NotImplementedError

    loglikelihood_rolling = loglikelihood


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A data folder: the lines in the repository, and questions of our own in MMLU-Pro's columns."""
    folder = tmp_path_factory.mktemp("data")
    for path in DATA.rglob("*.json*"):
        target = folder / path.relative_to(DATA)
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(path.read_bytes())
    subjects = ["biology", "business", "chemistry", "computer science", "economics", "engineering", "health"]
    subjects += ["history", "law", "math", "other", "philosophy", "physics", "psychology"]
    rows = [
        {
            "question": f"Which is number {n} of {subject}?",
            "options": [f"{m}" for m in range(10)],
            "answer": "ABCDEFGHIJ"[n],
            "answer_index": n,
            "category": subject,
            "cot_content": f"A: Let's think step by step. It is {n}. The answer is ({'ABCDEFGHIJ'[n]}).",
        }
        for subject in subjects
        for n in range(5)
    ]
    for split in ("test", "validation"):
        (folder / f"mmlu_pro_{split}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


@pytest.fixture
def punkt(tmp_path, monkeypatch):
    """nltk's sentence splitter without a language's abbreviations: enough to count by."""
    import nltk

    folder = tmp_path / "nltk" / "tokenizers" / "punkt_tab" / "english"
    folder.mkdir(parents=True)
    for name in ("collocations.tab", "sent_starters.txt", "abbrev_types.txt", "ortho_context.tab"):
        (folder / name).touch()
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path / "nltk")])


@pytest.fixture(autouse=True)
def _no_description_of_the_machine(monkeypatch):
    """lm-eval describes the machine in its results, which takes it seconds a time."""
    monkeypatch.setattr("lm_eval.evaluator.add_env_info", lambda results: None)
    monkeypatch.setattr("lm_eval.evaluator.get_git_commit_hash", lambda: None)


def evaluated(tasks, manager, answer, limit=None):
    return lm_eval.simple_evaluate(
        model=Recorded(answer),
        tasks=tasks,
        task_manager=manager,
        limit=limit,
        bootstrap_iters=0,
        confirm_run_unsafe_code=True,
    )


@pytest.mark.parametrize("name", RIGHT)
def test_prompts_and_scores_are_those_of_lm_eval(name, data, punkt):
    tasks, manager = load([name], data)
    asked = benchmark(name, data_dir=data, limit=2)
    for answer in (RIGHT[name], *ODD):
        samples = evaluated(tasks, manager, answer, limit=2)["samples"][name]
        metric, first = samples[0]["metrics"][0], samples[0]["filter"]
        theirs = [sample for sample in samples if sample["filter"] == first]
        assert asked.prompts == [sample["arguments"][0][0] for sample in theirs]
        assert [asked.score(n, answer(sample["doc"])) for n, sample in enumerate(theirs)] == [
            pytest.approx(float(sample[metric])) for sample in theirs
        ]


@pytest.mark.parametrize("name", [name for name in RIGHT if name not in NOT_ONE])
def test_right_answers_are_right_and_nothing_is_wrong(name, data):
    asked = benchmark(name, data_dir=data, limit=3)
    documents = [request.doc for _, request in asked.asked]
    assert [asked.score(n, RIGHT[name](doc)) for n, doc in enumerate(documents)] == [1.0] * len(documents)
    assert [asked.score(n, "pass") for n in range(len(documents))] == [0.0] * len(documents)


@pytest.mark.parametrize("name", ["gsm8k", "minerva_math500", "bbh_cot_fewshot_navigate", "ifeval"])
def test_the_task_is_lm_evals_but_for_where_its_data_are(name, data, punkt):
    folder = {"bbh_cot_fewshot_navigate": "bbh", "minerva_math500": "minerva_math"}.get(name, name)
    theirs = TaskManager(include_defaults=False, include_path=Path(lm_eval.tasks.__file__).parent / folder)
    [ours], _ = load([name], data)
    mine, original = ours.dump_config(), dict(theirs.task_index[name].cfg)
    for key in ("doc_to_text", "doc_to_target", "generation_kwargs", "filter_list", "num_fewshot", "description"):
        if not str(original.get(key)).startswith("/"):  # a function
            assert mine.get(key) == original.get(key, mine.get(key)), key


def test_a_group_takes_turns_and_adds_up(data):
    [group], manager = load(["mmlu_pro"], data)
    asked = benchmark("mmlu_pro", data_dir=data, limit=20)
    subjects = [request.doc["category"] for _, request in asked.asked]
    assert len(set(subjects[:14])) == 14
    assert subjects[14:] == subjects[:6]
    assert benchmark("mmlu_pro", data_dir=data, limit=9).prompts == asked.prompts[:9]

    def answer(doc):
        return f"The answer is ({'A' if doc['category'] == 'law' else doc['answer']})."

    results = evaluated([group], manager, answer)["results"]
    assert results["mmlu_pro_law"]["exact_match,custom-extract"] == pytest.approx(1 / 5)
    assert results["mmlu_pro"]["exact_match,custom-extract"] == pytest.approx((13 * 5 + 1) / 70)
    whole = benchmark("mmlu_pro", data_dir=data)
    assert sum(whole.score(n, answer(request.doc)) for n, (_, request) in enumerate(whole.asked)) == 13 * 5 + 1


def test_lm_evals_own_index_takes_what_is_written(data, tmp_path):
    write(tmp_path, ["mmlu_pro", "gsm8k_cot", "humaneval"], data)
    assert len(list(tmp_path.glob("*.yaml"))) == 14 + 3
    manager = TaskManager(include_defaults=False, include_path=tmp_path)
    assert set(manager.load(["gsm8k_cot", "humaneval"])["tasks"]) == {"gsm8k_cot", "humaneval"}
    assert len(manager.load(["mmlu_pro"])["tasks"]) == 14


def test_code_is_run_only_if_that_is_confirmed(data):
    for name in ("humaneval", "humaneval_instruct", "mbpp", "mbpp_instruct", "dus_code_1"):
        assert benchmark(name, data_dir=data, limit=1).runs_code
        tasks, manager = load([name], data)
        with pytest.raises(ValueError, match="unsafe"):
            lm_eval.simple_evaluate(model=Recorded(RIGHT.get(name)), tasks=tasks, task_manager=manager, limit=1)
    assert not benchmark("gsm8k", data_dir=data, limit=1).runs_code


@pytest.mark.parametrize("name", tasks_local.NAMES[::3])  # a level of each
def test_own_tasks_ask_and_score_as_dus_tasks_does(name):
    [task], manager = load([name])
    _, kind, level = name.split("_")
    problems = TASKS[kind].held_out(int(level))[:2]
    results = evaluated([task], manager, lambda doc: doc["solution"], limit=2)
    assert [sample["arguments"][0][0] for sample in results["samples"][name]] == [each.question for each in problems]
    expected = sum(TASKS[kind].score(each, each.solution) for each in problems) / 2
    assert results["results"][name][f"{TASKS[kind].unit},none"] == pytest.approx(expected)
    assert results["higher_is_better"][name][TASKS[kind].unit] == (TASKS[kind].unit == "right")
    assert len(task.eval_docs) == 500
    asked = benchmark(name, limit=1)
    assert (asked.unit, asked.max_new_tokens) == (TASKS[kind].unit, TASKS[kind].answer_tokens[int(level)])


def test_every_task_of_dus_tasks_is_named():
    assert {name.rpartition("_")[0] for name in tasks_local.NAMES} == {f"dus_{name}" for name in TASKS}
    assert set(tasks_local.NAMES) <= set(known_names())


@pytest.mark.parametrize("row", PAPER.values(), ids=PAPER)
def test_the_papers_benchmarks_are_there(row):
    assert {row.task, row.instruct_task} <= set(known_names())
    assert row.source


def test_the_papers_length_is_the_default(data):
    assert benchmark("gsm8k", data_dir=data, limit=1).max_new_tokens == 256
    assert benchmark("mbpp", data_dir=data, limit=1).max_new_tokens == 512
    assert benchmark("mbpp", data_dir=data, limit=1, max_new_tokens=64).max_new_tokens == 64


def test_split_of_mbpp():
    ids = {
        split: [row["task_id"] for row in read(str(DATA), "google-research-datasets/mbpp", None, split)]
        for split in FILES["google-research-datasets/mbpp"]
    }
    assert ids == {"prompt": [2, 3, 4], "test": [17, 27]}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nope", "no task 'nope'.*gsm8k.*dus_arithmetic_1"),
        ("gsm8k_nope", "no task 'gsm8k_nope'"),
        ("humaneval_plus", "no task 'humaneval_plus'"),
        ("dus_arithmetic_4", "no task 'dus_arithmetic_4'"),
        ("minerva_math_algebra", "no file for EleutherAI/hendrycks_math"),
        ("bbh_cot_fewshot", r"bbh.causal_judgement\.json is missing"),
        ("mmlu_pro", r"mmlu_pro_test\.jsonl is missing"),
    ],
)
def test_what_is_not_there_is_named(name, message):
    with pytest.raises(HarnessError, match=message):
        load([name], DATA)


@pytest.mark.parametrize("text", ["{", "[1]", "", '{"task_id": 99999}'], ids=["cut", "list", "empty", "of no split"])
def test_a_damaged_file_is_named(text, tmp_path):
    (tmp_path / "mbpp.jsonl").write_text(text)
    with pytest.raises(HarnessError, match=r"mbpp\.jsonl (is damaged|has nothing)"):
        load(["mbpp"], tmp_path)


def test_ifeval_says_what_it_lacks(data, monkeypatch):
    import nltk

    monkeypatch.setattr(nltk.data, "path", [])
    monkeypatch.setattr(nltk, "download", lambda *_: pytest.fail("nothing is downloaded unasked"))
    with pytest.raises(HarnessError, match="nltk's punkt_tab"):
        load(["ifeval"], data)


def test_no_hub_is_one_sentence(monkeypatch):
    def unreachable(**_):
        raise ConnectionError("Couldn't reach the Hub\nand more")

    monkeypatch.setattr(datasets, "load_dataset", unreachable)
    with pytest.raises(HarnessError, match=r"gsm8k cannot be had from the hub \(Couldn't reach the Hub\)"):
        load(["gsm8k"])


def test_a_task_that_wants_several_answers_is_left_to_lm_eval(data):
    with pytest.raises(HarnessError, match="humaneval_64 wants several answers"):
        benchmark("humaneval_64", data_dir=data, limit=1)


def test_chat_needs_a_task_that_leaves_the_answer_to_the_model(data):
    assert benchmark("gsm8k", data_dir=data, limit=1, chat=True).chat
    with pytest.raises(HarnessError, match="begins the answer itself"):
        benchmark("humaneval_instruct", data_dir=data, chat=True)


def test_configs_hold_no_code_of_this_machine_but_names(data, tmp_path):
    write(tmp_path, ["humaneval", "mbpp", "mbpp_instruct"], data)
    for path in tmp_path.glob("*.yaml"):
        assert "utils." not in path.read_text()
        with pytest.raises(yaml.constructor.ConstructorError, match="!function"):
            yaml.safe_load(path.read_text())
