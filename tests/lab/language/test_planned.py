"""The nearly perfect denoiser and planners on it, against sums over all continuations."""

import pytest
import torch

from dus.decoding import generate
from dus.denoisers import DenoiserError
from dus.lab.language import planned
from dus.lab.language.planned import PLANNERS, claim, losses, table, verdict, written
from dus.lab.language.reach import interval, student
from dus.lab.language.real import RealDenoiser

CONTEXT = torch.tensor([1, 3, 2])


def test_conditionals_are_those_of_the_joint(model, joint):
    exact = joint(CONTEXT, 4)
    denoiser = RealDenoiser(model, CONTEXT, 4000, 0)
    mask = denoiser.mask_token_id
    canvas = torch.tensor([[mask, 2, mask, mask], [4, mask, mask, 1]])
    found = denoiser.logits(canvas, read=torch.arange(4)).double().exp()
    given = exact[:, 2] / exact[:, 2].sum()
    torch.testing.assert_close(found[0, 0, :-1], given.sum((1, 2)), atol=0.02, rtol=0)
    torch.testing.assert_close(found[0, 2, :-1], given.sum((0, 2)), atol=0.02, rtol=0)
    torch.testing.assert_close(found[0, 3, :-1], given.sum((0, 1)), atol=0.02, rtol=0)
    given = exact[4, :, :, 1] / exact[4, :, :, 1].sum()
    torch.testing.assert_close(found[1, 1, :-1], given.sum(1), atol=0.04, rtol=0)
    torch.testing.assert_close(found[1, 2, :-1], given.sum(0), atol=0.04, rtol=0)
    assert (found[..., -1] == 0).all()
    assert found[0, 1].tolist() == [0, 0, 1, 0, 0, 0]


def test_left_to_right_samples_the_model_itself(model, joint):
    exact = joint(CONTEXT, 2).flatten()
    counts = torch.zeros(25)
    denoiser = RealDenoiser(model, CONTEXT, 8, 0)
    masks = torch.full((1, 2), denoiser.mask_token_id)
    for seed in range(400):
        done = generate(
            denoiser, masks, planner="left-to-right", max_new_tokens=0, temperature=1.0, seed=seed, eos="ignore"
        )
        first, second = done.tokens[0][-2:].tolist()
        counts[5 * first + second] += 1
    expected = 400 * exact
    assert float(((counts - expected) ** 2 / expected.clamp(min=2)).sum()) < 50
    tokens = torch.tensor([4, 1])
    assert float(denoiser.likelihood(tokens).sum()) == pytest.approx(float(exact[21].log()), abs=1e-4)


def test_losses_are_those_of_the_law_that_is_drawn(model, joint, monkeypatch):
    """One call draws all tokens from their marginals and loses what they say of each other; left to right, nothing."""
    monkeypatch.setattr(planned, "PLANNERS", ("left-to-right", "eb(gamma=99)"))
    exact = joint(CONTEXT, 2)
    found = [written(model, CONTEXT, 2, 500, seed) for seed in range(150)]
    independent = exact.sum(1, keepdim=True) * exact.sum(0, keepdim=True)
    lost = losses(found, "eb(gamma=99)")
    divergence = float((independent * (independent.log() - exact.log())).sum()) / 2
    mean, half = interval(lost)
    assert abs(mean - divergence) < 2 * half + 0.02
    assert max(map(abs, losses(found, "left-to-right"))) < 1e-3
    assert all(each["left-to-right"]["calls"] == 2 and each["eb(gamma=99)"]["calls"] == 1 for each in found)
    shown = table(found, 2)
    assert "`eb(gamma=99)`" in shown


@pytest.mark.parametrize(("freedom", "quantile"), [(2, 4.303), (3, 3.182), (5, 2.571), (10, 2.228), (60, 2.000)])
def test_intervals_of_few_values_are_student_s(freedom, quantile):
    assert student(freedom) == pytest.approx(quantile, rel=0.02)


@pytest.mark.parametrize(("mean", "said"), [(0.2, "claim holds"), (-0.2, "other way round"), (0.05, "does not decide")])
def test_a_difference_beyond_its_interval_decides(mean, said):
    assert said in verdict("it costs {} more", mean, 0.1)


def test_what_one_planner_writes_does_not_depend_on_the_others(model):
    found = written(model, CONTEXT, 4, 16, 3)
    again = written(model, CONTEXT, 4, 16, 3)
    assert found == again
    shown = table([found, again], 4)
    assert all(f"`{planner}`" in shown for planner in PLANNERS)
    assert shown.count("| reads draws |") == 2
    sentence = claim([found, written(model, CONTEXT, 4, 16, 4)])
    assert sentence.startswith("At equal calls, `entropy(like=dus)` loses")


def test_a_cache_is_refused(model):
    denoiser = RealDenoiser(model, CONTEXT, 8, 0)
    with pytest.raises(DenoiserError, match="cache='none'"):
        denoiser.logits(torch.full((1, 2), denoiser.mask_token_id), read=torch.arange(2), cache=object())


def test_the_command_goes_on_from_what_is_kept(model, tmp_path, monkeypatch):
    from typer.testing import CliRunner

    from dus.cli.app import app

    def words(text):
        return {"input_ids": [ord(letter) % 5 for letter in text]}

    monkeypatch.setattr("dus.lab.language.judges.load_judge", lambda source, dtype: (model, words, "tiny"))
    (tmp_path / "a.jsonl").write_text('{"question": "How many?"}\n{"question": "How far?"}\n')
    typed = ["theory", "written", str(tmp_path / "a.jsonl"), "--contexts", "2", "--particles", "4"]
    typed += ["--block-length", "4", "--kept", str(tmp_path / "kept.jsonl"), "--page", str(tmp_path / "page.md")]
    first = CliRunner().invoke(app, typed)
    assert first.exit_code == 0, first.output
    monkeypatch.setattr(planned, "written", None)
    again = CliRunner().invoke(app, typed)
    assert again.exit_code == 0, again.output
    assert again.stdout == first.stdout
    written = (tmp_path / "page.md").read_text()
    assert written.startswith("# Planners on a nearly perfect denoiser, blocks of 4: tiny\n")
    assert "At equal calls" in written.split("Made by")[0]
