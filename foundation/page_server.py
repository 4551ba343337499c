"""Small HTTP servers of pages such as metrics and health, with a thread for each reader, on IPv4 or IPv6."""

from __future__ import annotations

import socket
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIServer


class PageServer(ThreadingMixIn, WSGIServer):
    """Server on IPv4, for the `server_class` of `wsgiref.simple_server.make_server`."""

    daemon_threads = True


class _PageServer6(PageServer):
    address_family = socket.AF_INET6


def page_server(host: str) -> type[PageServer]:
    """Return the kind of server that listens on a host's name or address.

    >>> page_server("::1").address_family.name, page_server("127.0.0.1").address_family.name
    ('AF_INET6', 'AF_INET')
    """
    return _PageServer6 if ":" in host else PageServer
