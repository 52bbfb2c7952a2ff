"""`uvicorn kilonova.cli.asgi.metadata:app`: what `nova-api-metadata` serves."""

from kilonova.cli.asgi.entry import Application
from kilonova.cli.parts.compute import METADATA

app = Application(METADATA, "metadata")
