"""The owner of this server, who opens any page once with `?key=` and is known by the browser from then on."""

from __future__ import annotations

import hmac
import os

import streamlit as st

from replora.ui.visitor.lasting import OfProcess
from replora.ui.visitor.who import visitor_name

VARIABLE = "REPLORA_OWNER_KEY"
KEY = "key"  # of the query string
LEAST = 16  # characters, since anybody may try

WELCOME = "This browser holds the owner's key until the server ends: its runs go first, and it may delete all."
WRONG = "The key of this link is not that of this server's owner."
NONE = f"This server has no owner's key: {VARIABLE} must have at least {LEAST} characters."

key_holders: OfProcess[set[str]] = OfProcess(set, set.clear)  # by name


def holds_key() -> bool:
    """Whether this visitor has shown the owner's key."""
    return visitor_name() in key_holders()


def take_key() -> None:
    """Note the key of the visitor's link and take it out of the address, lest it is passed on with that."""
    shown = st.query_params.get(KEY)
    if shown is None:
        return
    del st.query_params[KEY]
    key = os.environ.get(VARIABLE, "")
    if len(key) < LEAST:
        st.warning(NONE)
    elif hmac.compare_digest(shown.encode(), key.encode()):
        key_holders().add(visitor_name())
        st.success(WELCOME)
    else:
        st.warning(WRONG)
