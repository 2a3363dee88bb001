"""Where others find this server: the addresses of a page that they can reach, and a QR code of one."""

from __future__ import annotations

from html import escape
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

import ifaddr
import segno
import streamlit as st

from replora.ui.live.engine import is_local

DOCKER = ip_network("172.16.0.0/12")  # what containers talk in; private networks of people too, but seldom
ALONE = (
    "Only this machine reaches the server: start it with --server.address 0.0.0.0 to let a class in, who need "
    "this machine's address in their network or hotspot."
)


def addresses() -> list[str]:
    """Of this page, without a query: the one in the address bar, or, where that is this machine's own name for itself,
    those in the networks it is in, which others can reach without internet; none where nobody knows or can."""
    here = urlsplit(st.context.url or "")
    if not here.netloc:
        return []
    if not is_local(here.hostname):
        return [here._replace(query="", fragment="").geturl()]
    if is_local(st.get_option("server.address")):
        return []
    port = f":{here.port}" if here.port else ""
    return [here._replace(netloc=f"{host}{port}", query="", fragment="").geturl() for host in own_hosts()]


def own_hosts() -> list[str]:
    """This machine's IPv4 addresses in its networks, home and hotspot before others."""
    found = [
        ip_address(str(address.ip)) for adapter in ifaddr.get_adapters() for address in adapter.ips if address.is_IPv4
    ]
    outward = [host for host in found if not host.is_loopback and not host.is_link_local]
    return [str(host) for host in sorted(outward, key=lambda host: (not host.is_private, host in DOCKER))]


def qr_html(link: str) -> str:
    """A link as a QR code, dark on white in either theme, since phones read no other."""
    picture = segno.make(link, error="m", micro=False).svg_data_uri(border=3, light="#fff", dark="#000")
    return f'<img class="qr" src="{picture}" alt="QR code of {escape(link)}">'
