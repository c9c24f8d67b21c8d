"""The picture of the live page: python -m dus.serving.screenshot docs/pictures/page.png."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlencode

from dus.serving.service import ServingError
from dus.writing.files import replacing

_PROMPT = "Define a function smallest_scale(nums) which finds the smallest number in nums, or 0 if it is empty, next "
_SHOWN = {"prompt": _PROMPT + "multiplies the result by 84.", "tokens": 32, "block": 16}


def take(url: str, path: Path) -> None:
    """Run the page's planners in Chromium, and keep what it looks like.

    Args:
        url: The address of a server of the bundled model.
        path: A PNG file.

    Raises:
        ServingError: There is no Chromium.
    """
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise ServingError("a picture of the page needs Chromium: apt-get install chromium")
    with sync_playwright() as engine, replacing(path) as partial:
        browser = engine.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 800}, color_scheme="light")
        page.goto(f"{url}/#{urlencode(_SHOWN)}")
        page.select_option("#speed", "0")
        page.click("#run")
        page.locator(".panel[data-done=true]").nth(2).wait_for()
        page.locator(".cell").nth(5).hover()
        page.screenshot(path=partial, full_page=True, animations="disabled")
        browser.close()


def main(arguments: list[str]) -> None:
    """Start a server, take its picture, and end it."""
    call = "import sys; from dus.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", call, "serve", "--port", "0", "--dtype", "float32"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            told = re.search(r"http://\S+", server.stdout.readline())
            if told is None:
                raise ServingError("the server did not start")
            take(told[0], Path(arguments[0]))
        finally:
            server.terminate()


if __name__ == "__main__":
    main(sys.argv[1:])
