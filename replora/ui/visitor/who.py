"""Who visits: a secret that only this browser and the server know. It survives reloads and lost connections."""

from __future__ import annotations

import hashlib
import re
import secrets
from ipaddress import IPv6Address, ip_address, ip_network

import streamlit as st

COOKIE = "replora_visitor"
SECRET = "visitor.secret"  # that of this session, where the browser keeps no cookie
FORM = re.compile(r"[A-Za-z0-9_-]{43}")
HOME_BITS = 64  # of an IPv6 address: a household or a school has all that begin with them


def new_secret() -> str:
    """A visitor nobody else can name."""
    return secrets.token_urlsafe(32)


def visitor() -> str:
    """This visitor's secret, of no use in links, lists and logs: who has it is the visitor."""
    kept = st.context.cookies.get(COOKIE, "")
    if isinstance(kept, str) and FORM.fullmatch(kept):  # a page that is run headless has no text there
        return kept
    secret: str = st.session_state.setdefault(SECRET, new_secret())
    return secret


def visitor_name() -> str:
    """By what the server may know this visitor in lists and files: nobody learns the secret from it."""
    return hashlib.sha256(visitor().encode()).hexdigest()


def visitor_address() -> str:
    """Where the visitor's connection comes from, '' for this machine itself; of an IPv6 address its network.

    Behind proxies it is what the nearest of them that is not trusted was told, see uvicorn's FORWARDED_ALLOW_IPS; those
    on this machine are trusted.
    """
    return network(st.context.ip_address or "")


def network(host: str) -> str:
    """An address of IPv4, or the network of one of IPv6; '' for what is none."""
    try:
        found = ip_address(host.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(found, IPv6Address) and found.ipv4_mapped is None:
        return str(ip_network((found, HOME_BITS), strict=False))
    return str(getattr(found, "ipv4_mapped", None) or found)
