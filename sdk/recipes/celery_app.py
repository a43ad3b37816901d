"""Celery: tasks log with their ids, and are timed. `celery -A celery_app worker --concurrency 2`.

The processes of a worker's pool end without the exit of Python, so each flushes when it is told to end.
"""

import logging
import os

from celery import Celery
from celery.signals import setup_logging, task_postrun, task_prerun, worker_process_shutdown

from tailrace_sdk import (
    RealtimeHandler,
    bind_context,
    clear_context,
    get_log_integrator,
    get_realtime_logger,
    realtime_log,
)

folder = os.environ.get("BROKER_FOLDER", "broker")
os.makedirs(folder, exist_ok=True)
app = Celery("shop", broker="filesystem://")
app.conf.broker_transport_options = {"data_folder_in": folder, "data_folder_out": folder, "control_folder": folder}

get_log_integrator(logger=get_realtime_logger(fields={"service": "shop"}))


@setup_logging.connect
def log_to_tailrace(**_):
    logging.basicConfig(level="INFO", handlers=[RealtimeHandler()], force=True)


@task_prerun.connect
def bind(task_id, task, **_):
    bind_context(task_id=task_id, task=task.name)


@task_postrun.connect
def unbind(**_):
    clear_context()


@worker_process_shutdown.connect
def flush(**_):
    get_realtime_logger().flush()


@app.task
@realtime_log("charge")
def charge(order):
    logging.getLogger("shop").info("order %d", order, extra={"order": order})
    if order == 0:
        raise ValueError("there is no order 0")
    return order * 2
