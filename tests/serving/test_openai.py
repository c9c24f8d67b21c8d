"""What the official client asks is answered as `dus.generate` answers it, in the shapes that the client reads."""

import math

import openai
import pytest
import torch

import dus

from .running import ADD, SUM, chat, client, running, turn

SHORT = {"max_new_tokens": 32, "block_length": 8}


@pytest.fixture(scope="module")
def api(server):
    return client(server)


def expected(model, prompts, **settings):
    return dus.generate(model, prompts, **{**SHORT, "cache": "auto", **settings})


def test_a_conversation_is_answered_as_generate_does(server, model):
    found = chat(server, extra_body={"block_length": 8})
    right = expected(model, SUM)
    (choice,) = found.choices
    assert (choice.message.role, choice.message.content, choice.finish_reason) == ("assistant", right.text[0], "stop")
    assert found.usage.completion_tokens == len(right.tokens[0])
    assert found.usage.total_tokens == found.usage.prompt_tokens + found.usage.completion_tokens
    assert (found.usage.nfe, found.usage.tpf) == (right.nfe[0], right.tpf[0])
    assert found.object == "chat.completion"


def test_every_form_of_a_prompt(api, model):
    def texts(prompt):
        found = api.completions.create(model="tiny", prompt=prompt, max_tokens=16)
        return [choice.text for choice in found.choices]

    asked = [turn(model, text) for text in (SUM, ADD)]
    ids = [model.tokenizer(text)["input_ids"] for text in asked]
    right = [dus.generate(model, text, max_new_tokens=16, chat=False).text[0] for text in asked]
    assert texts(asked[0]) == texts(ids[0]) == right[:1] == ["After buying 7 more, Tom has 5 + 7 = 12 apples. #### 12"]
    assert texts(asked) == texts(ids) == right


def test_settings_are_generates_own(api, model):
    settings = {"temperature": 2.0, "top_p": 0.95, "seed": 5, "stop": ["has", "####"]}
    more = {"planner": "eb(gamma=2) | spaced(gap=4)", "block_length": 16, "top_k": 50, "cfg_scale": 0.5}
    more |= {"eos": "ignore", "suppress_tokens": [405, 26]}
    asked = [turn(model, text) for text in (SUM, ADD)]
    found = api.completions.create(model="tiny", prompt=asked, max_tokens=24, n=3, **settings, extra_body=more)
    right = dus.generate(model, asked, max_new_tokens=24, samples=3, chat=False, cache="auto", **settings, **more)
    assert [choice.text for choice in found.choices] == right.text
    assert len(set(right.text)) > 2
    assert (found.usage.nfe, found.usage.completion_tokens) == (sum(right.nfe), sum(map(len, right.tokens)))
    assert [choice.index for choice in found.choices] == list(range(6))


def test_the_draw_is_told_and_can_be_asked_for_again(server):
    settings = {"temperature": 1.0, "n": 2}
    once = chat(server, **settings)
    again = chat(server, **settings, seed=once.seed)
    assert [choice.message.content for choice in again.choices] == [choice.message.content for choice in once.choices]


def test_messages_in_parts_and_turns(server, model):
    turns = [
        {"role": "developer", "content": "Be short."},
        {"role": "user", "content": [{"type": "text", "text": SUM[:20]}, {"type": "text", "text": SUM[20:]}]},
    ]
    found = client(server).chat.completions.create(model="tiny", messages=turns, max_completion_tokens=32)
    plain = [{"role": "system", "content": "Be short."}, {"role": "user", "content": SUM}]
    assert found.choices[0].message.content == dus.generate(model, plain, max_new_tokens=32).text[0]


def test_a_suffix_is_filled_in_before(api, model):
    found = api.completions.create(
        model="tiny", prompt="def add_3(x):\n    return", suffix="3\n", max_tokens=3, extra_body={"eos": "ignore"}
    )
    filled = dus.infill(model, "def add_3(x):\n    return" + "[MASK]" * 3 + "3\n")
    assert "def add_3(x):\n    return" + found.choices[0].text + "3\n" == filled.text[0]
    assert found.usage.completion_tokens == 3


@pytest.mark.parametrize("planner", ["dus", "cb(tau=0.9)", "saber", "dus | edited"])
def test_log_probabilities_are_those_of_the_step_that_wrote_the_token(server, api, model, planner):
    settings = {"extra_body": {"planner": planner, "block_length": 8}}
    right = expected(model, SUM, planner=planner)
    count = len(right.tokens[0])
    scores = right.trace.confidence[0][:count].log().tolist()
    found = chat(server, logprobs=True, **settings).choices[0].logprobs.content
    assert [token.logprob for token in found] == pytest.approx(scores, abs=1e-4)
    assert "".join(token.token for token in found) == right.text[0]
    assert all(bytes(token.bytes).decode() == token.token for token in found)
    streamed = [
        token
        for chunk in chat(server, logprobs=True, stream=True, **settings)
        for choice in chunk.choices
        if choice.logprobs
        for token in choice.logprobs.content
    ]
    assert [token.logprob for token in streamed] == pytest.approx(scores, abs=1e-4)
    text = api.completions.create(model="tiny", prompt=turn(model, SUM), max_tokens=16, logprobs=0).choices[0]
    assert "".join(text.logprobs.tokens) == text.text
    for at, token in zip(text.logprobs.text_offset, text.logprobs.tokens, strict=True):
        assert text.text[at:].startswith(token)


@pytest.mark.parametrize("stop", [None, "7", "has 5 + 7", ["apples. ##", "zzz"]])
def test_a_stream_adds_up_to_the_answer_block_by_block(server, model, stop):
    settings = {"stop": stop, "extra_body": {"block_length": 4}, "n": 2, "temperature": 0.3, "seed": 1}
    whole = chat(server, **settings)
    chunks = list(chat(server, stream=True, stream_options={"include_usage": True}, **settings))
    parts = {0: [], 1: []}
    for chunk in chunks:
        for choice in chunk.choices:
            parts[choice.index] += [choice.delta.content] if choice.delta.content else []
    assert ["".join(parts[index]) for index in (0, 1)] == [choice.message.content for choice in whole.choices]
    assert stop is not None or len(parts[0]) >= 3
    assert chunks[-1].usage == whole.usage
    reasons = [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason]
    assert reasons == [choice.finish_reason for choice in whole.choices]
    text = client(server).completions.create(model="tiny", prompt=turn(model, SUM), max_tokens=16, stream=True)
    assert "".join(chunk.choices[0].text for chunk in text) == chat(server).choices[0].message.content


@pytest.mark.parametrize("planner", ["dus", "saber(n=3)", "cb(tau=0.9) | edited"])
def test_steps_replay_to_the_trace(server, model, planner):
    more = {"planner": planner, "block_length": 8, "stream_steps": True}
    chunks = list(chat(server, stream=True, extra_body=more))
    steps = [chunk.step for chunk in chunks if getattr(chunk, "step", None)]
    trace = next(chunk.trace for chunk in chunks if getattr(chunk, "trace", None))
    right = expected(model, SUM, planner=planner)
    assert [step["number"] for step in steps] == list(range(len(steps)))
    assert trace["nfe"] == len(steps) == right.nfe[0]
    canvas = {}
    for step in steps:
        canvas.update(zip(step["positions"], step["tokens"], strict=True))
        for position in step["remasked"]:
            del canvas[position]
    assert [canvas[position] for position in range(len(canvas))] == trace["tokens"]
    assert trace["step"] == right.trace.step[0].tolist()
    assert trace["entropy"] == pytest.approx(right.trace.entropy[0].tolist(), abs=1e-3)
    assert trace["blocks"] == right.trace.blocks[0]
    assert all(math.isfinite(value) for value in trace["confidence"])


def test_models_are_listed(api):
    (listed,) = api.models.list().data
    assert listed.id == api.models.retrieve("tiny").id == "tiny"
    assert listed.max_length == 512
    with pytest.raises(openai.NotFoundError, match="there is no model 'large'"):
        api.models.retrieve("large")


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("tools", [{"type": "function", "function": {"name": "f"}}], "tools cannot be done"),
        ("response_format", {"type": "json_object"}, "response_format cannot be done"),
        ("top_logprobs", 3, "top_logprobs cannot be done"),
        ("frequency_penalty", 0.5, "frequency_penalty cannot be done"),
        ("planer", "dus", "there is no field 'planer'"),
        ("planner", "duss", "did you mean 'dus'"),
        ("planner", "levels(file='/etc/passwd')", "may not read a file"),
        ("planner", "confidence(steps=0)", "steps"),
        ("temperature", -1, "temperature"),
        ("seed", 2**70, "seed"),
        ("block_length", 0, "block_length is 0"),
        ("block_length", "auto(bits=x)", "auto takes bits"),
        ("block_length", "auto(longest=9999999)", "at most 4096"),
        ("suppress_tokens", [99999], "outside the vocabulary"),
        ("stop", "", "empty string"),
        ("max_tokens", 500, "exceed the model's context of 512 tokens"),
        ("n", 1000, "288 may be here at once"),
        ("stream_steps", True, "goes with stream=true"),
        ("model", "large", "there is no model 'large' here"),
    ],
)
def test_what_cannot_be_done_is_refused_in_a_sentence(server, field, value, said):
    with pytest.raises((openai.BadRequestError, openai.NotFoundError), match=said) as raised:
        chat(server, extra_body={field: value})
    assert raised.value.body["type"] == "invalid_request_error"
    assert raised.value.body["param"] == field


def test_what_asks_for_nothing_is_taken(server):
    neutral = {"tools": [], "tool_choice": "none", "response_format": {"type": "text"}, "presence_penalty": 0}
    neutral |= {"logit_bias": {}, "store": False, "user": "me", "metadata": {"a": "b"}, "stop": None, "seed": None}
    assert chat(server, **neutral).choices[0].message.content == chat(server).choices[0].message.content


def test_the_defaults_are_the_servers(model):
    with running(model, defaults={"planner": "confidence(per_step=1)", "block_length": 4}) as server:
        assert chat(server, extra_body={"eos": "ignore"}).usage.nfe == 32
        assert chat(server, extra_body={"eos": "ignore", "planner": "dus"}).usage.nfe == 16


def test_rows_of_different_planners_share_calls_and_get_what_they_get_alone(server, model):
    from concurrent.futures import ThreadPoolExecutor

    planners = ["dus", "cb(tau=0.9)", "eb(gamma=1)", "confidence(steps=4)"] * 4
    prompts = [f"Tom has {n} apples. Tom buys 7 more. How many apples does Tom have now?" for n in range(16)]
    before = server.service.rows.calls
    with ThreadPoolExecutor(16) as pool:
        asked = [
            pool.submit(chat, server, prompt, extra_body={"planner": planner, "block_length": 8})
            for prompt, planner in zip(prompts, planners, strict=True)
        ]
        found = [one.result() for one in asked]
    right = [expected(model, prompt, planner=planner) for prompt, planner in zip(prompts, planners, strict=True)]
    assert [one.choices[0].message.content for one in found] == [one.text[0] for one in right]
    assert server.service.rows.calls - before < sum(one.nfe[0] for one in right)


def test_a_model_without_a_template_has_no_conversations(model):
    from .running import DenoiserAround

    bare = DenoiserAround(model)
    bare.tokenizer = None
    with running(bare) as server:
        found = client(server).completions.create(model="tiny", prompt=[5, 6, 7], max_tokens=4)
        assert found.choices[0].text == ""
        with pytest.raises(openai.BadRequestError, match="no tokenizer"):
            chat(server)
    assert torch.is_tensor(dus.generate(bare, [torch.tensor([5, 6, 7])], max_new_tokens=4).tokens[0])
