"""Hostile files are read by a process of their own: what they take, the web process does not feel."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hostile_files import forged_parquet, large_pictures
from PIL import Image
from processes import wait_for

from replora.own_data import apart
from replora.own_data.apart import keep_apart, read_apart, square_apart
from replora.own_data.examples import choose_columns
from replora.own_data.limits import MEGABYTE, Limits, OwnError
from replora.own_data.readers import turns
from replora.own_data.split import SplitOptions, split_task
from replora.own_data.tables.table import Table
from replora.own_data.upload import read_upload
from replora.pictures import InputError
from replora.tasks import load_task, own_file

LIMITS = Limits()
CSV = b"text,label,other\n" + b"".join(b"rain and sun %d,weather,1\nbank loan %d,money,2\n" % (n, n) for n in range(40))
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_a_table_is_outlined_by_the_columns_that_are_guessed_or_asked_for() -> None:
    found = read_apart(CSV, "a.csv", LIMITS)
    assert (found.columns, found.chosen, found.problem) == (("text", "label", "other"), ("text", "label"), "")
    assert found.outline is not None
    assert found.outline.classes == ("money", "weather")
    assert len(found.outline) == 80
    assert found.outline.shown == {n: f"{'bank loan' if n % 2 else 'rain and sun'} {n // 2}" for n in range(50)}
    assert found.outline.labels[:4].tolist() == [1, 0, 1, 0]
    other = read_apart(CSV, "a.csv", LIMITS, ("text", "other"))
    assert other.outline is not None
    assert other.outline.classes == ("1", "2")
    wrong = read_apart(CSV, "a.csv", LIMITS, ("label", "text"))
    assert wrong.columns
    assert wrong.outline is None
    assert "holds nothing to learn from" in wrong.problem


def test_pictures_are_outlined_by_some_of_each_class(shapes: Callable[[int], bytes]) -> None:
    found = read_apart(shapes(60), "shapes.zip", LIMITS)
    assert found.outline is not None
    assert not found.columns
    assert found.outline.modality == "image"
    assert sorted(found.outline.labels[list(found.outline.shown)].tolist()) == [0] * 12 + [1] * 12
    assert all(isinstance(each, bytes) and each.startswith(b"\x89PNG") for each in found.outline.shown.values())


@pytest.mark.slow
def test_what_is_kept_is_what_is_read_here() -> None:
    options = SplitOptions(title="topics", test_share=0.3, split_seed=4)
    name = keep_apart(CSV, "a.csv", LIMITS, ("text", "label"), options, "somebody")
    table = read_upload(CSV, "a.csv", LIMITS)
    assert isinstance(table, Table)
    task = split_task(choose_columns(table, "text", "label", LIMITS), options)
    assert pq.read_table(own_file(name)).equals(task.table())
    assert load_task(name).classes == ("money", "weather")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.csv", "a.zip", "a.parquet"])
def test_damaged_files_are_the_sentences_that_they_were(name: str) -> None:
    with pytest.raises(OwnError) as here:
        read_upload(b"PAR1nonsense\xff", name, LIMITS)
    assert read_apart(b"PAR1nonsense\xff", name, LIMITS).problem == str(here.value)


def peak_of(script: str) -> int:
    """The most memory, in megabytes, of a process that runs a script."""
    code = f"{script}\nimport resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)"
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return int(ended.stdout.split()[-1])


@pytest.mark.slow
def test_a_forged_footer_costs_the_web_process_nothing(tmp_path: Path) -> None:
    file = tmp_path / "forged.parquet"
    file.write_bytes(forged_parquet())
    assert file.stat().st_size < 400_000
    said = pq.read_metadata(file)
    assert sum(said.row_group(place).total_byte_size for place in range(said.num_row_groups)) < 100_000
    lead = (
        "from pathlib import Path; from replora.own_data.apart import read_apart; "
        f"from replora.own_data.limits import Limits; data = Path({str(file)!r}).read_bytes()"
    )
    before = peak_of(lead)
    read = "found = read_apart(data, 'a.parquet', Limits()); assert 'at most 100 MB' in found.problem, found.problem"
    assert peak_of(f"{lead}; {read}") < before + 20


@pytest.mark.slow
def test_a_page_that_unpacks_to_more_than_the_reader_may_take_is_a_sentence(tmp_path: Path) -> None:
    data = forged_parquet(rows=2, size=100_000_000)
    assert len(data) < 400_000
    found = read_apart(data, "a.parquet", Limits(max_read_mb=200))
    assert found.outline is None
    assert found.problem == "a.parquet takes more than 200 MB of memory to be read."


@pytest.mark.slow
def test_a_value_that_repeats_is_held_once() -> None:
    found = read_apart(forged_parquet(rows=600, same=True), "a.parquet", LIMITS)
    assert "600 texts are equal to one of another class" in found.problem  # its memory held them


def test_more_rows_than_the_footer_says_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    data = forged_parquet(rows=300, size=10)
    few = Limits(max_examples=200)
    monkeypatch.setattr("replora.own_data.tables.parquet.check_count", _only_late("replora.own_data.limits"))
    with pytest.raises(OwnError, match="at most 200 are taken"):
        read_upload(data, "a.parquet", few)


def _only_late(module: str) -> Callable[..., None]:
    """The check of counts, but for the first time, which believes the footer."""
    check = vars(sys.modules[module])["check_count"]
    calls: list[int] = []

    def late(name: str, count: int, limits: Limits) -> None:
        calls.append(count)
        if len(calls) > 1:
            check(name, count, limits)

    return late


@pytest.mark.slow
def test_pictures_of_too_many_pixels_are_refused_before_one_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    data = large_pictures(39, 5000, 5000)
    assert len(data) < 5 * MEGABYTE
    assert "more than 150,000,000 pixels together" in read_apart(data, "a.zip", LIMITS).problem
    monkeypatch.setattr("replora.own_data.zips.archive.small", lambda *_: pytest.fail("decoded"))
    with pytest.raises(OwnError, match="pixels together; make them smaller"):
        read_upload(data, "a.zip", LIMITS)


@pytest.mark.slow
def test_a_file_that_takes_too_long_is_a_sentence() -> None:
    data = large_pictures(600, 5000, 5000)
    patient = Limits(max_megapixels=100_000, max_read_seconds=5, max_upload_mb=100)
    found = read_apart(data, "a.zip", patient)
    assert found.problem == ("a.zip takes longer than 5 seconds to be read; fewer or smaller examples do not.")


def test_a_reader_that_crashes_is_a_sentence_and_frees_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: object) -> subprocess.CompletedProcess[bytes]:
        return subprocess.CompletedProcess([], -11, b"", b"Segmentation fault")

    with monkeypatch.context() as patch:
        patch.setattr(apart, "_run", crash)
        for _ in range(2 * turns.READERS):
            assert "the process that tried ended" in read_apart(CSV, "a.csv", LIMITS).problem
    assert not read_apart(CSV, "a.csv", LIMITS).problem


def test_others_files_are_waited_for_and_then_a_sentence_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "PATIENCE", 0.05)
    with ExitStack() as held:
        for _ in range(turns.READERS):
            held.enter_context(apart.TURNS.turn("other.csv"))
        assert "waited 0.05 seconds for files of others" in read_apart(CSV, "a.csv", LIMITS).problem


def test_one_visitor_has_two_files_under_way_and_the_third_is_a_sentence() -> None:
    with ExitStack() as held:
        for _ in range(turns.UNDER_WAY):
            held.enter_context(apart.TURNS.turn("other.csv", "me"))
        assert read_apart(CSV, "a.csv", LIMITS, owner="me").problem == (
            "2 files of yours are being read already; send a.csv when one is done."
        )
        with pytest.raises(InputError, match="2 files of yours are being read already"):
            square_apart(CSV, LIMITS, owner="me")
    assert not read_apart(CSV, "a.csv", LIMITS, owner="me").problem


def test_an_address_of_many_visitors_never_keeps_the_file_of_another_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "PATIENCE", 0.05)
    with apart.TURNS.turn("other.csv", "one name", "10.0.0.1"):
        assert "waited" in read_apart(CSV, "a.csv", LIMITS, owner="another name", address="10.0.0.1").problem
        assert not read_apart(CSV, "a.csv", LIMITS, owner="me", address="10.0.0.2").problem
        assert not read_apart(CSV, "a.csv", LIMITS, owner="me").problem


def test_files_are_read_in_the_order_in_which_they_came() -> None:
    one, order = turns.ReadingTurns(readers=1), list[str]()

    def read(name: str) -> None:
        with one.turn(name):
            order.append(name)

    readers = [threading.Thread(target=read, args=(name,)) for name in "abc"]
    with one.turn("first"):
        for reader in readers:
            reader.start()
            wait_for(lambda: one.waiting == sum(started.ident is not None for started in readers))
    for reader in readers:
        reader.join()
    assert order == ["a", "b", "c"]


def test_the_reader_loads_no_torch_and_no_streamlit() -> None:
    code = "import json, sys, replora.own_data.reader; print(json.dumps(sorted(sys.modules)))"
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"torch", "streamlit", "pandas", "transformers", "timm"} & set(json.loads(ended.stdout))


def test_a_name_of_a_column_has_an_end() -> None:
    found = read_apart(b"text," + b"l" * 300 + b"\nx,a\n", "a.csv", LIMITS)
    assert found.problem == "a.csv has a column whose name has 300 characters; at most 200 are taken."


@pytest.mark.slow
def test_what_the_web_process_holds_of_a_file_is_small() -> None:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        generator = np.random.default_rng(0)
        for place in range(80):
            picture = io.BytesIO()
            Image.fromarray(generator.integers(0, 255, (120, 120, 3), dtype=np.uint8)).save(picture, "PNG")
            archive.writestr(f"{'ab'[place % 2]}/{place}.png", picture.getvalue())
    found = read_apart(sink.getvalue(), "a.zip", LIMITS)
    assert found.outline is not None
    assert len(found.outline) == 80
    assert sum(map(len, found.outline.shown.values())) < len(sink.getvalue()) / 3
