"""`uvicorn kilonova.cli.asgi.network:app`: what `neutron-server` serves."""

from kilonova.cli.asgi.entry import Application
from kilonova.cli.parts.network import SERVER

app = Application(SERVER, "network")
