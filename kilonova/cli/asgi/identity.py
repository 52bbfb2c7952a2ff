"""`uvicorn kilonova.cli.asgi.identity:app`: what `keystone` serves."""

from kilonova.cli.asgi.entry import Application
from kilonova.cli.parts.identity import API

app = Application(API, "identity")
