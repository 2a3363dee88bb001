"""What browser tests share: when a page stands still, what it must fit, and how a file is taken away."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qs, urlparse

from playwright.sync_api import Locator, Page, expect

APP = '[data-testid="stApp"]'
SETTLED = f'{APP}[data-test-connection-state="CONNECTED"][data-test-script-state="notRunning"]'
DRAWN = ".stVegaLiteChart svg"
PATIENCE = 30_000  # milliseconds for what is there at once on a machine at rest
HOST = 90_000  # milliseconds until a cold host has its first answer, on a busy machine
SIZES = ((1440, 900), (390, 844))
SCHEMES: tuple[Literal["light"], Literal["dark"]] = ("light", "dark")
STILL_FITS = """narrow => new Promise(done => {
  let held = 0;
  const look = () => {
    const main = document.querySelector('[data-testid=stMain]');
    const within = [...document.querySelectorAll(narrow)].every(
      each => each.getBoundingClientRect().right <= innerWidth + 1);
    held = within && main.scrollWidth <= main.clientWidth ? held + 1 : 0;
    if (held > 9) done(true); else requestAnimationFrame(look);
  };
  look();
})"""

expect.set_options(timeout=PATIENCE)


def settle(page: Page, figures: int | None = None) -> None:
    """Wait until the app is connected, its script has run, and so many figures are drawn."""
    page.wait_for_selector(SETTLED, timeout=HOST)
    if figures is not None:
        expect(page.locator(DRAWN)).to_have_count(figures, timeout=HOST)


def query(page: Page) -> dict[str, list[str]]:
    """The query string of the page's address."""
    return parse_qs(urlparse(page.url).query)


def take(page: Page, button: Locator) -> bytes:
    """The file that a button gives, once the page stands still.

    By key: under a pointer the button could move away, as what stands above it is still being drawn.
    """
    expect(button).to_be_enabled()
    settle(page)
    with page.expect_download(timeout=HOST) as caught:
        button.press("Enter")
    return Path(str(caught.value.path())).read_bytes()


def looks(page: Page, name: str, within: str = DRAWN) -> Iterator[tuple[int, str]]:
    """Goes through widths, in light and back in dark; in each nothing of the page or of `within` reaches over the edge.

    Each is a picture in the folder of REPLORA_SCREENSHOTS, where that is set.
    """
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        expect(page.locator(APP)).to_have_css("color-scheme", scheme)
        for width, height in SIZES if scheme == "light" else SIZES[::-1]:
            page.set_viewport_size({"width": width, "height": height})
            page.wait_for_function(STILL_FITS, arg=within)
            yield width, scheme
            if folder := os.environ.get("REPLORA_SCREENSHOTS"):
                Path(folder).mkdir(parents=True, exist_ok=True)
                page.screenshot(path=f"{folder}/{name}_{width}_{scheme}.png")


def legible_from_the_last_row(page: Page) -> None:
    """What a projector must show: words of pictures and verdicts, and pictures, of at least these pixels."""
    pixels = "all => all.filter(one => one.textContent.trim()).map(one => parseFloat(getComputedStyle(one).fontSize))"
    for shown, least in ((f"{DRAWN} text", 20), (".verdict", 28), ("h1, h2, p.footnote, .card p", 20)):
        sizes: list[float] = page.locator(shown).evaluate_all(pixels)
        assert all(size >= least for size in sizes), (shown, sizes)
    heights: list[float] = page.locator(DRAWN).evaluate_all("all => all.map(one => one.getBoundingClientRect().height)")
    assert heights
    assert min(heights) >= 360
