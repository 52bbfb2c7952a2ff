"""`uvicorn kilonova.cli.asgi.compute:app`: what `nova-api` serves."""

from kilonova.cli.asgi.entry import Application
from kilonova.cli.daemons.compute import build_api
from kilonova.cli.daemons.options import COMPUTE

app = Application("nova-api", "nova", [COMPUTE], build_api, "compute")
