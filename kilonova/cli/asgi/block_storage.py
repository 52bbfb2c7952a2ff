"""`uvicorn kilonova.cli.asgi.block_storage:app`: what `cinder-api` serves."""

from kilonova.cli.asgi.entry import Application
from kilonova.cli.parts.block_storage import API

app = Application(API, "block-storage")
