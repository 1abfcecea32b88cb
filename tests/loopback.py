"""A real HTTP server on this machine that can fail in every way."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[[BaseHTTPRequestHandler], None]


class Server:
    """Answers each path as it is told to."""

    def __init__(self) -> None:
        self.routes: dict[str, Answer] = {}
        self.asked: list[str] = []
        self.closing = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                outer.asked.append(f"{self.command} {path}")
                with contextlib.suppress(ConnectionError):  # the client gave up, as it should
                    outer.routes.get(path, status(404))(self)

            do_HEAD = do_GET  # noqa: N815 - as http.server wants it

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self) -> None:
        self.closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def give(self, path: str, answer: bytes | Answer) -> str:
        """Answer `path` so; return its address."""
        self.routes[path] = gives(answer) if isinstance(answer, bytes) else answer
        return self.url + path

    def stalls(self, content: bytes, after: int) -> Answer:
        """Send the beginning, and then nothing more, holding the line."""

        def answer(handler: BaseHTTPRequestHandler) -> None:
            _head(handler, 200, {"Content-Length": str(len(content))})
            handler.wfile.write(content[:after])
            handler.wfile.flush()
            self.closing.wait(20)

        return answer

    def silent(self, _: BaseHTTPRequestHandler) -> None:
        """Say nothing at all."""
        self.closing.wait(20)

    def trickles(self, content: bytes) -> Answer:
        """Send a byte at a time, so slowly that it never ends, but never stops."""
        head = f"HTTP/1.0 200 OK\r\nContent-Length: {len(content)}\r\n\r\n".encode()
        return self._drip(content, head)

    def trickles_headers(self, _: bytes) -> Answer:
        """Never come to the end of the headers."""
        return self._drip(b"X-Header: 0\r\n" * 1000, b"HTTP/1.0 200 OK\r\n")

    def _drip(self, content: bytes, head: bytes) -> Answer:
        def answer(handler: BaseHTTPRequestHandler) -> None:
            handler.wfile.write(head)
            for i in range(len(content)):
                if self.closing.wait(0.05):
                    return
                handler.wfile.write(content[i : i + 1])

        return answer


def _head(handler: BaseHTTPRequestHandler, code: int, headers: dict[str, str]) -> None:
    handler.send_response(code)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.end_headers()


def gives(content: bytes, headers: dict[str, str] | None = None) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        _head(handler, 200, {"Content-Length": str(len(content)), **(headers or {})})
        if handler.command == "GET":
            handler.wfile.write(content)

    return answer


def slowly(content: bytes, seconds: float) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        time.sleep(seconds)
        gives(content)(handler)

    return answer


def cut_off(content: bytes, after: int) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        _head(handler, 200, {"Content-Length": str(len(content))})
        handler.wfile.write(content[:after])

    return answer


def endless(handler: BaseHTTPRequestHandler) -> None:
    _head(handler, 200, {})
    for _ in range(10_000):
        handler.wfile.write(b"0" * 10_000)


def status(code: int) -> Answer:
    return lambda handler: _head(handler, code, {"Content-Length": "0"})


def redirects(url: str) -> Answer:
    return lambda handler: _head(handler, 302, {"Location": url, "Content-Length": "0"})
