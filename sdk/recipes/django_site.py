"""Django in one file: LOGGING, and a middleware for the ids of requests.

`python django_site.py runserver --noreload 8000`. In a project LOGGING and MIDDLEWARE are parts of settings.py.
"""

import logging
import os
import sys
import time
import uuid

import django
from django.conf import settings
from django.core.management import execute_from_command_line
from django.http import JsonResponse
from django.urls import path

from tailrace_sdk import context_fields

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {
        "tailrace": {
            "class": "tailrace_sdk.RealtimeHandler",
            "log_dir": os.environ.get("TAILRACE_LOG_DIR", "logs"),
            "fields": {"service": "shop"},
        }
    },
    "root": {"level": "INFO", "handlers": ["tailrace"]},
    "loggers": {"django": {"level": "INFO", "handlers": [], "propagate": True}},
}


def log_request(get_response):
    log = logging.getLogger("shop.request")

    def middleware(request):
        with context_fields(request_id=request.headers.get("x-request-id") or uuid.uuid4().hex):
            started = time.perf_counter()
            response = get_response(request)
            took = {"status": response.status_code, "duration_ms": round((time.perf_counter() - started) * 1000, 3)}
            log.info("%s %s", request.method, request.path, extra={"operation": "request", **took})
            return response

    return middleware


def show(_request, order):
    logging.getLogger("shop").info("order %d asked for", order, extra={"order": order})
    if order == 0:
        raise ValueError("there is no order 0")
    return JsonResponse({"price": order * 2})


urlpatterns = [path("orders/<int:order>", show)]

settings.configure(
    ROOT_URLCONF=__name__,
    MIDDLEWARE=[f"{__name__}.log_request"],
    LOGGING=LOGGING,
    ALLOWED_HOSTS=["*"],
    SECRET_KEY="only an example",
)
django.setup()

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
else:
    from django.core.wsgi import get_wsgi_application

    application = get_wsgi_application()
