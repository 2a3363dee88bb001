"""The stations of this server: those that come with the app, and those of a folder that its owner names."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from replora.catalog import ASSETS
from replora.config import RaceOptions
from replora.options import Linked
from replora.presets import Presets, read_presets
from replora.simulation.specs import RatesOptions, Split
from replora.studies.spec import DataStudy, RateStudy, TeacherStudy
from replora.ui.inside.dial.form import DialOptions
from replora.ui.inside.experts.form import ExpertsOptions
from replora.ui.inside.generation.form import GenerationOptions
from replora.ui.inside.landscape.page import LandscapeOptions
from replora.ui.inside.reparameterization.form import InsideOptions
from replora.ui.parts.once import Once
from replora.ui.tour.records import MADE

VARIABLE = "REPLORA_PRESETS"  # a folder of further stations
FOLDER = ASSETS / "presets"
READ: Once[Presets] = Once(4)  # by files and their times


@dataclass(frozen=True, kw_only=True)
class Nothing(Linked):
    """The settings of a page of which a link sets nothing."""


PAGES: dict[str, type[Linked]] = {
    "race": RaceOptions,
    "learning_rate": RateStudy,
    "data_efficiency": DataStudy,
    "recover_update": TeacherStudy,
    "experts": ExpertsOptions,
    "inside": InsideOptions,
    "landscape": LandscapeOptions,
    "generation": GenerationOptions,
    "dial": DialOptions,
    "identifiability": Split,
    "rates": RatesOptions,
    "your_data": Nothing,
}
RUNS = (
    *("race", "learning_rate", "data_efficiency", "recover_update"),
    *("experts", "inside", "landscape", "generation", "dial", "rates"),
)


def presets() -> Presets:
    """All stations, read anew once a file has changed."""
    folders = [FOLDER, *([Path(named)] if (named := os.environ.get(VARIABLE)) else [])]
    files = [path for folder in folders for path in sorted(folder.glob("*.toml"))]
    return READ(tuple((path, _changed(path)) for path in files), lambda: read_presets(folders, PAGES, RUNS, MADE))


def _changed(path: Path) -> int:
    """When; 0 where nobody may look, which `read_presets` says."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
