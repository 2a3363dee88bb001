"""The menu: all pages by heading."""

from __future__ import annotations

MENU: dict[str, dict[str, str]] = {  # by heading: file in pages/ without its suffix, and title; the first one lands
    "": {"race": "Race"},
    "Studies": {
        "data_efficiency": "Data efficiency",
        "learning_rate": "Learning rate",
        "recover_update": "Recover a known update",
    },
    "Look inside": {
        "experts": "Attention as experts",
        "inside": "Inside the reparameterization",
        "landscape": "Landscape",
    },
    "Theory": {"identifiability": "Identifiability", "rates": "Rates"},
    "Teach": {"classroom": "Classroom"},
    "Yours": {"your_data": "Your data", "runs": "Runs"},
}


PAGES: dict[str, str] = {name: title for pages in MENU.values() for name, title in pages.items()}
