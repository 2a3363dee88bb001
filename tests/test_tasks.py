"""Tasks and subsets: nested, stratified, seeded; damaged files get a sentence."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from replora.catalog import ALL_TASKS, TASKS
from replora.seeding import stream
from replora.tasks import Indices, TaskError, batches, batches_of_runs, load_task, nested_subset, read_task, subset_size

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("name", ALL_TASKS)
def test_every_task_loads(name):
    task = load_task(name)
    assert task.modality == ALL_TASKS[name].modality
    assert len(task.classes) == ALL_TASKS[name].classes
    assert len(task.train.examples) == len(task.train.labels) > len(task.test) > 0


@pytest.mark.parametrize("name", ["digits", "emoji"])
def test_subsets_are_nested_stratified_and_seeded(name):
    labels = load_task(name).train.labels
    classes = TASKS[name].classes
    sizes = [subset_size(len(labels), classes, fraction) for fraction in (0.001, 0.01, 0.03, 0.1, 0.3, 1.0)]
    subsets = [nested_subset(labels, size, seed=4) for size in sizes]
    for smaller, larger in pairwise(subsets):
        assert set(smaller) < set(larger)
    assert sizes[0] == classes
    assert sorted(labels[subsets[0]]) == list(range(classes))
    shares = np.bincount(labels) / len(labels)
    for subset in subsets[2:]:
        assert np.abs(np.bincount(labels[subset]) / len(subset) - shares).max() <= 1 / len(subset) + 0.02
    assert np.array_equal(subsets[3], nested_subset(labels, sizes[3], seed=4))
    assert not np.array_equal(subsets[3], nested_subset(labels, sizes[3], seed=5))


def test_batches_pass_every_example_once_an_epoch():
    order = np.stack(list(batches(10, 4, 5, seed=1)))
    assert order.shape == (5, 4)
    assert sorted(order.ravel()[:10]) == sorted(order.ravel()[10:]) == list(range(10))
    assert not np.array_equal(order, np.stack(list(batches(10, 4, 5, seed=2))))
    assert [each.shape for each in batches(3, 8, 1, seed=0)] == [(8,)]


def whole_order(examples: int, batch_size: int, steps: int, seed: int) -> Indices:
    """The order as it was when it was made beforehand, (steps, batch_size)."""
    generator = stream(seed, "order")
    needed = steps * batch_size
    epochs = [generator.permutation(examples) for _ in range(-(-needed // examples))]
    return np.concatenate(epochs)[:needed].reshape(steps, batch_size)


@pytest.mark.parametrize("examples", [1, 2, 3, 10, 16, 17, 250, 1000])
@pytest.mark.parametrize("batch_size", [1, 3, 8, 16, 17, 1024])
def test_batches_made_one_by_one_are_those_made_beforehand(examples: int, batch_size: int) -> None:
    steps = 40
    for seed in (0, 5, 2**31 - 1):
        found = np.stack(list(batches(examples, batch_size, steps, seed)))
        wanted = whole_order(examples, batch_size, steps, seed)
        assert found.dtype == wanted.dtype
        assert np.array_equal(found, wanted)


def test_runs_beside_each_other_have_their_own_batches() -> None:
    beside = np.stack(list(batches_of_runs([10, 250, 10], 16, 30, [1, 1, 2])), axis=1)  # (runs, steps, batch)
    for found, (examples, seed) in zip(beside, [(10, 1), (250, 1), (10, 2)], strict=True):
        assert np.array_equal(found, whole_order(examples, 16, 30, seed))


def test_the_order_of_many_steps_takes_no_memory() -> None:
    tracemalloc.start()
    try:
        for _ in islice(batches_of_runs([1000] * 10, 64, 100_000, range(10)), 2000):
            pass
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 2**20  # made beforehand, all 100,000 steps are 512 MB


def test_an_unknown_task_names_the_known_ones():
    with pytest.raises(TaskError, match=r"task must be one of digits, .*movie_sentiment, .*own:ID, got 'cats'\."):
        load_task("cats")


def test_a_task_is_read_without_pandas_which_would_take_longer_than_the_reading():
    code = "import sys; from replora.tasks import load_task; load_task('digits'); print('pandas' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


def write(path, labels, splits, metadata):
    table = pa.table({"text": ["x"] * len(labels), "label": labels, "split": splits})
    pq.write_table(table.replace_schema_metadata(metadata), path)


def test_a_damaged_file_is_one_sentence(tmp_path):
    path = tmp_path / "task.parquet"
    with pytest.raises(TaskError, match=r"The file of task mine cannot be read \(task\.parquet: "):
        read_task(path, "mine")
    path.write_bytes(b"PAR1 this is not parquet PAR1")
    with pytest.raises(TaskError, match=r"The file of task mine cannot be read \(task\.parquet: "):
        read_task(path, "mine")
    good = {"classes": '["a", "b"]', "modality": "text"}
    write(path, [0, 1], ["train", "test"], {"modality": "text"})
    with pytest.raises(TaskError, match=r"cannot be read.*classes"):
        read_task(path, "mine")
    write(path, [0, None], ["train", "test"], good)
    with pytest.raises(TaskError, match=r"cannot be read.*NoneType"):
        read_task(path, "mine")
    write(path, [0, 2], ["train", "test"], good)
    with pytest.raises(TaskError, match="labels outside its 2 classes"):
        read_task(path, "mine")
    write(path, [0, 1], ["train", "train"], good)
    with pytest.raises(TaskError, match="has no test split"):
        read_task(path, "mine")
    write(path, [0, 1], ["train", "test"], good)
    assert len(read_task(path, "mine").train) == 1
