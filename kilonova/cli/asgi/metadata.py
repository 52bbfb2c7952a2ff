"""`uvicorn kilonova.cli.asgi.metadata:app`: what `nova-api-metadata` serves."""

from kilonova.cli.asgi.entry import Application
from kilonova.cli.daemons.compute import build_metadata_api
from kilonova.cli.daemons.options import COMPUTE

app = Application("nova-api-metadata", "nova", [COMPUTE], build_metadata_api, "metadata")
