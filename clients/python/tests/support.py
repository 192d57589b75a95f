"""Services that answer badly, for tests of the client. The real one starts as for the clients of other protocols."""

import contextlib
import http.client
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3] / "tests/clients"))

from service import Service  # noqa: E402

__all__ = ["Service", "dripping", "forgetful", "unused_address"]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        """Says nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_):
        """Says nothing: the clients of these servers go away early."""


@contextlib.contextmanager
def _served(handler):
    server = _Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    server.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def dripping():
    """A server that begins an answer and never ends it."""

    class Dripping(_Handler):
        def do_POST(self):
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", "1000000")
            self.end_headers()
            with contextlib.suppress(OSError):
                while True:
                    self.wfile.write(b" ")
                    self.wfile.flush()
                    threading.Event().wait(0.005)

    return _served(Dripping)


def forgetful(service, method="", lost=0):
    """A proxy that loses the first answers of a method, after the service made them. It keeps the headers that came."""

    class Forgetful(_Handler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            self.server.headers = dict(self.headers)
            onwards = http.client.HTTPConnection(service.url.removeprefix("http://"))
            onwards.request("POST", self.path, body, dict(self.headers))
            answer = onwards.getresponse()
            content = answer.read()
            onwards.close()
            if self.path == f"/v1/{method}" and self.server.lost < lost:
                self.server.lost += 1
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            self.send_response(answer.status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    @contextlib.contextmanager
    def counted():
        with _served(Forgetful) as server:
            server.lost = 0
            server.headers = {}
            yield server

    return counted()


def unused_address():
    """Returns an address where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"
