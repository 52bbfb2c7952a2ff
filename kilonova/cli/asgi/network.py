"""`uvicorn kilonova.cli.asgi.network:app`: what `neutron-server` serves."""

from kilonova.cli.asgi.entry import Application
from kilonova.cli.daemons.network import build_server
from kilonova.cli.daemons.options import NETWORK

app = Application("neutron-server", "neutron", [NETWORK], build_server, "network")
