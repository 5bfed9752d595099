"""Servers of the lab's internet; threads of this process on sockets of the namespace."""

from __future__ import annotations

import socket
import socketserver
import threading
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, Self

from tests.lab.patience import PATIENCE

if TYPE_CHECKING:
    from types import TracebackType

    from tests.lab.namespace import Namespace

Address = tuple[str, int]


class _Server(socketserver.ThreadingTCPServer):
    """Serves on a socket made inside ``namespace``; remembers who came."""

    daemon_threads = True
    block_on_close = False
    handler: type[socketserver.BaseRequestHandler]

    def __init__(self, namespace: Namespace, address: str, port: int) -> None:
        super().__init__((address, port), self.handler, bind_and_activate=False)
        self.socket.close()
        self.socket = self._listener(namespace, (address, port))
        self.server_address = self.socket.getsockname()
        self.port: int = self.socket.getsockname()[1]
        self.peers: list[Address] = []
        self._thread = threading.Thread(
            target=self.serve_forever, args=(0.02,), name=f"serve-{port}", daemon=True
        )

    @staticmethod
    def _listener(namespace: Namespace, where: Address) -> socket.socket:
        family = socket.AF_INET6 if ":" in where[0] else socket.AF_INET
        listener = namespace.socket(family)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(where)
            listener.listen(512)
        except OSError:
            listener.close()
            raise
        return listener

    def process_request(self, request: Any, client_address: Any) -> None:
        self.peers.append((client_address[0], client_address[1]))
        super().process_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is its own affair."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        self.shutdown()
        self._thread.join(PATIENCE)
        self.server_close()


class _Hello(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = f"hello from the internet, {self.client_address[0]}\n".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Client", f"{self.client_address[0]}:{self.client_address[1]}")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""


class HttpServer(_Server):
    """Answers ``hello from the internet, <client's address>``."""

    handler = _Hello

    def __init__(self, namespace: Namespace, address: str = "1.1.1.1", port: int = 80) -> None:
        super().__init__(namespace, address, port)


class _Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        self.request.settimeout(PATIENCE)
        while data := self.request.recv(65536):
            self.request.sendall(data)


class EchoServer(_Server):
    """Sends back what comes, and closes when the client has closed its half."""

    handler = _Echo

    def __init__(self, namespace: Namespace, address: str = "1.1.1.1", port: int = 7) -> None:
        super().__init__(namespace, address, port)
