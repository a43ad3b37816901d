"""A front of a server that speaks TLS, or plain text where TLS is expected."""

import contextlib
import socket
import ssl
import subprocess
import threading

import pytest


class Tls:
    """Listens on ``port`` with a certificate (key, certificate; None: plain text) and passes to ``behind``."""

    def __init__(self, behind, port, pair):
        self.passed = 0
        self._behind = behind
        self._context = None
        if pair:
            self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            self._context.load_cert_chain(pair[1], pair[0])
        self._listener = socket.create_server(("127.0.0.1", port))
        self._open = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                one, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(one,), daemon=True).start()

    def _serve(self, one):
        with contextlib.suppress(OSError):
            if self._context:
                one = self._context.wrap_socket(one, server_side=True)
            elif one.recv(1) == b"\x16":
                one.close()
                return
            with one, socket.create_connection(("127.0.0.1", self._behind)) as other:
                self._open += [one, other]
                back = threading.Thread(target=self._pass, args=(other, one), daemon=True)
                back.start()
                self._pass(one, other, counted=True)

    def _pass(self, source, sink, *, counted=False):
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                self.passed += len(data) * counted
                sink.sendall(data)


def certificate(directory, name, *, past=False):
    """Make a certificate of its own authority, for 127.0.0.1; return the files of key and certificate."""
    place = directory / name
    place.mkdir()
    key, request, made, config = (place / file for file in ("key.pem", "request.pem", "made.pem", "config"))
    config.write_text(
        f"[ca]\ndefault_ca=one\n[one]\ndatabase={place}/index\nserial={place}/serial\nnew_certs_dir={place}\n"
        "default_md=sha256\npolicy=any\nx509_extensions=more\n[any]\ncommonName=supplied\n"
        "[more]\nsubjectAltName=IP:127.0.0.1\nbasicConstraints=CA:true\n"
    )
    (place / "index").touch()
    (place / "serial").write_text("01\n")
    new = ["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    dates = ["-startdate", "20200101000000Z", "-enddate", "20200201000000Z"] if past else ["-days", "30"]
    sign = ["ca", "-batch", "-selfsign", "-config", config, "-keyfile", key, "-in", request, "-out", made, "-notext"]
    for words in ([*new, "-keyout", key, "-out", request, "-subj", f"/CN={name}"], [*sign, *dates]):
        try:
            subprocess.run(["openssl", *words], capture_output=True, check=True)
        except FileNotFoundError:
            pytest.skip("openssl is not installed")
    return key, made
