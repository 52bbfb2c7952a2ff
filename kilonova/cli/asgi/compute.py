"""`uvicorn kilonova.cli.asgi.compute:app`: what `nova-api` serves."""

from kilonova.cli.asgi.entry import Application
from kilonova.cli.parts.compute import API

app = Application(API, "compute")
