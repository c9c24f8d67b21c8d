import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from dus.lab.analysis import Traced, report
from dus.lab.analysis.pictures import certainty, positions
from dus.lab.analysis.pictures.film import COLUMNS, MOST_FRAMES, _laid_out, film
from dus.lab.analysis.pictures.player import page
from dus.lab.analysis.pictures.tokens import Word, shown, step_colour, words
from dus.writing import style

from .conftest import HOSTILE, answer, dus_steps


def check(path):
    """PNG and SVG of a picture are what they say, and small."""
    png, svg = path.with_name(path.name + ".png"), path.with_name(path.name + ".svg")
    with Image.open(png) as image:
        image.verify()
    root = ET.parse(svg).getroot()
    assert root.tag.endswith("svg")
    assert png.stat().st_size < 200_000
    assert svg.stat().st_size < 300_000


def test_long_generations_stay_small(tmp_path):
    rng = np.random.default_rng(0)
    block = np.arange(256) // 32
    entropies = np.where(block == block[:, None], rng.random((256, 256)), np.nan)
    step = np.concatenate([rng.permutation(32) + start for start in range(0, 256, 32)])
    run = Traced("dus", 32, (answer([f" w{number}" for number in range(256)], step.tolist(), entropies=entropies),))
    positions.positions(tmp_path / "positions", [run] * 2)
    certainty.entropy_map(tmp_path / "entropy", [run] * 2)
    film(tmp_path / "film.gif", [run, run])
    check(tmp_path / "positions")
    check(tmp_path / "entropy")
    assert (tmp_path / "film.gif").stat().st_size < 500_000


def test_the_same_pictures_come_out_the_same(runs, tmp_path):
    for name in ("one", "two"):
        positions.positions(tmp_path / name, runs[:1])
    for suffix in (".png", ".svg"):
        assert (tmp_path / f"one{suffix}").read_bytes() == (tmp_path / f"two{suffix}").read_bytes()


def test_an_answer_that_ends_where_it_begins_has_pictures(tmp_path):
    run = Traced("dus", 4, (answer("", []), answer("abcd", [0, 1, 0, 1])))
    report.write(tmp_path / "folder", [run], command="dus analyze …", errors=False, before_end=True)
    assert "](" in (tmp_path / "folder/analysis.md").read_text(encoding="utf-8")


def test_no_picture_of_no_pairs(tmp_path):
    assert not positions.distances(tmp_path / "x", [Traced("dus", 4, (answer("abcd", [3, 0, 2, 1]),))])
    assert list(tmp_path.iterdir()) == []


def test_a_histogram_is_the_share_of_pairs():
    run = Traced("dus", 8, (answer(["x"] * 16, dus_steps(8, 2)), answer(["x"] * 3, [0, 0, 1])))
    # {0, 4}, {2, 6} and {1, 3, 5, 7}, twice, and one pair of neighbours.
    count = np.zeros(7)
    count[[0, 1, 3, 5]] = [1, 2 * 3, 2 * (2 + 2), 2 * 1]
    np.testing.assert_allclose(positions.histogram(run), count / 17)


def test_scores_by_step():
    one = answer("abcd", [0, 0, 1, 1], entropy=np.array([1.0, 3.0, 5.0, np.nan]))
    two = answer("ab", [0, 1], entropy=np.array([5.0, 2.0]))
    value, low, high = certainty.by_step(Traced("dus", 4, (one, two)), "entropy")
    np.testing.assert_allclose(value, [3, 3.5])
    assert (low <= value).all()
    assert (value <= high).all()


def test_planners_keep_their_colours():
    some, more = style.colours(["dus", "eb"]), style.colours(["confidence(like=dus)", "eb", "dus", "cb(tau=0.5)"])
    assert all(some[planner] == more[planner] for planner in some)
    assert len(set(more.values())) == 4


def luminance(colour):
    """The relative luminance of the contrast rule of WCAG 2."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return np.dot(linear, [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("count", [1, 2, 5, 64])
def test_ink_can_be_read_on_every_step(count):
    for step in range(count):
        paper, ink = map(luminance, step_colour(step, count))
        assert (max(paper, ink) + 0.05) / (min(paper, ink) + 0.05) > 4.5


def test_every_token_is_visible(runs):
    assert all(shown(piece).isprintable() and shown(piece) for piece in HOSTILE)
    assert shown("\n") == "⏎"
    assert shown(" a b") == " a b"
    found = words(runs[0])
    assert [word.step for word in found] == runs[0].answers[0].step.tolist()
    assert found[0].about == "position 0, step 1, confidence 0.08, entropy 0.00 bits"


class Reader(HTMLParser):
    """What a browser would make of the page."""

    def __init__(self):
        super().__init__()
        self.tags, self.attributes, self.tokens, self.inside = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes.append(dict(attrs))
        self.inside.append(tag)
        if tag == "span":
            self.tokens.append("")

    def handle_endtag(self, tag):
        if tag in self.inside:
            while self.inside.pop() != tag:
                pass

    def handle_data(self, data):
        if self.inside and self.inside[-1] == "span":
            self.tokens[-1] += data


def test_the_page_holds_the_tokens_as_text_and_fetches_nothing(runs, tmp_path):
    path = page(tmp_path / "page.html", runs[:2])
    text = path.read_text(encoding="utf-8")
    reader = Reader()
    reader.feed(text)
    assert reader.tokens == [shown(piece).replace("⏎", "⏎\n") for piece in HOSTILE] * 2
    assert reader.tags.count("script") == 1
    assert {"img", "b", "link", "iframe"}.isdisjoint(reader.tags)
    assert not any({"src", "href", "onerror", "onclick"} & attributes.keys() for attributes in reader.attributes)
    assert not re.search(r"https?:|url\(|@import", text)
    assert "default-src 'none'" in text
    slider = next(attributes for attributes in reader.attributes if attributes.get("type") == "range")
    assert int(slider["max"]) == 4


def test_the_policy_of_the_page_names_its_script(runs, tmp_path):
    import base64
    import hashlib

    text = page(tmp_path / "page.html", runs[:1]).read_text(encoding="utf-8")
    script = re.search("<script>(.*?)</script>", text, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in text


def test_the_film_has_a_frame_for_each_step(runs, tmp_path):
    path = film(tmp_path / "film.gif", runs[:2])
    with Image.open(path) as image:
        assert image.n_frames == 4 + 1
        frames = []
        for number in range(5):
            image.seek(number)
            frames.append(np.asarray(image.convert("RGB")).astype(int))
    assert all((frame[0] == 255).all() for frame in frames)
    assert all(np.abs(before - after).sum() > 0 for before, after in pairwise(frames))


def test_a_long_film_leaves_steps_out(tmp_path):
    count = 2 * MOST_FRAMES + 5
    run = Traced("dus", count, (answer(["x"] * count, list(range(count))),))
    with Image.open(film(tmp_path / "film.gif", [run])) as image:
        assert image.n_frames <= MOST_FRAMES + 1


def test_every_letter_of_the_film_has_its_own_place():
    texts = ["a" * 5, " word", "x" * 200, "one⏎two", "⏎", "⏎⏎", "end"]
    cells = _laid_out([Word(text, 0, "#000000", "#ffffff", "") for text in texts])
    taken = [(cell.line, cell.column + at) for cell in cells for at in range(len(cell.text))]
    assert len(taken) == len(set(taken)) == sum(map(len, texts))
    assert taken == sorted(taken)
    assert all(column < COLUMNS for _, column in taken)
    assert "".join(cell.text for cell in cells) == "".join(texts)


def test_the_folder_shows_every_picture_that_it_holds(runs, tmp_path):
    judged = [run.judged(["1 + 1 = 2 #### 2"] * 2, lambda number, _: number == 0) for run in (*runs[:2], runs[2])]
    path = report.write(tmp_path / "new" / "folder", judged, command="dus analyze …", errors=True, before_end=True)
    shown_there = set(re.findall(r"\]\(([\w.-]+)\)", path.read_text(encoding="utf-8")))
    files = {file.name for file in path.parent.iterdir()}
    assert shown_there <= files
    assert {name for name in files if name.endswith((".png", ".gif", ".html"))} <= shown_there
    pictures = {name.removesuffix(".png") for name in shown_there if name.endswith(".png")}
    kinds = {"distances", "over-steps", "early"} | {
        f"{kind}-{n}" for kind in ("positions", "entropy", "errors") for n in (4, 6)
    }
    assert pictures == kinds
    for name in pictures:
        check(path.parent / name)
    assert files - shown_there - {f"{name}.svg" for name in pictures} == {
        "analysis.md",
        "traces.json",
        "spacing.csv",
        "errors.csv",
    }


def test_what_was_not_kept_is_not_drawn(runs, tmp_path):
    blank = np.full(12, np.nan)
    bare = replace(runs[0].answers[0], confidence=blank, entropy=blank, entropies=None, pieces=("",) * 12)
    report.write(tmp_path, [replace(runs[2], answers=(bare,))], command="")
    pictures = {path.stem for path in tmp_path.iterdir() if path.suffix in (".png", ".gif")}
    assert pictures == {"positions-6", "distances"}


def test_a_missing_matplotlib_is_told(monkeypatch):
    monkeypatch.setattr(style, "find_spec", lambda _: None)
    with pytest.raises(style.PictureError, match="pictures need matplotlib"):
        style.require_matplotlib()
