"""A webhook on loopback, and what it was sent."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


@dataclass
class Webhook:
    """What a webhook was sent, the status it answers with, and the one for a word it refuses."""

    url: str = ""
    status: int = 200
    refused: tuple[int, str] = (0, "")
    texts: list[str] = field(default_factory=list)


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    told = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            text = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["text"]
            refusal, word = told.refused
            status = refusal if refusal and word in text else told.status
            if status == 200:
                told.texts.append(text)
            self.send_response(status)
            if status // 100 == 3:
                self.send_header("Location", "/elsewhere")
            self.end_headers()

        def do_GET(self) -> None:  # whoever follows a redirect asks so
            told.texts.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Keep the test's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    told.url = f"http://127.0.0.1:{server.server_port}/services/secret-path"
    yield told
    server.shutdown()
    server.server_close()
    thread.join()
