"""Own data as tasks: the split, the file, how long it lives, and a real race on it."""

from __future__ import annotations

import dataclasses
import os
import re
import time

import numpy as np
import pytest
from processes import wait_for

from replora.catalog import OWN_TASK, TASKS
from replora.config import Method, Race, RaceOptions, Run
from replora.events import Finished, Started, Step
from replora.options import SpecError
from replora.own_data.examples import Examples, choose_columns
from replora.own_data.keeper import Keeper
from replora.own_data.limits import Limits, OwnError
from replora.own_data.split import SplitOptions, split_task
from replora.own_data.store import delete_task, is_kept, is_saved, keep_task, save_task, saved_tasks
from replora.own_data.upload import read_upload
from replora.studies.kinds import study_from_dict
from replora.studies.spec import DataStudy, TeacherStudy, study_to_dict
from replora.tasks import TaskError, load_task, task_card

LIMITS = Limits()
NOBODY = "own:" + "x" * 22


def own_task(data: bytes, file: str, **options):
    found = read_upload(data, file, LIMITS)
    examples = found if isinstance(found, Examples) else choose_columns(found, "text", "label", LIMITS)
    return split_task(examples, SplitOptions(**options))


@pytest.fixture
def texts(csv_bytes, rows):
    return own_task(csv_bytes(rows(60)), "topics.csv", title="topics")


def test_an_own_task_loads_as_any_other(texts, data):
    name = keep_task(texts, LIMITS)
    assert re.fullmatch(OWN_TASK, name)
    task = load_task(name)
    assert (task.name, task.modality, task.classes) == (name, "text", ("money", "weather"))
    assert (len(task.train), len(task.test)) == (48, 12)
    assert sorted([*task.train.examples, *task.test.examples]) == sorted(texts.examples.examples)
    pairs = dict(zip(texts.examples.examples, texts.examples.labels, strict=True))
    assert all(
        pairs[text] == task.classes[label] for text, label in zip(task.test.examples, task.test.labels, strict=True)
    )
    card = task_card(name)
    assert (card.title, card.modality, card.backbone, card.classes) == ("Yours: topics", "text", "minilm_l3", 2)
    assert [each.name for each in (data / "tasks").iterdir()] == [f"{name.removeprefix('own:')}.parquet"]


def test_the_card_of_an_embedded_task_is_its_own():
    assert all(task_card(name) is TASKS[name] for name in TASKS)


@pytest.mark.parametrize("name", [NOBODY, "own:", "own:../../etc/passwd", "own:" + "x" * 21 + "/", "cats"])
def test_a_name_of_no_task_is_one_sentence(name):
    words = "no longer kept here" if name == NOBODY else "task must be one of digits, .*own:ID, got"
    for ask in (load_task, task_card):
        with pytest.raises(TaskError, match=words):
            ask(name)
    assert not is_kept(name)


def test_a_damaged_own_file_is_one_sentence(texts, data):
    name = keep_task(texts, LIMITS)
    (data / "tasks" / f"{name.removeprefix('own:')}.parquet").write_bytes(b"PAR1 no more PAR1")
    for ask in (load_task, task_card):
        with pytest.raises(TaskError, match=rf"The file of task {name} cannot be read"):
            ask(name)


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5])
@pytest.mark.parametrize("sizes", [(2, 2), (2, 3, 40), (5, 5, 5, 5), (2,) * 40, (1000, 2)])
def test_the_split_is_stratified_and_leaves_every_class_on_both_sides(sizes, share):
    labels = [f"c{place}" for place, size in enumerate(sizes) for _ in range(size)]
    examples = Examples("text", [str(place) for place in range(len(labels))], labels)
    train, test = split_task(examples, SplitOptions(test_share=share)).counts()
    assert min(train) >= 1
    assert min(test) >= 1
    assert [one + other for one, other in zip(train, test, strict=True)] == [
        labels.count(label) for label in sorted(set(labels))
    ]
    assert sum(test) == max(len(sizes), round(share * len(labels)))
    for own, tested in zip(train, test, strict=True):
        assert abs(tested - share * (own + tested)) <= max(1, len(sizes) * share + 1)


def test_the_split_is_fixed_by_its_seed(csv_bytes, rows):
    data = csv_bytes(rows(200))
    one, same, other = (own_task(data, "a.csv", split_seed=seed).tested for seed in (3, 3, 4))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_numbers_as_labels_are_in_the_order_of_numbers(csv_bytes):
    rows = [(f"t {label} {place}", label) for label in ("10", "9", "2", "nan", "many") for place in range(2)]
    assert own_task(csv_bytes(rows), "a.csv").classes == ("2", "9", "10", "many", "nan")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"test_share": 0.6}, r"test_share must be a number from 0\.05 to 0\.5, got 0\.6\."),
        ({"split_seed": -1}, r"split_seed must be a whole number from 0 to 2,147,483,647, got -1\."),
        ({"title": "  "}, r"title must have 1 to 40 characters, got 0\."),
        ({"title": "x" * 41}, r"title must have 1 to 40 characters, got 41\."),
    ],
)
def test_bounds_of_the_split_are_sentences(options, sentence):
    with pytest.raises(SpecError, match=sentence):
        SplitOptions(**options)


def test_specs_take_own_names_that_are_well_formed():
    for spec in (RaceOptions, DataStudy, TeacherStudy):
        assert spec(task=NOBODY).task == NOBODY
        assert spec.from_query({"task": NOBODY}) == (spec(task=NOBODY), [])
        for name in ("own:", "own:short", f"{NOBODY}x", f" {NOBODY}/..", "own:" + "x" * 21 + "."):
            with pytest.raises(SpecError, match=r"task must be one of digits, .*, own:ID, got"):
                spec(task=name)
    assert Race.from_dict(RaceOptions(task=NOBODY).race().to_dict()).task == NOBODY
    assert study_from_dict(study_to_dict(DataStudy(task=NOBODY))).task == NOBODY


def test_a_disk_that_takes_nothing_is_a_sentence_and_leaves_nothing(texts, data):
    data.write_text("no folder")
    with pytest.raises(OwnError, match=r"The data could not be kept: Not a directory\."):
        keep_task(texts, LIMITS)


def test_half_a_file_is_not_left_behind(texts, data, monkeypatch):
    def full(table, path, **facts):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("replora.own_data.store.pq.write_table", full)
    with pytest.raises(OwnError, match=r"The data could not be kept: No space left on device\."):
        keep_task(texts, LIMITS)
    assert list((data / "tasks").iterdir()) == []


def test_a_full_server_says_so(texts):
    few = Limits(max_tasks=2)
    keep_task(texts, few)
    keep_task(texts, few)
    with pytest.raises(
        OwnError, match=r"This server holds 2 own data sets already, as many as are taken; try again later\."
    ):
        keep_task(texts, few)


def test_data_last_as_long_as_somebody_uses_them(texts):
    keeper, name = Keeper(grace=0.05), keep_task(texts, LIMITS)
    keeper.use(name, "one")
    keeper.use(name, "two")
    keeper.leave(name, "one")
    time.sleep(0.2)
    assert is_kept(name)
    keeper.leave(name, "two")
    wait_for(lambda: not is_kept(name))


def test_a_session_that_comes_back_in_time_keeps_its_data(texts):
    keeper, name = Keeper(grace=3600.0), keep_task(texts, LIMITS)
    keeper.use(name, "one")
    keeper.leave(name, "one")
    timer = keeper._going[name]
    keeper.use(name, "one again")
    assert timer.finished.is_set()  # it will not go off any more
    timer.function(*timer.args)  # nor does it matter where it was about to
    assert is_kept(name)


def test_saved_data_outlive_their_session_and_the_server(texts):
    keeper, saved, plain = Keeper(grace=0.05), keep_task(texts, LIMITS), keep_task(texts, LIMITS)
    save_task(saved, LIMITS)
    for name in (saved, plain):
        keeper.use(name, "one")
        keeper.leave(name, "one")
    wait_for(lambda: not is_kept(plain))
    keeper.use(saved, "two")
    keeper.close()
    assert is_kept(saved)
    assert is_saved(saved)
    assert saved_tasks() == [saved]
    delete_task(saved)
    assert saved_tasks() == []


def test_a_server_that_ends_deletes_what_is_not_saved(texts, data):
    keeper, name = Keeper(), keep_task(texts, LIMITS)
    keeper.use(name, "one")
    keeper.close()
    assert list((data / "tasks").iterdir()) == []


def test_what_a_killed_process_left_is_swept_by_age_unless_saved(texts, data):
    old, saved, fresh = (keep_task(texts, LIMITS) for _ in range(3))
    save_task(saved, LIMITS)
    half = data / "tasks" / "half.new"
    half.write_bytes(b"x")
    before = time.time() - 2 * 24 * 3600
    for path in (*(data / "tasks").glob("*"),):
        if fresh.removeprefix("own:") not in path.name:
            os.utime(path, (before, before))
    Keeper()
    assert [is_kept(name) for name in (old, saved, fresh)] == [False, True, True]
    assert not half.exists()


def test_data_in_use_are_not_swept(texts, data):
    running = Keeper()
    name = keep_task(texts, LIMITS)
    before = time.time() - 2 * 24 * 3600
    os.utime(next((data / "tasks").iterdir()), (before, before))
    running.use(name, "one")
    Keeper()
    assert is_kept(name)


SMALL = Race(
    runs=(Run(method=Method(name="lora")), Run(method=Method(name="replora", mlp_width=16))),
    steps=3,
    batch_size=4,
    adapted_blocks=1,
    evaluate_every=3,
    device="cpu",
    precision="float32",
)


@pytest.mark.parametrize("kind", ["text", "image"])
def test_a_real_race_on_own_data(kind, csv_bytes, rows, shapes):
    from replora.training.race import race

    task = own_task(csv_bytes(rows(60)), "a.csv") if kind == "text" else own_task(shapes(60), "a.zip")
    name = keep_task(task, LIMITS)
    told = list(race(dataclasses.replace(SMALL, task=name)))
    started = told[0]
    assert isinstance(started, Started)
    assert started.backbone == {"text": "minilm_l3", "image": "dinov2_small_6"}[kind]
    assert started.classes == {"text": ("money", "weather"), "image": ("dark", "light")}[kind]
    assert started.test_examples == 12
    assert sum(isinstance(each, Step) for each in told) == 3
    assert isinstance(told[-1], Finished)


def test_a_race_on_data_that_are_gone_is_one_sentence():
    from replora.training.race import race

    with pytest.raises(TaskError, match="no longer kept here"):
        list(race(dataclasses.replace(SMALL, task=NOBODY)))
