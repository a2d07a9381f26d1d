"""A web server on loopback that answers every address as badly as a test wants it to."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[["Handler"], None]


@dataclass
class Site:
    """The answers that are served, and the requests that came."""

    port: int = 0
    answers: dict[str, Answer] = field(default_factory=dict)
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def serve(self, name: str, answer: Answer | bytes) -> str:
        """Answers an address from now on; a file, unless told otherwise, can be continued and has a tag."""
        self.answers[f"/{name}"] = whole(answer) if isinstance(answer, bytes) else answer
        return f"http://127.0.0.1:{self.port}/{name}"

    def asked(self, name: str) -> list[dict[str, str]]:
        """Headers of all requests for an address."""
        return [headers for path, headers in self.requests if path == f"/{name}"]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        site: Site = self.server.site  # type: ignore[attr-defined]
        site.requests.append((self.path, dict(self.headers)))
        with suppress(BrokenPipeError, ConnectionResetError):
            site.answers.get(self.path, status(404))(self)
        self.close_connection = True

    def start(self, code: int, **headers: Any) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.send_header("Connection", "close")  # or a client that follows a redirect may ask a closing connection
        self.end_headers()

    def log_message(self, *arguments: Any) -> None:
        pass


@contextmanager
def running() -> Iterator[Site]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    site = server.site = Site(server.server_address[1])  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()


def whole(content: bytes, tag: str = '"1"', stop: list[int] | None = None, pause: float = 0.0) -> Answer:
    """A file that can be continued.

    :param stop: bytes after which the connection breaks off, of one request after the other; then it does not
    :param pause: seconds before every kibibyte
    """
    stops = iter(stop or [])

    def answer(handler: Handler) -> None:
        start, wanted = 0, handler.headers.get("Range", "")
        if wanted and handler.headers.get("If-Range", tag) == tag:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        if start > len(content):
            return status(416)(handler)
        extra = {"Content_Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if start else {}
        handler.start(206 if start else 200, Content_Length=len(content) - start, ETag=tag, **extra)
        end = next(stops, len(content))
        for position in range(start, min(start + end, len(content)), 1024):
            time.sleep(pause)
            handler.wfile.write(content[position : min(position + 1024, start + end)])
            handler.wfile.flush()

    return answer


def without_ranges(content: bytes, stop: list[int] | None = None) -> Answer:
    """A file that is always sent from its beginning."""
    stops = iter(stop or [])

    def answer(handler: Handler) -> None:
        handler.start(200, Content_Length=len(content))
        handler.wfile.write(content[: next(stops, len(content))])

    return answer


def chunked(content: bytes) -> Answer:
    """A file whose size is not announced."""

    def answer(handler: Handler) -> None:
        handler.start(200, Transfer_Encoding="chunked")
        for position in range(0, len(content), 1000):
            block = content[position : position + 1000]
            handler.wfile.write(f"{len(block):x}\r\n".encode() + block + b"\r\n")
        handler.wfile.write(b"0\r\n\r\n")

    return answer


def status(code: int, **headers: Any) -> Answer:
    """An answer without a file."""
    return lambda handler: handler.start(code, Content_Length=0, **headers)


def in_turn(*answers: Answer) -> Answer:
    """One answer after the other; the last one from then on."""
    left = list(answers)
    return lambda handler: (left.pop(0) if len(left) > 1 else left[0])(handler)
