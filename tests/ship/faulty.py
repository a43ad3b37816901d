"""A server for outputs that fails as it is told: real HTTP, a real log with its ledger behind it, chosen faults."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec

from tailrace.bus.disk import DiskBus
from tailrace.errors import BadInput, OriginTaken, TooLarge
from tailrace.ship.block import PATH, Taken, decode
from tests.batches import messages_of


class Faulty:
    """Takes blocks into a log in ``directory``. Each call takes the next of ``faults``, then all is well.

    ok · before: the connection is cut before the block is taken · after: it is taken, the answer is lost · half: the
    answer is cut off · garbage: 200 without meaning · other: 200 about another log · 3-digit status: refused ·
    wipe: the server has lost everything it had
    """

    def __init__(self, directory, faults=()):
        self.directory = directory
        self.faults = list(faults)
        self.headers = {}
        self.seen = []
        self.poison = ""
        self.rows_max = 1 << 20
        self.lives = 0
        self.bus = DiskBus(directory / "0")
        faulty = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                faulty.answer(self, b"")

            def do_POST(self):
                faulty.answer(self, self.rfile.read(int(self.headers["Content-Length"])))

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        self._thread = threading.Thread(target=self.http.serve_forever, args=(0.01,))
        self._thread.start()

    def answer(self, handler, body):
        fault = self.faults.pop(0) if self.faults else "ok"
        self.seen.append((handler.command, fault, handler.headers.get("Authorization")))
        handler.close_connection = True
        if fault == "before":
            return
        if fault == "wipe":
            self.bus.close()
            self.lives += 1
            self.bus = DiskBus(self.directory / str(self.lives))
            return
        if fault.isdecimal():
            self._send(handler, int(fault), b"not today", "text/plain")
            return
        status, media, said = self._take(body) if body else (200, "application/json", self._told(handler.path))
        if fault == "after":
            return
        if fault == "half":
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n" + said)
            return
        said = {"garbage": b"<html>welcome</html>", "other": msgspec.json.encode(Taken("agent:1.0", 1 << 40))}.get(
            fault, said
        )
        handler.close_connection = fault != "ok"
        self._send(handler, status, said, media)

    def _send(self, handler, status, body, media):
        handler.send_response(status)
        for name, value in {"Content-Type": media, "Content-Length": len(body), **self.headers}.items():
            handler.send_header(name, str(value))
        handler.end_headers()
        handler.wfile.write(body)

    def _told(self, path):
        assert path.startswith(PATH)
        return self._taken(path.partition("source=")[2])

    def _taken(self, source):
        known = self.bus.taken(source)
        return msgspec.json.encode(Taken(source, known.next if known else None, known.note if known else ""))

    def _take(self, body):
        try:
            batch = decode(body).batch
            if self.poison and any(self.poison in text for text in messages_of([batch])):
                raise BadInput(f"{self.poison} is not taken here")
            if len(batch) > self.rows_max:
                raise TooLarge("too many")
            known = self.bus.taken(batch.origins[0].source)
            if (known.next if known else None) != decode(body).after:
                return 409, "application/json", self._taken(batch.origins[0].source)
            self.bus.append(batch).result(20)
        except OriginTaken as error:
            return 409, "application/json", self._taken(error.source)
        except BadInput as error:
            problem = {"status": 400, "detail": error.message}
            return 413 if isinstance(error, TooLarge) else 400, "application/problem+json", msgspec.json.encode(problem)
        return 200, "application/json", self._taken(batch.origins[0].source)

    def messages(self):
        return messages_of(self.bus.read(self.bus.first, 1 << 30))

    def close(self):
        self.http.shutdown()
        self._thread.join()
        self.http.server_close()
        self.bus.close()
