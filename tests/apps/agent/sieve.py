"""Stands before a server and takes no block that holds a record with a certain text: as a server that refuses it."""

import http.client
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tailrace.ship.block import decode


class Sieve:
    """Passes calls to ``port``, but answers 400 for blocks with ``text`` in a message."""

    def __init__(self, port, text):
        self.port = port
        self.text = text
        sieve = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                sieve.passed(self, b"")

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if any(sieve.text in text for text in decode(body).batch.array("message").to_pylist()):
                    problem = json.dumps({"status": 400, "detail": f"{sieve.text} is not taken here"}).encode()
                    sieve.answered(self, 400, "application/problem+json", problem)
                else:
                    sieve.passed(self, body)

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        self._thread = threading.Thread(target=self.http.serve_forever, args=(0.01,))
        self._thread.start()

    def passed(self, handler, body):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(handler.command, handler.path, body, dict(handler.headers))
            answer = connection.getresponse()
            self.answered(handler, answer.status, answer.headers["Content-Type"], answer.read())
        finally:
            connection.close()

    def answered(self, handler, status, media, body):
        handler.send_response(status)
        handler.send_header("Content-Type", media)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def close(self):
        self.http.shutdown()
        self._thread.join()
        self.http.server_close()
