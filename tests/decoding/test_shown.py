"""What a generation looks like: short in a terminal, coloured by step in a notebook, and never a tensor."""

import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser

import dus

from .standins import Pieces, hashed, scripted
from .test_infill import lettering


class Spans(HTMLParser):
    """Every coloured piece of a page: its text, its colour, its title."""

    def __init__(self, page):
        super().__init__()
        self.found, self.open = [], None
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.open = dict(attributes) if tag == "span" else None

    def handle_endtag(self, tag):
        self.open = None

    def handle_data(self, data):
        if self.open:
            self.found.append((data, re.search(r"rgb\(.*?\)", self.open["style"])[0], self.open["title"]))


def shown(page):
    return [unescape(re.sub("<[^>]*>", "", part)) for part in re.findall("<pre.*?>(.*?)</pre>", page, re.DOTALL)]


def test_an_answer_is_coloured_by_the_step_that_wrote_it():
    got = dus.generate(lettering(), ["a", "<b> & c"], max_new_tokens=16, block_length=8, eos="ignore")
    page = got._repr_html_()
    assert shown(page) == got.text
    spans = Spans(page).found
    assert "".join(text for text, _, _ in spans) == "".join(got.text)
    assert [title for _, _, title in spans[:8]] == [f"step {at + 1} of the block" for at in got.trace.step[0][:8]]
    assert len({(colour, title) for _, colour, title in spans}) == len({title for _, _, title in spans}) == 3


def test_a_filled_text_is_coloured_where_it_was_filled():
    got = dus.infill(lettering(1), "x < [MASK][MASK] & y")
    assert shown(got._repr_html_()) == got.text
    assert "".join(text for text, _, _ in Spans(got._repr_html_()).found) == got.text[0][4:6]


def test_ids_are_shown_where_there_is_no_text_and_many_answers_are_cut():
    got = dus.generate(hashed(2), [[3]] * 6, max_new_tokens=4, eos="ignore")
    page = got._repr_html_()
    assert shown(page) == ["".join(f"{token} " for token in tokens.tolist()) for tokens in got.tokens[:4]]
    assert "and 2 more" in page


def test_in_a_terminal_it_is_a_line_for_each_answer():
    model = scripted([2, 3, 1], before=1, tokenizer=Pieces("ab", "c"))
    got = dus.generate(model, "c", max_new_tokens=4)
    assert repr(got) == "Generation of 1 row under dus\n  'abc'  (2 calls, 1.00 tokens a call)"
    assert "tensor" not in repr(got)
    many = dus.generate(model, ["c"] * 9, max_new_tokens=4)
    assert repr(many).splitlines()[-1] == "  and 5 more"
    assert all(len(line) < 150 for line in repr(replace(many, text=["x" * 900] * 9)).splitlines())
