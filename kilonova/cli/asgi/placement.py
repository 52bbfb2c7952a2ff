"""`uvicorn kilonova.cli.asgi.placement:app`: what `placement-api` serves."""

from kilonova.cli.asgi.entry import Application
from kilonova.cli.parts.placement import API

app = Application(API, "placement")
