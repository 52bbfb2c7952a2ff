"""`uvicorn kilonova.cli.asgi.image:app`: what `glance-api` serves."""

from kilonova.cli.asgi.entry import Application
from kilonova.cli.parts.image import API

app = Application(API, "image")
