"""The recipes are programs, and run: web servers that take requests, a worker that takes tasks."""

import http.client
import importlib.util
import os
import signal
import socket
import sys
from pathlib import Path

import pytest

RECIPES = Path(__file__).parents[1] / "recipes"


def needs(*packages):
    missing = [name for name in packages if not importlib.util.find_spec(name)]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {missing}")


@pytest.fixture
def port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


@pytest.fixture
def get(port, until):
    """Ask the server of the test for a page, with an id; return the status."""

    def one(path, request_id=""):
        def ask():
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            try:
                connection.request("GET", path, headers={"X-Request-Id": request_id})
                return connection.getresponse().status
            except ConnectionError:
                return None
            finally:
                connection.close()

        return until(ask)

    return one


@pytest.fixture
def serve(begin, tmp_path, port, get):
    """Begin a program of the recipes that listens, and wait until it answers."""

    def one(*command):
        process = begin(sys.executable, *command, cwd=RECIPES, TAILRACE_LOG_DIR=str(tmp_path / "logs"))
        get("/nowhere")
        return process

    return one


def end(process):
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)


def of(records, request_id):
    return [record for record in records if record.get("request_id") == request_id]


@needs("fastapi", "uvicorn")
def test_fastapi(serve, get, port, tmp_path, logged):
    process = serve("-m", "uvicorn", "fastapi_app:app", "--port", port, "--workers", 2)
    assert [get(f"/orders/{number}", f"id{number}") for number in range(20)] == [500] + [200] * 19
    end(process)
    records = logged(tmp_path / "logs")
    assert {record.get("service") for record in records} == {"shop"}
    for number in range(1, 20):
        said = of(records, f"id{number}")
        assert sorted(record["message"].split(" in ")[0] for record in said) == [
            f"GET /orders/{number} 200",
            f"order {number} asked for",
            "price ok",
        ]
    (failed,) = [record for record in of(records, "id0") if record.get("operation") == "request"]
    assert (failed["level"], failed["status"]) == ("error", 500)
    assert any("there is no order 0" in record.get("traceback", "") for record in records)


def check_django(records):
    for number in range(1, 20):
        messages = sorted(record["message"] for record in of(records, f"id{number}"))
        assert [m for m in messages if not m.startswith('"GET')] == [
            f"GET /orders/{number}",
            f"order {number} asked for",
        ]
    failed = [record for record in of(records, "id0") if record.get("error_type") == "ValueError"]
    assert len(failed) == 1
    assert "there is no order 0" in failed[0]["traceback"]


@needs("django")
def test_django(serve, get, port, tmp_path, logged):
    process = serve("django_site.py", "runserver", "--noreload", port)
    assert [get(f"/orders/{number}", f"id{number}") for number in range(20)] == [500] + [200] * 19
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    check_django(logged(tmp_path / "logs"))


@needs("django", "gunicorn")
def test_gunicorn(serve, get, port, tmp_path, logged):
    process = serve(
        "-m",
        "gunicorn",
        "-c",
        "gunicorn_conf.py",
        "-b",
        f"127.0.0.1:{port}",
        "django_site:application",
    )
    assert [get(f"/orders/{number}", f"id{number}") for number in range(20)] == [500] + [200] * 19
    end(process)
    records = logged(tmp_path / "logs")
    check_django(records)
    access = [record["message"] for record in records if record.get("logger") == "gunicorn.access"]
    assert sorted(access) == sorted(
        ["GET /nowhere 404", "GET /orders/0 500", *(f"GET /orders/{number} 200" for number in range(1, 20))]
    )
    booted = [record["message"] for record in records if "Booting worker" in record["message"]]
    assert len(booted) == 2


@needs("celery")
def test_celery(begin, run, tmp_path, logged, until):
    folders = {"BROKER_FOLDER": str(tmp_path / "broker"), "TAILRACE_LOG_DIR": str(tmp_path / "logs")}
    worker = begin(
        sys.executable, "-m", "celery", "-A", "celery_app", "worker", "--concurrency", 2, "--without-mingle",
        "--without-gossip", cwd=RECIPES, **folders,
    )  # fmt: skip
    run(
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from celery_app import charge\n"
        "for number in range(20): charge.delay(number)",
        RECIPES,
        **folders,
    )
    place = tmp_path / "logs"
    until(lambda: place.is_dir() and len(timed(logged(place))) == 20, 40)
    end(worker)
    records = logged(place)
    done = timed(records)
    assert sorted(record["status"] for record in done) == ["error"] + ["ok"] * 19
    assert {record["task"] for record in done} == {"celery_app.charge"}
    ids = {record["task_id"] for record in done}
    assert len(ids) == 20
    said = [record for record in records if record.get("logger") == "shop"]
    assert sorted(record["order"] for record in said) == list(range(20))
    assert {record["task_id"] for record in said} == ids


def timed(records):
    return [record for record in records if record.get("operation") == "charge"]


def test_every_recipe_is_run_by_a_test():
    here = Path(__file__).read_text()
    assert all(path.stem in here for path in RECIPES.glob("*.py"))
    assert len(os.listdir(RECIPES)) >= 4
