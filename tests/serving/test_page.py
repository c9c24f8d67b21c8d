"""The live page in a browser: what it shows is what the engine did, with a mouse, without one, and on a phone."""

import shutil
import time
from contextlib import contextmanager

import pytest

import dus

from .running import SUM, Slow, running

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here: apt-get install chromium")
SETTINGS = {"max_new_tokens": 32, "block_length": 8, "cache": "auto"}


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def opened(browser, server, path="/", width=1280, height=900):
    """The page; whatever it says on the console, or asks of another host, is an error."""
    page = browser.new_page(viewport={"width": width, "height": height})
    page.set_default_timeout(20_000)
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(server.url + path)
    until(page, "document.getElementById('model').textContent")
    yield page
    # Chromium itself writes there what a server refuses, such as a planner that is none.
    assert [text for text in said if "400 (Bad Request)" not in text] == []
    assert [url for url in asked if not url.startswith((server.url, "data:"))] == []
    assert any("/v1/" in url for url in asked)
    page.close()


def until(page, expression):
    """Wait until an expression holds; the page's own policy forbids Playwright's way."""
    end = time.monotonic() + 20
    while not page.evaluate(expression):
        assert time.monotonic() < end, expression
        page.wait_for_timeout(20)


def done(page):
    until(
        page,
        "[...document.querySelectorAll('.panel')].every(panel => panel.dataset.done === 'true')"
        " && document.getElementById('run').textContent === 'Run'",
    )


def cells(page, panel=0):
    return page.locator(".panel").nth(panel).locator(".cell")


def test_a_prompt_is_typed_and_answered_by_every_planner_as_the_engine_does(browser, server, model):
    with opened(browser, server) as page:
        planners = [field.input_value() for field in page.locator(".who input").all()]
        assert planners == ["dus", "confidence(like=dus)", "cb(tau=0.9)"]
        page.fill("#prompt", SUM)
        page.fill("#block", "8")
        page.select_option("#speed", "0")
        page.click("#run")
        done(page)
        for number, planner in enumerate(planners):
            right = dus.generate(model, SUM, planner=planner, **SETTINGS)
            panel = page.locator(".panel").nth(number)
            assert panel.locator(".answer").text_content() == right.text[0]
            assert panel.locator(".calls").text_content() == str(right.nfe[0])
            assert panel.locator(".tpf").text_content() == f"{right.tpf[0]:.1f}"
            assert float(panel.locator(".seconds").text_content()) > 0
            shown = [cell.get_attribute("aria-label") for cell in panel.locator(".cell").all()]
            steps, entropies = right.trace.step[0].tolist(), right.trace.entropy[0].tolist()
            for at, (step, entropy) in enumerate(zip(steps, entropies, strict=True)):
                assert f"position {at + 1}: " in shown[at]
                assert f"call {step + 1}, " in shown[at]
                assert f"entropy {entropy:.2f} bits" in shown[at] or abs(entropy * 100 % 1 - 0.5) < 0.01
            assert all(text.endswith("masked") for text in shown[len(steps) :])
            colours = [cell.evaluate("cell => cell.style.background") for cell in panel.locator(".cell").all()]
            assert len(set(colours[:8])) == len(set(steps[:8]))
        cells(page).nth(2).hover()
        assert page.locator(".detail").first.text_content() == cells(page).nth(2).get_attribute("aria-label")


def test_it_pauses_goes_call_by_call_and_replays(browser, model):
    with running(Slow(model, 0.02)) as server, opened(browser, server) as page:
        page.select_option("#speed", "10")
        page.click("#run")
        until(page, "document.getElementById('time').value >= 2")
        page.click("#pause")
        at = int(page.input_value("#time"))
        done_by_then = page.locator(".calls").first.text_content()
        page.wait_for_timeout(300)
        assert int(page.input_value("#time")) == at
        assert page.locator(".calls").first.text_content() == done_by_then
        page.click("#back")
        assert int(page.input_value("#time")) == at - 1
        written = sum(bool(text) for text in cells(page, 2).all_text_contents())
        page.click("#forth")
        assert sum(bool(text) for text in cells(page, 2).all_text_contents()) > written
        until(page, "document.getElementById('run').textContent === 'Run'")
        page.click("#replay")
        done(page)
        assert (
            page.locator("#clock").text_content() == f"call {page.input_value('#time')} of {page.input_value('#time')}"
        )


def test_it_works_without_a_mouse(browser, server):
    with opened(browser, server) as page:
        page.focus("#prompt")
        page.keyboard.press("Control+Enter")
        page.select_option("#speed", "0")
        done(page)
        page.evaluate("document.activeElement.blur()")
        end = int(page.input_value("#time"))
        page.keyboard.press("ArrowLeft")
        assert int(page.input_value("#time")) == end - 1
        page.keyboard.press("ArrowRight")
        cells(page).first.focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowDown")
        assert page.locator(".detail").first.text_content().startswith("position 10:")
        assert "calls" in page.locator("#status").text_content()


def test_schedules_are_drawn_before_it_runs(browser, server):
    with opened(browser, server) as page:
        page.wait_for_selector(".panel svg")
        assert page.locator(".panel").first.locator("svg rect").count() == 16
        assert "4 calls a block of 16" in page.locator(".plan").first.text_content()
        page.locator(".plan", has_text="No schedule").first.wait_for()
        page.locator(".who input").nth(1).fill("no")
        page.locator(".who input").nth(1).blur()
        page.locator(".plan.wrong", has_text="no planner is named 'no'").wait_for()


def test_a_link_holds_the_settings(browser, server):
    path = "/#prompt=Hello&tokens=12&block=4&temperature=0.5&seed=7&planner=dus&planner=saber(n%3D3)"
    with opened(browser, server, path) as page:
        assert page.input_value("#prompt") == "Hello"
        assert [field.input_value() for field in page.locator(".who input").all()] == ["dus", "saber(n=3)"]
        page.select_option("#speed", "0")
        page.click("#run")
        done(page)
        link = page.url
        answers = page.locator(".answer").all_text_contents()
        page.click("#add")
        assert page.locator(".panel").count() == 3
        page.locator(".who button").nth(1).click()
        assert page.locator(".panel").count() == 2
    with opened(browser, server, link.removeprefix(server.url)) as page:
        page.select_option("#speed", "0")
        page.click("#run")
        done(page)
        assert page.locator(".answer").all_text_contents() == answers


def test_it_fits_a_phone(browser, server):
    with opened(browser, server, width=390, height=844) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.select_option("#speed", "0")
        page.click("#run")
        done(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        sizes = page.evaluate("[...document.querySelectorAll('button')].map(one => one.getBoundingClientRect().height)")
        assert min(sizes) >= 32


def test_stopping_gives_the_rows_back(browser, model):
    slow = Slow(model, 0.05)
    with running(slow) as server, opened(browser, server, "/#prompt=x&tokens=300&block=32&planner=confidence") as page:
        page.click("#run")
        until(page, "document.getElementById('time').max >= 2")
        page.click("#run")
        page.locator(".answer.wrong", has_text="stopped").wait_for()
        page.wait_for_timeout(300)
        assert len(server.service.rows) == 0
