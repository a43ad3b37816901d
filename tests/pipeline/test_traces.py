"""Traces of every language are one event, with the line of the log that announces them."""

import pyarrow as pa
import pytest

from tailrace.lines import Steps
from tailrace.pipeline.join import join
from tailrace.pipeline.traces import kind_of

JAVA = """\
2026-11-21 08:00:00,123 ERROR [main] c.e.Shop - payment failed
java.lang.IllegalStateException: no till
\tat com.example.Shop.pay(Shop.java:12)
\tat com.example.Shop.main(Shop.java:5)
\tSuppressed: java.io.IOException: close
\t\tat com.example.Till.close(Till.java:9)
\t\t... 1 more
\tCaused by: java.lang.Error: inner
\t\t... 2 more
Caused by: java.sql.SQLException: Connection refused
Detail: port 5432
\tat org.db.Driver.connect(Driver.java:99)
\t... 12 more"""

JAVA_THREAD = """\
Exception in thread "main" java.lang.NullPointerException: Cannot invoke "String.length()"
\tat java.base/java.util.Objects.requireNonNull(Objects.java:233)
\tat app//com.example.Main$Inner.lambda$0(Main.java:3)"""

JAVA_IN_THE_LINE = """\
08:00:00.123 [http-1] ERROR c.e.Shop - failed java.lang.RuntimeException: boom
\tat com.example.Shop.pay(Shop.java:12)
\t... 30 common frames omitted"""

KOTLIN = """\
kotlinx.coroutines.JobCancellationException: Job was cancelled; job=JobImpl{Cancelling}@1f
\tat app.ShopKt$main$1.invokeSuspend(Shop.kt:7)
\tat kotlin.coroutines.jvm.internal.BaseContinuationImpl.resumeWith(ContinuationImpl.kt:33)"""

SCALA = """\
scala.MatchError: 3 (of class java.lang.Integer)
\tat Main$.delayedEndpoint$Main$1(Main.scala:2)
\tat scala.App.$anonfun$main$1$adapted(App.scala:80)"""

PYTHON = """\
2026-11-21 08:00:00,123 - shop - ERROR - failed
Traceback (most recent call last):
  File "/app/shop.py", line 3, in pay
    return till[1]
           ~~~~^^^
KeyError: 1

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/app/shop.py", line 9, in <module>
    pay()
  [Previous line repeated 996 more times]
shop.errors.PaymentFailed: no till

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/app/shop.py", line 11, in <module>
    raise SystemExit(1)
SystemExit: 1"""

PYTHON_SYNTAX = """\
Traceback (most recent call last):
  File "/app/a.py", line 1, in <module>
    import b
  File "/app/b.py", line 2
    x = = 1
        ^
SyntaxError: invalid syntax"""

PYTHON_THREAD = """\
Exception in thread Thread-1 (run):
Traceback (most recent call last):
  File "/usr/lib/python3.12/threading.py", line 1073, in _bootstrap_inner
    self.run()
RuntimeError: boom"""

PYTHON_GROUP = """\
  + Exception Group Traceback (most recent call last):
  |   File "/app/a.py", line 3, in <module>
  |     raise ExceptionGroup("both", [ValueError(1), TypeError("x")])
  | ExceptionGroup: both (2 sub-exceptions)
  +-+---------------- 1 ----------------
    | ValueError: 1
    +---------------- 2 ----------------
    | TypeError: x
    +------------------------------------"""

GO = """\
panic: runtime error: invalid memory address or nil pointer dereference
[signal SIGSEGV: segmentation violation code=0x1 addr=0x0 pc=0x48e2f6]

goroutine 1 [running]:
main.(*Shop).Pay(0x0, {0xc00001c0a8, 0x3})
\t/app/shop.go:12 +0x16
main.main()
\t/app/main.go:7 +0x1d

goroutine 18 [chan receive, 2 minutes]:
net/http.(*persistConn).readLoop(0xc000124000)
\t/usr/local/go/src/net/http/transport.go:2205 +0xc5
created by net/http.(*Transport).dialConn in goroutine 7
\t/usr/local/go/src/net/http/transport.go:1748 +0x170d
exit status 2"""

GO_HTTP = """\
2026/11/21 08:00:00 http: panic serving 127.0.0.1:53210: boom
goroutine 34 [running]:
net/http.(*conn).serve.func1()
\t/usr/local/go/src/net/http/server.go:1898 +0xbe
panic({0x5f1a20?, 0x6b2c10?})
\t/usr/local/go/src/runtime/panic.go:770 +0x132
main.handler({0x6b4d50, 0xc0001ac000}, 0xc0001b6000)
\t/app/main.go:11 +0x25"""

GO_FATAL = """\
fatal error: all goroutines are asleep - deadlock!

goroutine 1 [chan receive]:
main.main()
\t/app/main.go:5 +0x2d
exit status 2"""

GO_RACE = """\
==================
WARNING: DATA RACE
Read at 0x00c000124008 by goroutine 7:
  main.main.func1()
      /app/race.go:9 +0x3a

Previous write at 0x00c000124008 by main goroutine:
  main.main()
      /app/race.go:12 +0x88

Goroutine 7 (running) created at:
  main.main()
      /app/race.go:8 +0x7a
=================="""

NODE = """\
/app/server.js:7
    throw new TypeError("price is not a function");
    ^

TypeError: price is not a function
    at pay (/app/server.js:7:11)
    at Object.<anonymous> (/app/server.js:10:1)
    at node:internal/main/run_main_module:28:49 {
  code: 'E_PRICE',
  [cause]: Error: inner
      at pay (/app/server.js:6:9)
}

Node.js v24.1.0"""

NODE_LOGGED = """\
[2026-11-21T08:00:00.000Z] error: request failed
Error: connect ECONNREFUSED 127.0.0.1:5432
    at TCPConnectWrap.afterConnect [as oncomplete] (node:net:1555:16)"""

RUBY = """\
app.rb:2:in `/': divided by 0 (ZeroDivisionError)
\tfrom app.rb:2:in `pay'
\tfrom app.rb:5:in `<main>'"""

RAILS = """\
E, [2026-11-21T08:00:00.123456 #17] ERROR -- : divided by 0 (ZeroDivisionError)
app/models/cart.rb:3:in `pay'
app/controllers/carts_controller.rb:9:in `create'"""

DOTNET = """\
Unhandled exception. System.InvalidOperationException: no till
 ---> System.IO.IOException: disk
   at Shop.Till.Open() in /app/Till.cs:line 9
   --- End of inner exception stack trace ---
   at Shop.Cart.Pay(Int32 price) in /app/Cart.cs:line 12
   at Shop.Program.Main(String[] args)"""

DOTNET_LOGGED = """\
fail: Microsoft.AspNetCore.Server.Kestrel[13]
      Connection id "0HN", Request id "0HN:1": An unhandled exception was thrown.
      System.NullReferenceException: Object reference not set
         at Shop.Controllers.Cart.Get() in /app/Cart.cs:line 3
         at lambda_method5(Closure, Object)"""

PHP = """\
PHP Fatal error:  Uncaught RuntimeException: no till in /app/shop.php:3
Stack trace:
#0 /app/shop.php(7): pay()
#1 [internal function]: run()
#2 {main}
  thrown in /app/shop.php on line 3"""

PHP_LOGGED = """\
[21-Nov-2026 08:00:00 UTC] PHP Fatal error:  Uncaught RuntimeException: no till in /app/shop.php:3
Stack trace:
#0 /app/shop.php(7): pay()
#1 {main}

Next LogicException: again in /app/shop.php:9
Stack trace:
#0 {main}
  thrown in /app/shop.php on line 9"""

LARAVEL = """\
[2026-11-21 08:00:00] local.ERROR: no till {"exception":"[object] (RuntimeException(code: 0): no till at /app/a.php:3)
[stacktrace]
#0 /app/vendor/laravel/Routing/Controller.php(54): App\\Cart->pay()
#1 {main}
"}"""

RUST = """\
thread 'main' panicked at src/main.rs:2:5:
index out of bounds: the len is 3 but the index is 99
stack backtrace:
   0: rust_begin_unwind
             at /rustc/9fc6b4312/library/std/src/panicking.rs:665:5
   1: core::panicking::panic_fmt
             at /rustc/9fc6b4312/library/core/src/panicking.rs:74:14
   2: shop::main
             at ./src/main.rs:2:5
note: Some details are omitted, run with `RUST_BACKTRACE=full` for a verbose backtrace."""

RUST_SHORT = """\
thread 'tokio-runtime-worker' (81) panicked at src/main.rs:2:5:
boom
note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace"""

RUST_OLD = """\
thread 'main' panicked at 'boom', src/main.rs:2:5
note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace"""

CPP = """\
terminate called after throwing an instance of 'std::runtime_error'
  what():  no till
Aborted (core dumped)"""

ASAN = """\
=================================================================
==81==ERROR: AddressSanitizer: heap-use-after-free on address 0x602000000010 at pc 0x4f
READ of size 4 at 0x602000000010 thread T0
    #0 0x4f5a8b in main /app/a.cc:5:10
    #1 0x7f12 in __libc_start_main (/lib/libc.so.6+0x29d8f)

0x602000000010 is located 0 bytes inside of 4-byte region [0x602000000010,0x602000000014)
freed by thread T0 here:
    #0 0x4c3d2d in operator delete(void*) (/app/a+0x4c3d2d)
    #1 0x4f5a4c in main /app/a.cc:4:3

SUMMARY: AddressSanitizer: heap-use-after-free /app/a.cc:5:10 in main
Shadow bytes around the buggy address:
  0x0c047fff7fb0: 00 00 00 00 00 00 00 00
=>0x0c047fff8000: fa fa[fd]fa fa fa fa fa
Shadow byte legend (one shadow byte represents 8 application bytes):
  Addressable:           00
==81==ABORTING"""

GDB = """\
Program received signal SIGSEGV, Segmentation fault.
#0  0x00005555555551a9 in pay (till=0x0) at shop.c:4
#1  0x00005555555551d3 in main () at shop.c:9"""

TRACES = {name.lower(): text for name, text in list(globals().items()) if name.isupper()}
BEFORE = "2026-11-21 07:59:59,000 INFO [main] c.e.Shop - ready"
AFTER = "2026-11-21 08:00:01,000 INFO [main] c.e.Shop - going on"


def events(lines):
    text = pa.array(lines, pa.string())
    found = join(text, Steps())
    return lines if found is None else found.texts(text).to_pylist()


@pytest.mark.parametrize("name", TRACES)
def test_a_trace_is_one_event(name):
    assert events(TRACES[name].split("\n")) == [TRACES[name]]


@pytest.mark.parametrize("name", TRACES)
def test_the_lines_around_a_trace_are_their_own(name):
    announced = kind_of(TRACES[name].split("\n")[0]) == "L"
    around = [BEFORE, BEFORE] if announced else [BEFORE, "listening"]
    assert events([*around, *TRACES[name].split("\n"), AFTER, AFTER])[-3:] == [TRACES[name], AFTER, AFTER]


@pytest.mark.parametrize("name", TRACES)
def test_a_trace_directly_after_a_trace_is_another(name):
    assert events([*TRACES[name].split("\n"), AFTER, *TRACES[name].split("\n")]) == [TRACES[name], AFTER, TRACES[name]]


def test_the_line_of_the_log_directly_before_a_trace_belongs_to_it():
    line = "2026-11-21 08:00:00 ERROR failed"
    assert events([BEFORE, line, *PYTHON_SYNTAX.split("\n")]) == [BEFORE, f"{line}\n{PYTHON_SYNTAX}"]


@pytest.mark.parametrize(
    "lines",
    [
        ["  indented", "    more", "\ttab"],
        ["SELECT *", "  FROM cart", " WHERE id = 1", "", "# heading", "#1 first", "text"],
        ["2026-11-21 08:00:00 ERROR one", "2026-11-21 08:00:00 ERROR two"],
        ["java.lang.Error: x", "java.lang.Error: y"],
        ["panicking is bad", "the goroutine 4 works", "Caused by: me", "thread 'main' started"],
        ['{"message":"Traceback (most recent call last):"}', '  {"a":1}'],
        ["", "", ""],
        ["| a | b |", "+---+---+", "| 1 | 2 |"],
        ['level=error msg="x" err=y', "level=info msg=y a=b"],
    ],
)
def test_ordinary_lines_are_never_joined(lines):
    assert events(lines) == lines


def test_two_traces_without_a_line_between_are_two():
    assert events([*JAVA_THREAD.split("\n"), *JAVA_THREAD.split("\n")]) == [JAVA_THREAD, JAVA_THREAD]
    assert events([*PYTHON.split("\n"), *PYTHON.split("\n")]) == [PYTHON, PYTHON]
