"""The menu: all pages by heading, and which one follows which."""

from __future__ import annotations

MENU: dict[str, dict[str, str]] = {  # by heading: file in pages/ without its suffix, and title; the first one lands
    "": {"home": "Home", "tour": "Guided tour", "race": "Race"},
    "Studies over seeds": {
        "learning_rate": "Learning rate",
        "data_efficiency": "Data efficiency",
        "recover_update": "Recover a known update",
    },
    "Inside a race": {
        "experts": "Attention as experts",
        "inside": "Inside the reparameterization",
        "landscape": "Landscape",
        "generation": "Generated text",
        "dial": "Adapter dial",
    },
    "Theory, measured": {"identifiability": "Identifiability", "rates": "Rates"},
    "For a class": {"classroom": "Classroom"},
    "Your data and runs": {"your_data": "Your data", "runs": "Runs"},
}


NO_SIDEBAR = ("home", "tour", "classroom", "your_data")  # of the others the sidebar is there from the first

PAGES: dict[str, str] = {name: title for pages in MENU.values() for name, title in pages.items()}

NEXT: dict[str, tuple[str, str]] = {  # by page: the one that follows it, and what is asked there
    "home": ("tour", "from a first race to your own data, step by step."),
    "tour": ("race", "two methods on the same batches."),
    "race": ("learning_rate", "is the one who leads here ahead at other rates too?"),
    "learning_rate": ("data_efficiency", "and with less data?"),
    "data_efficiency": ("recover_update", "who finds the matrices themselves?"),
    "recover_update": ("experts", "what does an update move in a head?"),
    "experts": ("inside", "what makes A and B?"),
    "inside": ("landscape", "where do both runs go?"),
    "landscape": ("generation", "what does an update do to a sentence?"),
    "generation": ("dial", "and if the update were stronger, or turned around?"),
    "dial": ("identifiability", "what does no amount of data tell?"),
    "identifiability": ("rates", "how fast do estimates approach the truth?"),
    "rates": ("classroom", "measure it with a class."),
    "classroom": ("your_data", "does it hold for your examples?"),
    "your_data": ("runs", "all that has run, to compare and to keep."),
    "runs": ("home", "from the beginning."),
}


def path_of(page: str) -> str:
    """Where a page is, seen from any other: the first one lands, and has no path."""
    return "./" if page == next(iter(PAGES)) else page


def heading_of(page: str) -> str:
    """The heading under which a page stands, '' for those that stand alone."""
    return next(heading for heading, titles in MENU.items() if page in titles)
