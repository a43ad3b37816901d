"""gunicorn: what it says itself, and requests, as records. `gunicorn -c gunicorn_conf.py shop:application`.

Workers are forked; each begins with an empty queue and a thread of its own, also with `preload_app`.
"""

import os

workers = 2
preload_app = True
accesslog = "-"
access_log_format = "%(m)s %(U)s %(s)s"
logconfig_dict = {
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
    "loggers": {
        "gunicorn.error": {"level": "INFO", "handlers": [], "propagate": True},
        "gunicorn.access": {"level": "INFO", "handlers": [], "propagate": True},
    },
}
