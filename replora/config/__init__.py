"""Specs: what to compare, as frozen dataclasses that declare each option once.

A field carries its default, bounds, help and unit (`Option`). Sliders, URL, command line, validation and docs
read them from here; a value out of bounds raises `SpecError`, one sentence that names field, value and range.
"""

from replora.config.method import Activation, AlphaOver, Latent, LayerSharing, Method, alpha_divisor, method_of
from replora.config.race import MAX_RUNS, MOST_RUNS, Race, RaceOptions
from replora.config.training import (
    AUTO,
    ChoiceScore,
    Device,
    HeadStart,
    Optimizer,
    Precision,
    Run,
    Training,
    labelled_task,
)
from replora.methods import METHOD_TITLES, STUDENT_TITLES, MethodName, Projection, Sharing

__all__ = [
    "AUTO",
    "MAX_RUNS",
    "METHOD_TITLES",
    "MOST_RUNS",
    "STUDENT_TITLES",
    "Activation",
    "AlphaOver",
    "ChoiceScore",
    "Device",
    "HeadStart",
    "Latent",
    "LayerSharing",
    "Method",
    "MethodName",
    "Optimizer",
    "Precision",
    "Projection",
    "Race",
    "RaceOptions",
    "Run",
    "Sharing",
    "Training",
    "alpha_divisor",
    "labelled_task",
    "method_of",
]
