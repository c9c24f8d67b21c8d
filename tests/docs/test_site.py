"""The site: it is built without a warning, has every public name, and asks nothing of another host."""

import re
import shutil
import subprocess
import sys

import pytest

import dus
from dus import decoding, denoisers, planners

from .pages import DOCS, ROOT, text

OTHER_HOSTS = re.compile(r'<(?:script|link|img|iframe)[^>]*(?:src|href)="(?:https?:)?//[^"]*"')


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.mark.parametrize("module", [dus, planners, decoding, denoisers], ids=lambda module: module.__name__)
def test_every_public_name_is_in_the_reference(module):
    pages = "\n".join(map(text, (DOCS / "reference").glob("*.md")))
    shown = {path.rsplit(".", 1)[-1] for path in re.findall(r"(?:^::: |`)(dus\.[\w.]+)", pages, re.MULTILINE)}
    assert {name for name in module.__all__ if not name.startswith("__")} - shown == set()


def test_the_reference_shows_what_docstrings_say(site):
    page = (site / "reference/generation.html").read_text(encoding="utf-8")
    for said in ("Answer prompts with a masked diffusion language model.", "max_new_tokens", "GenerationError"):
        assert said in page


def test_nothing_is_fetched_from_another_host(site):
    pages = list(site.rglob("*.html"))
    assert len(pages) > 50
    assert [(page, found) for page in pages for found in OTHER_HOSTS.findall(page.read_text(encoding="utf-8"))] == []


def test_the_search_finds_pages_on_the_disk(site):
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("there is no Chromium here")
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page, asked = browser.new_page(), []
        page.on("request", lambda request: asked.append(request.url))
        page.goto((site / "guides/speed.html").as_uri())
        page.click(".md-search__input")
        page.keyboard.type("deferred", delay=30)
        page.locator(".md-search-result__item").first.wait_for()
        assert "deferred" in page.locator(".md-search-result__list").inner_text().lower()
        browser.close()
    assert [url for url in asked if not url.startswith("file:")] == []
