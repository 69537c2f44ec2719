"""The application: which path is answered by what, and which limits hold for every call."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse

from image_factory import __version__
from image_factory.errors import ImageFactoryError
from image_factory_server.answers import Refused, answer_defect, answer_http, answer_ours, answer_refused
from image_factory_server.counts import CONTENT_TYPE
from image_factory_server.desk import Desk
from image_factory_server.emergencies import EmergencyBody, order_rebuilds

BASE_PATH = "/api/image-factory"


def make_app(desk: Desk) -> FastAPI:
    """Return the application that serves a folder."""
    # The pages that FastAPI makes load scripts from elsewhere; the description alone does not.
    app = FastAPI(
        title="Image Factory",
        version=__version__,
        openapi_url=f"{BASE_PATH}/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    routes = APIRouter(prefix=BASE_PATH)
    body = {"required": True, "content": {"application/json": {"schema": EmergencyBody.model_json_schema()}}}

    @routes.get("/health")
    def health() -> dict[str, str]:
        """Say that the server answers."""
        return {"status": "ok", "version": __version__}

    @routes.get("/metrics", response_class=PlainTextResponse)
    @app.get("/metrics", response_class=PlainTextResponse, include_in_schema=False)
    def metrics() -> PlainTextResponse:
        """Show the counters in Prometheus' text format."""
        return PlainTextResponse(desk.counts.text(), media_type=CONTENT_TYPE)

    @routes.post("/emergency-rebuilds", status_code=202, openapi_extra={"requestBody": body})
    async def emergency_rebuilds(request: Request) -> JSONResponse:
        """Rebuild at once what a vulnerability concerns."""
        return await order_rebuilds(desk, request)

    app.include_router(routes)
    app.add_exception_handler(Refused, answer_refused)
    app.add_exception_handler(ImageFactoryError, answer_ours)
    app.add_exception_handler(HTTPException, answer_http)
    app.add_exception_handler(Exception, answer_defect)
    return app
