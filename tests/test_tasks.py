"""Tasks and subsets: nested, stratified, seeded; damaged files get a sentence."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from replora.catalog import TASKS
from replora.tasks import TaskError, batches, load_task, nested_subset, read_task, subset_size


@pytest.mark.parametrize("name", TASKS)
def test_every_task_loads(name):
    task = load_task(name)
    assert task.modality == TASKS[name].modality
    assert len(task.classes) == TASKS[name].classes
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
    order = batches(10, 4, 5, seed=1)
    assert order.shape == (5, 4)
    assert sorted(order.ravel()[:10]) == sorted(order.ravel()[10:]) == list(range(10))
    assert np.array_equal(order[:2], batches(10, 4, 2, seed=1))
    assert not np.array_equal(order, batches(10, 4, 5, seed=2))
    assert batches(3, 8, 1, seed=0).shape == (1, 8)


def test_an_unknown_task_names_the_known_ones():
    with pytest.raises(TaskError, match=r"task must be one of digits, .*movie_sentiment, own:ID, got 'cats'\."):
        load_task("cats")


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
    write(path, [0, 2], ["train", "test"], good)
    with pytest.raises(TaskError, match="labels outside its 2 classes"):
        read_task(path, "mine")
    write(path, [0, 1], ["train", "train"], good)
    with pytest.raises(TaskError, match="has no test split"):
        read_task(path, "mine")
    write(path, [0, 1], ["train", "test"], good)
    assert len(read_task(path, "mine").train) == 1
