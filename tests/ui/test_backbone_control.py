"""The choice of a backbone on every page with one: sizes, downloads by a press and never by a link."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_engine import FakeEngine
from open_pages import ROOT, open_page, query, said
from present import present
from streamlit.testing.v1 import AppTest

from replora.catalog import HUB
from replora.hub.download import Downloaded, Downloading
from replora.hub.download import to_line as download_line
from replora.jobs.engine import JobState

VIT, VIT_SMALL = [name for name, card in HUB.items() if card.modality == "image"]
PAGES = ["race", "data_efficiency", "learning_rate", "recover_update"]


class Hub:
    """What is in the cache."""

    def __init__(self) -> None:
        self.here: set[str] = set()

    def has(self, name: str) -> bool:
        return name in self.here


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Hub:
    """A cache without models, in place of this machine's."""
    fake = Hub()
    for module in ("replora.ui.forms.backbone", "replora.ui.forms.links"):
        monkeypatch.setattr(f"{module}.is_downloaded", fake.has)
    return fake


@pytest.fixture
def app(engine: FakeEngine, hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., AppTest]:
    monkeypatch.setenv("REPLORA_DATA", str(tmp_path / "data"))

    def start(page: str = "race", **query: Any) -> AppTest:
        return open_page(page, warm=True, **query)

    return start


def box(test: AppTest, page: str = "race") -> Any:
    return test.selectbox(key=f"{page}.backbone")


def captions(test: AppTest) -> str:
    return " ".join(each.value.replace("\\", "") for each in test.caption)


def keys(test: AppTest) -> set[str]:
    return {present(each.key) for each in test.button}


def test_the_list_fits_the_task_and_tells_size_and_whether_it_is_here(app: Callable[..., AppTest], hub: Hub) -> None:
    hub.here.add(VIT_SMALL)
    test = app()
    assert box(test).options == [
        "auto: dinov2_small_6", "dinov2_small_6", "ViT-Tiny, 23 MB ↓", "ViT-Small, 88 MB", "Other …"
    ]  # fmt: skip
    assert "needs a download" in box(test).help
    box(test).select(VIT).run()
    assert "ViT-Tiny/16, 224 px: 12 blocks, 5.7 million parameters; 23 MB, needs download" in captions(test)
    box(test).select(VIT_SMALL).run()
    assert "88 MB, downloaded" in captions(test)
    assert box(app(task="wordnet_topics")).options[2] == "MiniLM-L6, 91 MB ↓"


@pytest.mark.parametrize("page", PAGES)
def test_a_model_that_is_not_here_is_downloaded_by_a_press_alone(
    app: Callable[..., AppTest], engine: FakeEngine, hub: Hub, page: str
) -> None:
    task = {} if page == "race" else {"task": "digits"}
    test = app(page, **task)
    box(test, page).select(VIT).run()
    assert not test.exception
    assert said(test) == [f"{VIT} is not on this machine yet: press Download below its name."]
    start = "race.play" if page == "race" else f"{page}.run"
    assert test.button(key=start).disabled
    assert engine.jobs == {}
    test.button(key=f"{page}.download").click().run()
    assert engine.last.kind == "download"
    assert engine.last.spec == {"backbone": VIT, "patience": 30.0}
    engine.last.script.append(download_line(Downloading(11_000_000, 23_000_000, 1.0)))
    engine.last.told = 1
    test.run()
    assert said(test) == [f"{VIT} is being downloaded."]
    assert f"{page}.download.stop" in keys(test)
    assert not engine.last.viewers  # it goes on when nobody looks
    engine.last.script.append(download_line(Downloaded(23_000_000, 2.0)))
    engine.advance()
    hub.here.add(VIT)
    test.run()
    assert not test.exception
    assert not said(test)
    assert not test.button(key=start).disabled
    assert query(test)["backbone"] == VIT


def test_a_download_that_failed_says_why_and_can_be_tried_again(
    app: Callable[..., AppTest], engine: FakeEngine
) -> None:
    test = app()
    box(test).select(VIT).run()
    test.button(key="race.download").click().run()
    engine.last.state, engine.last.message = JobState.FAILED, "The hub cannot be reached from this machine."
    test.run()
    assert said(test) == [engine.last.message]
    assert not test.button(key="race.download").disabled


def test_a_download_can_be_stopped(app: Callable[..., AppTest], engine: FakeEngine) -> None:
    test = app()
    box(test).select(VIT).run()
    test.button(key="race.download").click().run()
    test.button(key="race.download.stop").click().run()
    assert engine.last.state is JobState.CANCELLED
    assert not test.exception
    assert said(test) == [f"{VIT} is not on this machine yet: press Download below its name."]


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("name", [VIT, "hf:some/model", "local:/etc", "timm:vit_tiny"])
def test_a_link_starts_no_download(app: Callable[..., AppTest], engine: FakeEngine, page: str, name: str) -> None:
    test = app(page, backbone=name)
    assert not test.exception
    assert "a model that is downloaded already" in said(test)[0]
    assert "The default is used instead." in said(test)[0]
    assert box(test, page).value == "auto"
    assert query(test) == {}
    assert engine.jobs == {}


@pytest.mark.parametrize("name", [VIT, "hf:some/model"])
def test_a_link_may_name_a_model_that_is_here(
    app: Callable[..., AppTest], engine: FakeEngine, hub: Hub, name: str
) -> None:
    hub.here.add(name)
    test = app(backbone=name)
    assert not test.exception
    assert not said(test)
    assert query(test) == {"backbone": name}
    test.button(key="race.play").click().run()
    assert [(job.kind, job.spec["backbone"]) for job in engine.jobs.values()] == [("race", name)]


def test_other_names_are_checked(app: Callable[..., AppTest]) -> None:
    test = app()
    box(test).select("other").run()
    assert "A model of the hub is named timm:NAME.TAG or hf:ID" in said(test)[0]
    for name in ("local:/etc", "timm:vit_tiny", "<script>"):
        test.text_input(key="race.backbone.name").set_value(name).run()
        assert "A model of the hub is named timm:NAME.TAG or hf:ID" in said(test)[0]
        assert "race.download" not in keys(test)
    test.text_input(key="race.backbone.name").set_value("hf:some/model").run()
    assert said(test) == ["hf:some/model is not on this machine yet: press Download below its name."]
    assert not test.button(key="race.download").disabled
    assert not test.exception


def test_a_server_without_downloads_offers_what_it_has(
    app: Callable[..., AppTest], hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPLORA_DOWNLOADS", "off")
    assert len(box(app()).options) == 2
    hub.here.add(VIT)
    assert box(app()).options[-1] == "ViT-Tiny, 23 MB"
    monkeypatch.setenv("REPLORA_DOWNLOADS", "suggested")
    assert "Other …" not in box(app()).options


def test_another_kind_of_task_resets_the_backbone_and_a_link_to_both_is_a_sentence(app: Callable[..., AppTest]) -> None:
    test = app()
    box(test).select("dinov2_small_6").run()
    test.selectbox(key="race.task").select("wordnet_topics").run()
    assert not test.exception
    assert box(test).value == "auto"
    test = app(backbone="minilm_l3")
    assert said(test) == ["backbone must read images for this task, got minilm_l3, which reads texts."]
    assert test.button(key="race.play").disabled


def test_looking_into_the_cache_loads_no_torch() -> None:
    import subprocess
    import sys

    code = (
        "import sys; from replora.hub.names import is_downloaded; "
        f"is_downloaded({VIT!r}); print(sorted({{'torch', 'timm', 'transformers'}} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
