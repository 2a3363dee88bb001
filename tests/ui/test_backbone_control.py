"""The choice of a backbone on every page with one: sizes, downloads by a press and never by a link."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from replora.catalog import HUB
from replora.hub.download import Downloaded, Downloading
from replora.hub.download import to_line as download_line
from replora.jobs.engine import JobState, JobStatus

ROOT = Path(__file__).resolve().parents[2]
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


class DownloadEngine:
    """An engine whose downloads tell what a test says."""

    ready = True

    def __init__(self) -> None:
        self.specs: list[tuple[str, Any]] = []
        self.lines: list[str] = []
        self.state, self.message = JobState.RUNNING, ""
        self.when_finished: Callable[[], None] = lambda: None

    def submit(self, kind: str, spec: Any, *, time_limit: float | None = None, paused: bool = False) -> str:
        self.specs.append((kind, spec))
        return f"job{len(self.specs)}"

    def events(self, job: str, since: int = 0) -> list[str]:
        return self.lines[since:]

    def cancel(self, job: str) -> None:
        self.state = JobState.CANCELLED

    def status(self, job: str) -> JobStatus:
        if self.state is JobState.FINISHED:
            self.when_finished()
        kind, spec = self.specs[int(job.removeprefix("job")) - 1]
        return JobStatus(job, kind, self.state, spec, len(self.lines), message=self.message)

    def watch(self, job: str, viewer: str) -> None:
        raise AssertionError("A download goes on when nobody looks.")

    def unwatch(self, job: str, viewer: str) -> None: ...

    def close(self) -> None: ...


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, study_engine: Callable[..., Any]) -> DownloadEngine:
    fake = DownloadEngine()
    study_engine(lambda spec: ())  # clears what other tests left
    monkeypatch.setattr("replora.ui.live.engine.connect", lambda: fake)
    return fake


@pytest.fixture
def app(engine: DownloadEngine, hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., AppTest]:
    monkeypatch.setenv("REPLORA_DATA", str(tmp_path / "data"))

    def start(page: str = "race", **query: str) -> AppTest:
        test = AppTest.from_file(str(ROOT / "app.py"), default_timeout=20)
        if page != "race":
            test.run()
            test.switch_page(f"pages/{page}.py")
        test.query_params.update(query)
        return test.run()

    return start


def box(test: AppTest, page: str = "race") -> Any:
    return test.selectbox(key=f"{page}.backbone")


def said(test: AppTest) -> list[str]:
    return [each.value.replace("\\", "") for each in [*test.warning, *test.error]]


def captions(test: AppTest) -> str:
    return " ".join(each.value.replace("\\", "") for each in test.caption)


def keys(test: AppTest) -> set[str]:
    return {each.key for each in test.button}


def query(test: AppTest) -> dict[str, str]:
    return {name: value if isinstance(value, str) else value[-1] for name, value in test.query_params.items()}


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
    app: Callable[..., AppTest], engine: DownloadEngine, hub: Hub, page: str
) -> None:
    task = {} if page == "race" else {"task": "digits"}
    test = app(page, **task)
    box(test, page).select(VIT).run()
    assert not test.exception
    assert said(test) == [f"{VIT} is not on this machine yet: press Download below its name."]
    start = "race.play" if page == "race" else f"{page}.run"
    assert test.button(key=start).disabled
    assert engine.specs == []
    test.button(key=f"{page}.download").click().run()
    assert engine.specs == [("download", {"backbone": VIT, "patience": 30.0})]
    engine.lines = [download_line(Downloading(11_000_000, 23_000_000, 1.0))]
    test.run()
    assert said(test) == [f"{VIT} is being downloaded."]
    assert f"{page}.download.stop" in keys(test)
    engine.lines.append(download_line(Downloaded(23_000_000, 2.0)))
    engine.state = JobState.FINISHED
    engine.when_finished = lambda: hub.here.add(VIT)
    test.run()
    assert not test.exception
    assert not said(test)
    assert not test.button(key=start).disabled
    assert query(test)["backbone"] == VIT


def test_a_download_that_failed_says_why_and_can_be_tried_again(
    app: Callable[..., AppTest], engine: DownloadEngine
) -> None:
    test = app()
    box(test).select(VIT).run()
    test.button(key="race.download").click().run()
    engine.state, engine.message = JobState.FAILED, "The hub cannot be reached from this machine."
    test.run()
    assert said(test) == [engine.message]
    assert not test.button(key="race.download").disabled


def test_a_download_can_be_stopped(app: Callable[..., AppTest], engine: DownloadEngine) -> None:
    test = app()
    box(test).select(VIT).run()
    test.button(key="race.download").click().run()
    test.button(key="race.download.stop").click().run()
    assert engine.state is JobState.CANCELLED
    assert not test.exception
    assert said(test) == [f"{VIT} is not on this machine yet: press Download below its name."]


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("name", [VIT, "hf:some/model", "local:/etc", "timm:vit_tiny"])
def test_a_link_starts_no_download(app: Callable[..., AppTest], engine: DownloadEngine, page: str, name: str) -> None:
    test = app(page, backbone=name)
    assert not test.exception
    assert "a model that is downloaded already" in said(test)[0]
    assert "The default is used instead." in said(test)[0]
    assert box(test, page).value == "auto"
    assert query(test) == {}
    assert engine.specs == []


@pytest.mark.parametrize("name", [VIT, "hf:some/model"])
def test_a_link_may_name_a_model_that_is_here(
    app: Callable[..., AppTest], engine: DownloadEngine, hub: Hub, name: str
) -> None:
    hub.here.add(name)
    test = app(backbone=name)
    assert not test.exception
    assert not said(test)
    assert query(test) == {"backbone": name}
    test.button(key="race.play").click().run()
    assert [(kind, spec["backbone"]) for kind, spec in engine.specs] == [("race", name)]


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
