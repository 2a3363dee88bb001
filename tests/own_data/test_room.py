"""How much room own data take: of one visitor, of all, and for how long."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from replora.catalog import Modality
from replora.options import options
from replora.own_data.examples import Examples
from replora.own_data.keeper import Keeper
from replora.own_data.limits import MEGABYTE, Limits, OwnError
from replora.own_data.split import OwnTask, SplitOptions, split_task
from replora.own_data.store import delete_task, is_kept, is_saved, keep_file, keep_task, save_task, sweep_tasks
from replora.tasks import own_file

LIMITS = Limits()
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def texts(rows: Callable[[int], list[tuple[str, str]]]) -> OwnTask:
    found = rows(20)
    examples = Examples("text", [text for text, _ in found], [label for _, label in found])
    return split_task(examples, SplitOptions())


def written(megabytes: float) -> Callable[[Path], Modality]:
    def write(path: Path) -> Modality:
        path.write_bytes(bytes(int(megabytes * MEGABYTE)))
        return "image"

    return write


def test_one_visitor_cannot_take_the_room_of_all(texts: OwnTask) -> None:
    names = [keep_task(texts, LIMITS, "greedy") for _ in range(LIMITS.max_visitor_tasks)]
    for name in names:
        save_task(name, LIMITS)
    with pytest.raises(OwnError, match="You have 10 own data sets already, as many as are taken; delete one"):
        keep_task(texts, LIMITS, "greedy")
    assert is_kept(keep_task(texts, LIMITS, "another"))
    delete_task(names[0])
    assert is_kept(keep_task(texts, LIMITS, "greedy"))


def test_who_forges_visitors_takes_the_room_of_an_address_and_no_more() -> None:
    few = dataclasses.replace(LIMITS, max_address_tasks=2)

    def keep(visitor: str, address: str) -> str:
        return keep_file(written(1), few, visitor, address)

    for number in range(2):
        keep(f"forged {number}", "192.0.2.1")
    with pytest.raises(OwnError, match=r"Visitors at your address have 2 own data sets already.*; try again later"):
        keep("forged 2", "192.0.2.1")
    assert is_kept(keep("another", "192.0.2.2"))
    assert is_kept(keep("this machine's own", ""))
    small = dataclasses.replace(LIMITS, max_address_mb=3)
    with pytest.raises(OwnError, match="Visitors at your address have own data of nearly 3 MB already"):
        keep_file(written(2), small, "forged 3", "192.0.2.1")


def test_megabytes_of_a_visitor_are_bounded_and_what_is_refused_leaves_nothing(data: Path) -> None:
    few = dataclasses.replace(LIMITS, max_visitor_mb=2)
    keep_file(written(1.5), few, "greedy")
    with pytest.raises(OwnError, match="You have own data of nearly 2 MB already, as much as is taken; delete one"):
        keep_file(written(1), few, "greedy")
    assert len(list((data / "tasks").iterdir())) == 2  # the data and whose they are
    keep_file(written(1), few, "another")


def test_megabytes_of_all_are_bounded() -> None:
    few = dataclasses.replace(LIMITS, max_tasks_mb=2)
    keep_file(written(1.5), few, "one")
    with pytest.raises(
        OwnError, match="This server holds own data of nearly 2 MB already, as much as is taken; try again"
    ):
        keep_file(written(1), few, "two")


def test_what_was_saved_expires_when_nobody_uses_it(texts: OwnTask) -> None:
    old, used, fresh = (keep_task(texts, LIMITS, "one") for _ in range(3))
    for name in (old, used, fresh):
        save_task(name, LIMITS)
    ago = time.time() - 31 * 24 * 3600
    for name in (old, used):
        os.utime(own_file(name), (ago, ago))
        os.utime(own_file(name).with_suffix(".saved"), (ago, ago))
        os.utime(own_file(name).with_suffix(".owner"), (ago, ago))
    Keeper().use(used, "session")  # sweeps, then uses
    assert not is_kept(old)
    assert is_kept(fresh)
    sweep_tasks(saved_days=30)
    assert not list(own_file(old).parent.glob(f"{own_file(old).stem}*"))


def test_data_in_use_do_not_expire(texts: OwnTask) -> None:
    keeper = Keeper()
    name = keep_task(texts, LIMITS)
    save_task(name, LIMITS)
    ago = time.time() - 29 * 24 * 3600
    os.utime(own_file(name), (ago, ago))
    keeper.use(name, "session")
    assert time.time() - own_file(name).stat().st_mtime < 60


def test_room_that_expired_is_free_for_the_next(texts: OwnTask) -> None:
    few = dataclasses.replace(LIMITS, max_tasks=1, saved_days=1)
    name = keep_task(texts, few, "gone")
    save_task(name, few)
    ago = time.time() - 2 * 24 * 3600
    os.utime(own_file(name), (ago, ago))
    assert is_kept(keep_task(texts, few, "next"))
    assert not is_kept(name)


def test_a_server_may_save_nothing(texts: OwnTask) -> None:
    forgetful = dataclasses.replace(LIMITS, save_data=False)
    name = keep_task(texts, forgetful)
    with pytest.raises(OwnError, match="This server saves no own data"):
        save_task(name, forgetful)
    assert not is_saved(name)


def test_whose_data_they_are_is_not_told_by_the_file_beside_them(texts: OwnTask, data: Path) -> None:
    keep_task(texts, LIMITS, "secret of a visitor")
    (beside,) = (data / "tasks").glob("*.owner")
    assert "secret" not in beside.read_text()


def test_each_limit_is_in_the_table_of_settings() -> None:
    table = (ROOT / "README.md").read_text(encoding="utf-8")
    assert not [name for name in options(Limits) if f"`REPLORA_{name.upper()}`" not in table]
