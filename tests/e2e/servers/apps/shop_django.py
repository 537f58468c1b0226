"""The same shop as a Django project of one file, with its ``manage.py``."""

from __future__ import annotations

import sys

import shop_wsgi  # type: ignore[import-not-found]
from django.conf import settings
from django.core.management import execute_from_command_line
from django.http import HttpRequest, StreamingHttpResponse
from django.urls import path

settings.configure(
    DEBUG=True,
    SECRET_KEY="not secret",  # noqa: S106
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["127.0.0.1"],
)


def page(request: HttpRequest, name: str = "") -> StreamingHttpResponse:
    return StreamingHttpResponse(shop_wsgi.ROUTES["/" + name](request.META["QUERY_STRING"]))


urlpatterns = [path("", page), path("<name>", page)]

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
