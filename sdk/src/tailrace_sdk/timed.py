"""How long a function took, what it returned, how it failed: one record for each call.

A record has ``operation``, ``duration_ms``, ``status`` ok or error, ``result`` (short, secrets masked), and after an
exception, which goes on as if nobody had looked, ``error_type``, ``error`` and ``traceback``. A generator is timed from
its first item to its end, and has ``items`` instead of a result; one that is left early has the status ``left``.
"""

from __future__ import annotations

import functools
import reprlib
import time
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any, TypeVar, cast

from tailrace_sdk.exception import told
from tailrace_sdk.limits import RESULT_CHARACTERS_MAX
from tailrace_sdk.mask import masked
from tailrace_sdk.plain import text_of

F = TypeVar("F", bound=Callable[..., Any])
Send = Callable[[dict[str, Any]], Any]


def timed(send: Callable[[], Send], operation: str, fields: dict[str, Any]) -> Callable[[F], F]:
    """Return the decorator; ``send`` is asked for what takes the records at every call."""

    def decorate(function: F) -> F:
        import inspect

        if inspect.isasyncgenfunction(function):
            wrapper = _async_generator(function, send, operation, fields)
        elif inspect.iscoroutinefunction(function):
            wrapper = _coroutine(function, send, operation, fields)
        elif inspect.isgeneratorfunction(function):
            wrapper = _generator(function, send, operation, fields)
        else:
            wrapper = _function(function, send, operation, fields)
        return cast("F", functools.wraps(function)(wrapper))

    return decorate


class _Call:
    """One call that is being timed."""

    __slots__ = ("_fields", "_operation", "_send", "_started", "items")

    def __init__(self, send: Callable[[], Send], operation: str, fields: dict[str, Any]) -> None:
        self._send, self._operation, self._fields = send, operation, fields
        self.items = 0
        self._started = time.perf_counter()

    def done(self, result: Any) -> None:
        self._record("info", "ok", lambda: {"result": shown(result)})

    def ended(self) -> None:
        self._record("info", "ok", lambda: {"items": self.items})

    def left(self) -> None:
        self._record("info", "left", lambda: {"items": self.items})

    def failed(self, error: BaseException) -> None:
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None and trace.tb_frame.f_code.co_filename == __file__:
            trace = trace.tb_next  # people look for their own function
        self._record("error", "error", lambda: told(error, trace))

    def _record(self, level: str, status: str, more: Callable[[], dict[str, Any]]) -> None:
        duration_ms = (time.perf_counter() - self._started) * 1000
        try:
            self._send()(
                {
                    "level": level,
                    "message": f"{self._operation} {status} in {duration_ms:.1f} ms",
                    "operation": self._operation,
                    "status": status,
                    "duration_ms": round(duration_ms, 3),
                    **self._fields,
                    **more(),
                }
            )
        except Exception:  # noqa: BLE001 - the program's own result matters more
            return


def _function(function: Any, send: Any, operation: str, fields: dict[str, Any]) -> Any:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        call = _Call(send, operation, fields)
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            call.failed(error)
            raise
        call.done(result)
        return result

    return wrapper


def _coroutine(function: Any, send: Any, operation: str, fields: dict[str, Any]) -> Any:
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        call = _Call(send, operation, fields)
        try:
            result = await function(*args, **kwargs)
        except BaseException as error:
            call.failed(error)
            raise
        call.done(result)
        return result

    return wrapper


def _generator(function: Any, send: Any, operation: str, fields: dict[str, Any]) -> Any:
    def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        call = _Call(send, operation, fields)
        try:
            result = yield from _counted(function(*args, **kwargs), call)
        except GeneratorExit:
            call.left()
            raise
        except BaseException as error:
            call.failed(error)
            raise
        call.ended()
        return result

    return wrapper


def _counted(inner: Generator[Any, Any, Any], call: _Call) -> Generator[Any, Any, Any]:
    """Pass on whatever goes in and out, and count what comes out."""
    item = None
    try:
        item = next(inner)
        while True:
            call.items += 1
            try:
                sent = yield item
            except GeneratorExit:
                inner.close()
                raise
            except BaseException as error:  # noqa: BLE001 - it was thrown in, for the generator to see
                item = inner.throw(error)
            else:
                item = inner.send(sent)
    except StopIteration as end:
        return end.value


def _async_generator(function: Any, send: Any, operation: str, fields: dict[str, Any]) -> Any:
    async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        call = _Call(send, operation, fields)
        inner = function(*args, **kwargs)
        try:
            item = await inner.__anext__()
            while True:
                call.items += 1
                try:
                    sent = yield item
                except GeneratorExit:
                    await inner.aclose()
                    raise
                except BaseException as error:  # noqa: BLE001 - it was thrown in, for the generator to see
                    item = await inner.athrow(error)
                else:
                    item = await inner.asend(sent)
        except StopAsyncIteration:
            call.ended()
        except GeneratorExit:
            call.left()
            raise
        except BaseException as error:
            call.failed(error)
            raise

    return wrapper


_short = reprlib.Repr()
_short.maxstring = _short.maxother = RESULT_CHARACTERS_MAX


def shown(value: Any) -> Any:
    """Return what a record says of a result: small values themselves, others as short text, objects by their type."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, str):
        return text_of(value, RESULT_CHARACTERS_MAX)
    if isinstance(value, (dict, list, tuple, set, frozenset)):
        try:
            small = len(value) <= RESULT_CHARACTERS_MAX
            return text_of(_short.repr(masked(value) if small else value), RESULT_CHARACTERS_MAX)
        except Exception:  # noqa: BLE001 - what is in it may raise anything
            return f"<{type(value).__name__}>"
    return f"<{type(value).__name__}>"
