"""The page 'Generated text' in a real browser, the twin of the language model in the job host."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from browsing import HOST, looks, query, settle
from playwright.sync_api import Page, expect
from stored_race import keep_twin, store_race

Open = Callable[..., Page]
JOB = "5" * 32
CONTRAST = """() => {
  const luminance = colour => {
    const [r, g, b] = colour.match(/[\\d.]+/g).slice(0, 3).map(Number).map(each => {
      const share = each / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  return [...document.querySelectorAll('.legend .scale span')].filter(each => each.className).map(each => {
    const style = getComputedStyle(each);
    const [low, high] = [luminance(style.color), luminance(style.backgroundColor)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  });
}"""


@pytest.fixture(scope="module")
def served(
    cold_server: Callable[..., AbstractContextManager[str]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A server that has the twin and a finished race on plays."""
    data: Path = tmp_path_factory.mktemp("texts")
    with pytest.MonkeyPatch.context() as patch:
        keep_twin(data, patch)
        store_race(data, JOB)
    with cold_server(data) as address:
        yield address


@pytest.fixture
def visit(open_page: Open, served: str) -> Open:
    """`visit(query)`: the page on that race, once all is written."""

    def start(more: str = "") -> Page:
        page = open_page(f"{served}/generation?run={JOB}{more}", figures=None)
        expect(page.locator(".texts .text")).to_have_count(9, timeout=HOST)
        expect(page.locator(".caret")).to_have_count(0, timeout=HOST)
        return page

    return start


def words(page: Page, look: str) -> list[str]:
    return page.locator(f".texts .{look} p").all_inner_texts()


def test_three_models_go_on_with_three_prompts_and_tokens_say_what_changed(visit):
    page = visit()
    untouched, lora, ours = (words(page, look) for look in ("frozen", "lora", "replora"))
    assert [text.startswith("The weather today is") for text in untouched] == [True, False, False]
    assert untouched != lora != ours
    expect(page.locator(".texts .frozen .token")).to_have_count(0)
    changed = page.locator(".texts .token.raised3, .texts .token.lowered3, .texts .token.raised1").first
    title = changed.get_attribute("title") or ""
    assert "nats: " in title
    assert title[0] in "+\u2212"
    assert changed.evaluate("each => getComputedStyle(each).backgroundColor") != "rgba(0, 0, 0, 0)"
    label = page.locator(".texts .lora").first.get_attribute("aria-label") or ""
    assert label.startswith("LoRA, after step 4: ")
    assert "of 24 tokens raised" in label
    expect(page.locator("p.verdict")).to_contain_text("After step 4 LoRA has changed")
    expect(page.get_by_text("A few sentences are a sample, and no verdict.")).to_contain_text("nats a token")


def test_the_scrubber_goes_back_to_the_untouched_text(visit):
    page = visit()
    slider = page.get_by_role("slider", name="step of the race")
    expect(slider).to_have_attribute("aria-valuetext", "4")
    slider.focus()
    page.keyboard.press("Home")
    expect(slider).to_have_attribute("aria-valuetext", "0")
    page.wait_for_url("**step=0**")
    expect(page.locator("p.verdict")).to_contain_text("After step 0 LoRA has changed 0 of 3 texts")
    assert words(page, "frozen") == words(page, "lora") == words(page, "replora")
    expect(page.locator(".texts .token.raised1, .texts .token.lowered1")).to_have_count(0)
    page.keyboard.press("End")
    expect(page.locator("p.verdict")).to_contain_text("After step 4")
    assert words(page, "frozen") != words(page, "replora")


def test_a_prompt_of_ones_own_and_draws_of_a_seed(visit):
    page = visit()
    page.get_by_role("textbox", name="Prompts, one a line").fill("My lord, what news")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".texts .text")).to_have_count(3)
    expect(page.locator(".texts .asked").first).to_have_text("My lord, what news")
    expect(page.locator(".caret")).to_have_count(0)
    greedy = words(page, "replora")
    page.get_by_role("radio", name="Drawn").click()
    page.wait_for_url("**temperature=0.8**")
    expect(page.locator(".texts .replora p").first).not_to_have_text(greedy[0])
    settle(page)
    assert "seed" not in query(page)  # the first one


def test_a_text_too_long_is_one_sentence(visit):
    page = visit()
    page.get_by_role("textbox", name="Prompts, one a line").fill("word " * 100)
    page.keyboard.press("Control+Enter")
    expect(page.get_by_text("A prompt must have 1 to 64 tokens of the model, got 399.")).to_be_visible()
    expect(page.locator("[data-testid=stException]")).to_have_count(0)


def test_the_page_fits_the_screen_and_its_grounds_can_be_read(visit):
    page = visit()
    for _, scheme in looks(page, "generation", within=".texts .text"):
        contrasts = page.evaluate(CONTRAST)
        assert len(contrasts) == 6
        assert min(contrasts) >= 4.5, (scheme, contrasts)
        expect(page.locator("[data-testid=stException]")).to_have_count(0)


def test_the_dial_turns_an_update_and_at_one_it_is_as_trained(open_page, served):
    page = open_page(f"{served}/dial?run={JOB}&place=2", figures=None)
    expect(page.locator(".texts .text")).to_have_count(9, timeout=HOST)
    expect(page.locator(".caret")).to_have_count(0, timeout=HOST)
    first = page.locator(".texts .row").first.locator(".text p")
    untouched, trained, turned = first.all_inner_texts()
    assert untouched != trained == turned
    slider = page.get_by_role("slider", name="weight of RepLoRA on Plays")
    slider.focus()
    for _ in range(4):
        page.keyboard.press("ArrowLeft")
    page.wait_for_url("**weight=0&**")
    expect(page.locator("p.verdict")).to_contain_text("At weight 0 0 of 3 texts differ from those of the untouched")
    assert first.all_inner_texts() == [untouched, trained, untouched]
    for _ in looks(page, "dial", within=".texts .text"):
        expect(page.locator("[data-testid=stException]")).to_have_count(0)


def test_a_head_of_the_language_model_is_looked_into(open_page, served):
    page = open_page(f"{served}/experts?run={JOB}", figures=2)
    expect(page.get_by_text("3 query heads share one expert\u2019s value; heads 1 to 3 mix the same")).to_be_visible()
    expect(page.locator(".predictions section.replora li")).to_have_count(3)
    expect(page.locator(".predictions section")).to_have_count(2)
    for _ in looks(page, "experts_causal"):
        expect(page.locator("[data-testid=stException]")).to_have_count(0)
