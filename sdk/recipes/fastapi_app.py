"""FastAPI: every request is a record, and whatever is logged meanwhile has its id.

`uvicorn fastapi_app:app --workers 2`
"""

import logging
import time
import uuid
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request

from tailrace_sdk import RealtimeHandler, context_fields, get_realtime_logger, realtime_log

logger = get_realtime_logger(fields={"service": "shop"})
logging.basicConfig(level="INFO", handlers=[RealtimeHandler(logger)], force=True)


@asynccontextmanager
async def lifespan(_app: FastAPI):
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):  # uvicorn brings handlers of its own
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = name != "uvicorn.access"  # the middleware below says more
    yield
    logger.flush()


app = FastAPI(lifespan=lifespan)


@app.middleware("http")
async def log_request(request: Request, call_next):
    with context_fields(request_id=request.headers.get("x-request-id") or uuid.uuid4().hex):
        started = time.perf_counter()
        status = 500
        try:
            response = await call_next(request)
            status = response.status_code
            return response
        finally:
            logger.log(
                {
                    "level": "error" if status >= 500 else "info",
                    "message": f"{request.method} {request.url.path} {status}",
                    "operation": "request",
                    "status": status,
                    "duration_ms": round((time.perf_counter() - started) * 1000, 3),
                }
            )


@realtime_log("price")
async def price(order: int) -> int:
    return order * 2


@app.get("/orders/{order}")
async def show(order: int):
    logging.getLogger("shop").info("order %d asked for", order, extra={"order": order})
    if order == 0:
        raise ValueError("there is no order 0")
    return {"price": await price(order)}
