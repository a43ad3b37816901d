"""``--demo``: the logs of three invented services, so that a newcomer sees something at once.

``checkout`` writes JSON, ``gateway`` logfmt, ``billing`` Java-like text with stack traces. Half an hour of history is
there at once, then they go on live, with bursts and a bad minute now and then. With a seed and a start the history is
always the same.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import orjson

from tailrace.limits import DEMO_FILE_BYTES_MAX

_HISTORY_S = 1800
_RATE = 4.0
_BURST = 12
SERVICES = ("checkout", "gateway", "billing")
_CITIES = ("Berlin", "Lagos", "Lima", "Oslo", "上海", "Toronto")
_ITEMS = ("lamp", "kettle", "notebook", "desk", "headphones", "bicycle")
_PATHS = ("/api/cart", "/api/items", "/api/pay", "/login", "/search", "/static/app.js")
_CHINESE = ("订单已支付、等待发货", "库存不足、订单转人工处理", "退款申请已提交", "支付网关响应超时、正在重试")
_TRACE = (
    "java.lang.IllegalStateException: invoice {order} has no customer",
    "\tat com.example.billing.Invoices.close(Invoices.java:{line})",
    "\tat com.example.billing.Worker.run(Worker.java:88)",
    "Caused by: java.net.SocketTimeoutException: Read timed out",
    "\t... 12 more",
)


class Demo:
    """Writes ``checkout.log``, ``gateway.log`` and ``billing.log`` into a directory until ``stop``."""

    def __init__(self, directory: Path, *, seed: int | None = None, start_s: float | None = None) -> None:
        """Take the place; it is made when it is missing."""
        self._directory = directory
        self._random = random.Random(seed)  # noqa: S311 - invented logs need no secrets
        self._start_s = time.time() if start_s is None else start_s
        self._order = 1000
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="demo", daemon=True)
        writers: tuple[Callable[[float, bool], Iterator[str]], ...] = (self._checkout, self._gateway, self._billing)
        self._writers = dict(zip(SERVICES, writers, strict=True))

    def start(self) -> None:
        """Write the history, then go on in a thread."""
        self.write_history()
        self._thread.start()

    def stop(self) -> None:
        """End the thread; the files stay."""
        self._stopping.set()
        self._thread.join()

    def write_history(self) -> None:
        """Write the half hour before the start."""
        self._directory.mkdir(parents=True, exist_ok=True)
        when = self._start_s - _HISTORY_S
        events: list[float] = []
        while when < self._start_s:
            events.append(when)
            when += self._random.expovariate(_RATE)
        for service, write in self._writers.items():
            lines = [line for at in events if self._random.random() < 0.5 for line in write(at, self._bad(at))]
            with (self._directory / f"{service}.log").open("a", encoding="utf-8") as file:
                file.write("".join(f"{line}\n" for line in lines))

    def _run(self) -> None:
        while not self._stopping.wait(self._random.expovariate(_RATE)):
            service = self._random.choice(list(self._writers))
            path = self._directory / f"{service}.log"
            if path.exists() and path.stat().st_size > DEMO_FILE_BYTES_MAX:
                path.rename(path.with_suffix(".log.1"))
            count = self._random.randint(2, _BURST) if self._random.random() < 0.1 else 1
            now = time.time()
            lines = [line for _ in range(count) for line in self._writers[service](now, self._bad(now))]
            with path.open("a", encoding="utf-8") as file:
                file.write("".join(f"{line}\n" for line in lines))

    def _bad(self, at: float) -> bool:
        """Tell whether something is wrong now: one minute of every ten."""
        return int(at - self._start_s) // 60 % 10 == 5

    def _level(self, bad: bool, words: str = "info warn error") -> str:
        return self._random.choices(words.split(), (60, 20, 40) if bad else (94, 4, 2))[0]

    def _checkout(self, at: float, bad: bool) -> Iterator[str]:
        self._order += 1
        level = self._level(bad)
        item, city = self._random.choice(_ITEMS), self._random.choice(_CITIES)
        message = {
            "info": f"order {self._order} placed: {item} to {city}",
            "warn": f"payment of order {self._order} is slow",
            "error": f"payment of order {self._order} failed: card declined",
        }[level]
        if self._random.random() < 0.08:
            message = self._random.choice(_CHINESE)
        record = {
            "time": _iso(at),
            "level": level,
            "message": message,
            "trace_id": f"{self._random.getrandbits(128):032x}",
            "order": self._order,
            "amount": self._random.randint(300, 90_000) / 100,
            "user": {"id": self._random.randint(1, 500), "city": city},
        }
        yield orjson.dumps(record).decode()

    def _gateway(self, at: float, bad: bool) -> Iterator[str]:
        level = self._level(bad)
        status = {"info": 200, "warn": 429, "error": 502}[level]
        took_ms = int(self._random.lognormvariate(6.5 if bad else 3.2, 0.8))
        path = self._random.choice(_PATHS)
        yield (
            f'ts={_iso(at)} level={level} msg="request done" method=GET path={path} status={status} '
            f"took_ms={took_ms} client=10.0.{self._random.randint(0, 9)}.{self._random.randint(1, 250)}"
        )

    def _billing(self, at: float, bad: bool) -> Iterator[str]:
        level = self._level(bad, "INFO WARN ERROR")
        thread = f"worker-{self._random.randint(1, 4)}"
        when = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S,%f")[:-3]
        order = self._order
        message = {"INFO": "closed", "WARN": "is late: reminder sent", "ERROR": "cannot be closed"}[level]
        yield f"{when} {level:<5} [{thread}] com.example.billing.Invoices - invoice {order} {message}"
        if level == "ERROR":
            line = self._random.randint(40, 400)
            yield from (text.format(order=order, line=line) for text in _TRACE)


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
