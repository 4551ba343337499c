from __future__ import annotations

import socket

from foundation.page_server import page_server


def test_the_kind_of_address_decides_the_kind_of_server() -> None:
    families = [page_server(host).address_family for host in ("::1", "::", "127.0.0.1", "localhost")]
    assert families == [socket.AF_INET6, socket.AF_INET6, socket.AF_INET, socket.AF_INET]
