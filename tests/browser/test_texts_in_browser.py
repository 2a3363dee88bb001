"""A race on texts to continue in a real browser, on the language model's twin: chosen, played, shared, left again."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from browsing import HOST, STILL_FITS, looks, query, settle
from playwright.sync_api import Locator, Page, expect
from twin import NAME, write_twin

Open = Callable[..., Page]
SHORT = "adapted_blocks=3&steps=6&evaluate_every=2&test_examples=6&learning_rate=0.01"


@pytest.fixture(scope="module")
def server(
    cold_server: Callable[[Path], AbstractContextManager[str]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A server that has the twin where the packaged model is kept."""
    data = tmp_path_factory.mktemp("texts")
    write_twin(data / "models" / NAME)
    with cold_server(data) as address:
        yield address


def choose(page: Page, task: str) -> None:
    page.locator(".st-key-race-task").get_by_role("combobox").click()
    page.get_by_role("option", name=task).click()
    settle(page, 4)


def control(page: Page, name: str) -> Locator:
    return page.locator(f".st-key-race-{name} [data-testid=stSliderThumbValue]")


def standing(page: Page) -> Locator:
    return page.locator(".standing b")


def test_plays_are_chosen_played_and_shared_in_nats(server: str, open_page: Open) -> None:
    page = open_page(f"{server}/race?task=devils_dictionary&{SHORT}")
    choose(page, "Plays")
    assert query(page) == {"task": ["plays"]} | {name: [value] for name, value in re.findall(r"(\w+)=([^&]+)", SHORT)}
    page.locator(".st-key-race-play button:visible").click()
    expect(standing(page)).to_contain_text("Finished", timeout=HOST)
    expect(page.locator(".verdict")).to_have_text(
        re.compile(r"^(RepLoRA|LoRA) is \d\.\d{3} nats a token ahead, with one seed: an anecdote, not a finding\.$")
    )
    expect(page.locator(".card.replora .value")).to_contain_text("nats")
    expect(page.locator(".card.replora")).to_contain_text(re.compile(r"perplexity [\d.]+, untouched [\d.]+"))
    curves = page.locator(".st-key-race-figure-test_loss svg.marks")
    expect(curves.locator(".mark-line path").first).to_have_attribute("d", re.compile(r"M.*L"))
    expect(curves.locator("text", has_text="untouched")).to_be_visible()
    expect(page.locator(".st-key-race-figure-difference")).to_contain_text("nats a token of test loss")
    expect(page.locator(".st-key-race-figure-loss h2")).to_contain_text("nats a token")

    link, verdict = page.url, page.locator(".verdict").inner_text()
    other = open_page(link)
    expect(other.locator(".verdict")).to_have_text(verdict)
    expect(control(other, "adapted_blocks")).to_have_text("3")
    page.wait_for_function(STILL_FITS, arg=".card")


def test_another_kind_of_task_brings_its_own_settings_and_so_does_the_way_back(server: str, open_page: Open) -> None:
    page = open_page(f"{server}/race")
    page.locator(".stExpander summary", has_text="More").click()
    expect(control(page, "steps")).to_have_text("100")
    choose(page, "Plays")
    for name, value in (("steps", "20"), ("batch_size", "8"), ("adapted_blocks", "30"), ("learning_rate", "0.001")):
        expect(control(page, name)).to_have_text(value)
    assert query(page) == {"task": ["plays"]}
    choose(page, "Digits")
    for name, value in (("steps", "100"), ("batch_size", "16"), ("adapted_blocks", "3"), ("learning_rate", "0.0003")):
        expect(control(page, name)).to_have_text(value)
    assert query(page) == {}


def test_the_page_of_texts_fits_the_screen(server: str, open_page: Open) -> None:
    page = open_page(f"{server}/race?task=plays&{SHORT}")
    for _ in looks(page, "race_texts", ".card"):
        expect(page.locator(".st-key-race-play button:visible")).to_be_in_viewport()
