"""What a process is given by whoever started it: a listening socket, and a line to its supervisor."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass

#: In a child's environment: numbers of the listening socket and of its end of the line.
LISTEN, LINE = "SCRM_LISTEN_FD", "SCRM_LINE_FD"
#: What is said over the line: `warm` by the child, `go` by the supervisor, `ready` by the child.
WARM, GO, READY = b"warm\n", b"!", b"ready\n"
#: systemd hands sockets over from this number on (sd_listen_fds(3)).
_FIRST_FD = 3


def supervised(env: Mapping[str, str] = os.environ) -> bool:
    """Whether this process is one of a supervisor's children."""
    return LINE in env


def given_socket(env: Mapping[str, str] = os.environ) -> socket.socket | None:
    """The listening socket of our supervisor or of systemd, if there is one."""
    if LISTEN in env:
        return socket.socket(fileno=int(env[LISTEN]))
    if env.get("LISTEN_PID") == str(os.getpid()) and int(env.get("LISTEN_FDS", "0")) > 0:
        return socket.socket(fileno=_FIRST_FD)
    return None


@dataclass(frozen=True, slots=True)
class Line:
    """To the supervisor. Without one, nobody is asked and nobody is told."""

    _socket: socket.socket | None

    def wait_for_go(self) -> None:
        """Say that code and settings are good, and wait until the process before us has let go. Blocking.

        From then on we do not outlive the supervisor: nobody would restart, renew or stop us, and we would
        hold the port. We end like after `kill -9`, which everything here survives, even when the loop hangs.
        """
        if self._socket is not None:
            self._socket.sendall(WARM)
            if not self._socket.recv(1):
                os._exit(1)
            threading.Thread(target=_end_with, args=(self._socket,), name="supervisor", daemon=True).start()

    def ready(self) -> None:
        if self._socket is not None:
            self._socket.sendall(READY)


def line_to_supervisor(env: Mapping[str, str] = os.environ) -> Line:
    return Line(socket.socket(fileno=int(env[LINE])) if supervised(env) else None)


def _end_with(line: socket.socket) -> None:
    try:
        line.recv(1)
    finally:
        os._exit(1)
