"""PC-sampler's score, the file of frequencies that it reads, and what cannot be meant."""

import json
import math
import pickle

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dus.planners import PC, PlannerError, Prediction, Spaced, parse
from dus.planners.pc import LARGEST_FILE
from dus.planners.ranking import best

from .blocks import batches, quick


def written(path, counts, vocab_size=5):
    path.write_text(json.dumps({"vocab_size": vocab_size, "counts": counts}))
    return str(path)


@quick
@given(
    batches(),
    st.dictionaries(st.integers(0, 4), st.integers(1, 99), min_size=1),
    st.sampled_from([0, 0.25, 1]),
    st.sampled_from([0.5, 3, 10]),
    st.integers(1, 5),
)
def test_the_score_is_the_formulas_and_the_best_are_taken(tmp_path_factory, batch, counts, decay, clip, k):
    file = written(tmp_path_factory.mktemp("pc") / "it's.json", counts)
    planner = PC(per_step=k, file=file, decay=decay, clip=clip)
    score = planner.score(batch.block, batch.prediction)
    total = sum(counts.values())
    for values, row in zip(score.tolist(), batch.rows, strict=True):
        for offset, value in enumerate(values):
            frequency = counts.get(row.scores["token"][offset], 1) / total
            calibrated = -row.scores["confidence"][offset] * math.log(frequency + 1e-9)
            assert value == pytest.approx(math.exp(-decay * offset) * min(calibrated, clip), rel=1e-5, abs=1e-6)
    assert torch.equal(planner.select(batch.block, batch.prediction), best(score, batch.block.masked, k))
    assert parse(str(planner)) == planner


@quick
@given(batches(), st.integers(1, 5))
def test_without_a_file_and_a_decay_it_is_confidence_and_reads_no_token(batch, k):
    confidence = batch.prediction.confidence
    found = PC(per_step=k, decay=0).select(batch.block, Prediction(confidence=confidence))
    assert torch.equal(found, best(confidence, batch.block.masked, k))


def test_a_model_of_another_vocabulary_is_refused_before_the_run(tmp_path):
    planner = PC(file=written(tmp_path / "f.json", {"0": 1}))
    for fine in (None, 5):
        Spaced(planner).check(8, fine)
    with pytest.raises(PlannerError, match=r"a vocabulary of 5, but the model's has 6: .*dus calibrate --planner pc"):
        Spaced(planner).check(8, 6)
    PC().check(8, 6)


def test_equal_planners_read_equal_files_and_one_that_changed_is_not_read(tmp_path):
    path = tmp_path / "f.json"
    before = PC(file=written(path, {"0": 1}))
    stored = pickle.dumps(before)
    assert before.reads() == (path,)
    assert before == PC(file=str(path))
    written(path, {"0": 2, "1": 5})
    after = PC(file=str(path))
    assert after != before
    scores = Prediction(confidence=torch.ones(1, 3), token=torch.tensor([[0, 1, 2]]))
    block = None
    assert (before.score(block, scores) != after.score(block, scores)).any()
    assert pickle.loads(stored) == before
    path.unlink()
    assert after.score(block, scores).shape == (1, 3)
    with pytest.raises(PlannerError, match="is no file; dus calibrate --planner pc writes one"):
        PC(file=str(path))


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "is no file of frequencies"),
        ("[" * 10**5, "is no file of frequencies"),
        ("[]", "is no file of frequencies"),
        ('{"vocab_size": 3}', "needs a JSON object with vocab_size and counts"),
        ('{"vocab_size": 3, "counts": [1]}', "needs a JSON object with vocab_size and counts"),
        ('{"vocab_size": 3, "counts": {"a": 1}}', "needs a JSON object with vocab_size and counts"),
        ('{"vocab_size": 3, "counts": {}}', "whole counts, not all of them 0"),
        ('{"vocab_size": 3, "counts": {"1": 0}}', "whole counts, not all of them 0"),
        ('{"vocab_size": 3, "counts": {"1": 0.5}}', "whole counts"),
        ('{"vocab_size": 3, "counts": {"1": -1, "2": 3}}', "whole counts"),
        ('{"vocab_size": "3", "counts": {"1": 1}}', "whole counts"),
        ('{"vocab_size": 3, "counts": {"3": 1}}', "counts tokens that a vocabulary of 3 does not have"),
        ('{"vocab_size": 3, "counts": {"-1": 1}}', "counts tokens that a vocabulary of 3 does not have"),
    ],
)
def test_a_file_that_cannot_be_meant_gets_an_error_that_says_why(tmp_path, text, part):
    path = tmp_path / "f.json"
    path.write_text(text)
    with pytest.raises(PlannerError) as caught:
        PC(file=str(path))
    assert part in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_file_that_is_something_else_is_not_read(tmp_path):
    path = tmp_path / "f.json"
    with path.open("wb") as file:
        file.truncate(LARGEST_FILE + 1)
    with pytest.raises(PlannerError, match="too large"):
        PC(file=str(path))


@pytest.mark.parametrize("fields", [{"decay": -1}, {"decay": math.inf}, {"clip": 0}, {"steps": 2, "per_step": 2}])
def test_fields_that_cannot_be_meant_are_refused(fields):
    with pytest.raises(PlannerError, match=r"^pc: "):
        PC(**fields)
