"""Wrong on purpose: each process listens on a socket of its own (SO_REUSEPORT), and takes it along."""

from __future__ import annotations

import socket

from scrm.cli import main, serving
from scrm.cli.inherited import given_socket, supervised


def own(host: str, port: int, *, listen: bool) -> socket.socket:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind((host, port))
    if listen:
        sock.listen(1024)
    return sock


def of_this_process() -> socket.socket | None:
    """What a child would inherit only tells it the port."""
    inherited = given_socket()
    return own(*inherited.getsockname(), listen=True) if inherited is not None and supervised() else None


if __name__ == "__main__":
    # The supervisor keeps the port, but nobody can connect to what it holds.
    vars(serving).update(given_socket=of_this_process, bound=lambda host, port: own(host, port, listen=False))
    main()
