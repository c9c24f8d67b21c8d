"""The parts that an answer is checked with: vocabulary, grammar, layouts and checks."""

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dus.lab.tasks.instructions import grammar
from dus.lab.tasks.instructions.checks import CHECKS, LAYOUTS, Reply, holds
from dus.lab.tasks.instructions.wording import MEMBERS, TOPICS


def test_the_vocabulary_is_unambiguous():
    members = [member for category in MEMBERS.values() for member in category]
    assert len(members) == len(set(members)) == 8 * 14
    for topic in TOPICS.values():
        words = [*topic.nouns, *topic.verbs, *topic.adjectives]
        assert len(words) == len(set(words)) == 20
        assert not {noun + "s" for noun in topic.nouns} & {verb + "s" for verb in topic.verbs}
        assert all(len(place.split()) == 3 for place in topic.places)


@given(st.sampled_from(sorted(TOPICS)), st.sampled_from((None, *grammar.LENGTHS)), st.integers(0, 10**6))
@settings(max_examples=300, deadline=None)
def test_sentences_are_recognised_agree_and_have_their_length(topic, length, seed):
    sentence = grammar.write(random.Random(seed), topic, length)
    words = sentence.split()
    assert grammar.is_sentence(topic, sentence + ".")
    assert grammar.is_sentence(topic, sentence.upper() + ".")
    assert not grammar.is_sentence(topic, sentence)
    assert not any(grammar.is_sentence(other, sentence + ".") for other in TOPICS if other != topic)
    assert length is None or len(words) == length
    of = TOPICS[topic]
    plural = any(word in words for word in (noun + "s" for noun in of.nouns))
    verbs = {verb for verb in of.verbs if verb in words or verb + "s" in words}
    for verb in verbs:
        assert (verb in words) == plural
    assert verbs or (("are" in words) == plural and ("is" in words) != plural)


@pytest.mark.parametrize(
    "text",
    [
        "The gulls drifts.", "The gull drift.", "Many gull drift.", "Every gulls drift near the shore.",
        "The gull is grey and grey.", "The gull are grey.", "The cow drifts.", "The gull drifts near the barn.",
        "Gull the drifts.", "The gull  drifts slowly.", "The gull drifts slowly", "The gull drifts slowly..",
        "The gull drifts slowly!", "The grey gull.", ".", "",
    ],
)  # fmt: skip
def test_sentences_that_are_wrong(text):
    assert not grammar.is_sentence("the sea", text)
    assert grammar.is_sentence("the sea", "The gull drifts slowly.")


@pytest.mark.parametrize(
    ("name", "arguments", "right", "wrong"),
    [
        ("count", [2], [["a", "b"]], [["a"], ["a", "b", "c"]]),
        ("from", ["animal"], [["dog", "Cat", "LION"]], [["dog", "apple"], ["dogs"], [""], ["dog cat"], ["dog."]]),
        ("about", ["the sea"], [["The gull drifts slowly."]], [["The cow eats slowly."], ["gull"], [""]]),
        ("different", [], [["a", "b"]], [["a", "b", "A"]]),
        ("same", ["dog"], [["dog", "Dog"]], [["dog", "dogs"], ["dog", "cat"], ["dog dog"]]),
        ("these", ["a", "b"], [["a", "b"], ["B", "A"]], [["a"], ["a", "b", "b"], ["a", "c"]]),
        ("case", ["upper"], [["DOG", "A CAT"]], [["DOG", "Cat"], ["dOG"]]),
        ("case", ["lower"], [["dog", "a cat."]], [["Dog"], ["dog", "a caT"]]),
        ("case", ["title"], [["Dog", "A Cat."]], [["dog"], ["A cat"], ["DOG"]]),
        ("order", ["alphabetical"], [["a", "B", "c"], ["a"]], [["b", "a"], ["a", "c", "b"]]),
        ("order", ["reverse"], [["c", "B", "a"]], [["a", "b"], ["c", "a", "b"]]),
        ("first", ["dog"], [["Dog", "cat"]], [["cat", "dog"], ["dogs"]]),
        ("last", ["dog"], [["cat", "Dog"]], [["dog", "cat"], ["cat", "dogs"]]),
        ("include", ["dog", "cat"], [["A dog.", "The Cat."]], [["A dog."], ["dogs", "cat"], ["catdog"]]),
        ("avoid", ["dog"], [["cat"], ["dogs"]], [["A DOG."], ["cat", "dog"]]),
        ("times", ["dog", 2], [["dog", "A Dog."], ["dog dog"]], [["dog"], ["dog", "dogs"], ["dog", "dog", "dog"]]),
        ("words", [2], [["a b.", "c d"]], [["a b", "c"], ["a b c"]]),
        ("most", [3], [["a b", "c"], ["a"]], [["a b", "c d"]]),
        ("least", [3], [["a b", "c"], ["a b c d"]], [["a b"]]),
    ],
)  # fmt: skip
def test_each_check(name, arguments, right, wrong):
    for parts in right:
        assert CHECKS[name](Reply(tuple(parts)), *arguments)
    for parts in wrong:
        assert not CHECKS[name](Reply(tuple(parts)), *arguments)


def test_checks_of_keys_and_values():
    reply = Reply(("Dog", "red"), ("animal", "colour"))
    assert CHECKS["keys"](reply, "animal", "colour")
    assert not CHECKS["keys"](reply, "colour", "animal")
    assert not CHECKS["keys"](reply, "animal")
    assert not CHECKS["keys"](Reply(("red", "dog"), ("animal", "colour")), "animal", "colour")
    assert CHECKS["value"](reply, "animal", "dog")
    assert not CHECKS["value"](reply, "animal", "red")
    assert not CHECKS["value"](reply, "fruit", "dog")


@pytest.mark.parametrize(
    ("case", "right", "wrong"),
    [
        ("upper", "CAT, HORSE AND ELEPHANT", "CAT, HORSE and ELEPHANT"),
        ("title", "Cat, Horse, And Elephant.", "Cat, Horse, and Elephant."),
        ("lower", "cat and horse and elephant", "cat AND horse and elephant"),
    ],
)
def test_the_words_that_join_a_list_are_written_as_the_rest(case, right, wrong):
    asked = json.dumps({"layout": "free", "checks": [["count", 3], ["from", "animal"], ["case", case]]})
    assert holds(asked, right)
    assert not holds(asked, wrong)


@pytest.mark.parametrize(
    ("layout", "text", "parts"),
    [
        ("commas", "a, b,c", ["a", "b", "c"]), ("commas", "a, b.", ["a", "b"]), ("commas", "a\nb", None),
        ("semicolons", "a; b", ["a", "b"]), ("lines", "a\n\n b ", ["a", "b"]),
        ("numbered", "1. a\n2) b", ["a", "b"]), ("numbered", "1. a\n3. b", None), ("numbered", "1. a\nb", None),
        ("numbered", "2. a", None), ("numbered", "1.a", None), ("bullets", "- a\n* b", ["a", "b"]),
        ("bullets", "- a\nb", None), ("bullets", "-a", None), ("sentences", "A b. C d.\nE.", ["A b.", "C d.", "E."]),
        ("free", "a b", ["a", "b"]), ("free", "a; b", ["a", "b"]), ("free", "a, b.", ["a", "b"]),
        ("free", "1. a\n2. b", ["a", "b"]), ("free", "- a\n- b", ["a", "b"]), ("free", "a,\nb", ["a", "b"]),
        ("free", "a, b and c", ["a", "b", "c"]), ("free", "a, b, AND c.", ["a", "b", "c"]),
        ("free", "a and b", ["a", "b"]), ("free", "a.\nb.", ["a", "b"]), ("commas", "a, b and c", ["a", "b and c"]),
        ("pairs", "x: a\ny : B", ["a", "B"]), ("pairs", "x a", None), ("pairs", "x: a b", None),
        ("json", '{"x": "a", "y":"b"}', ["a", "b"]), ("json", '{"x": "a"', None), ("json", '{"x": a}', None),
        ("json", "{}", None), ("json", '{"x": "a",}', None),
    ],
)  # fmt: skip
def test_layouts(layout, text, parts):
    reply = LAYOUTS[layout](text)
    assert (reply and list(reply.parts)) == parts


@given(st.dictionaries(st.text("abc", min_size=1), st.text("xyzXYZ", min_size=1), min_size=1), st.booleans())
def test_json_is_read_as_the_json_library_reads_it(mapping, compact):
    text = json.dumps(mapping, separators=(",", ":") if compact else (", ", ": "))
    reply = LAYOUTS["json"](text)
    assert reply is not None
    assert dict(zip(reply.keys, reply.parts, strict=True)) == json.loads(text)


GOOD = "The gull drifts slowly. Some grey boats turn near the shore. The seals are big and old."


@pytest.mark.parametrize(
    ("check", "text"),
    [
        (["words", 4], GOOD),
        (["include", "whale"], GOOD),
        (["include", "gulls"], GOOD),
        (["avoid", "boats"], GOOD),
        (["times", "gull", 2], GOOD),
        (["most", 16], GOOD),
        (["least", 18], GOOD),
        (["case", "upper"], GOOD),
        (["case", "lower"], GOOD),
        (["case", "title"], GOOD),
        (["count", 3], GOOD.replace("slowly. Some", "slowly, some")),
        (["count", 3], GOOD + " The end."),
        (["count", 3], GOOD.replace("gull", "cow")),
        (["count", 3], "drifts The gull slowly. turn Some grey boats near the shore. The seals big and old are."),
    ],
)
def test_sentences_that_break_one_constraint(check, text):
    base = [["about", "the sea"], ["different"]]
    assert holds(json.dumps({"layout": "sentences", "checks": [["count", 3], *base, ["include", "gull"]]}), GOOD)
    assert not holds(json.dumps({"layout": "sentences", "checks": [*base, check]}), text)
