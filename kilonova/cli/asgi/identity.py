"""`uvicorn kilonova.cli.asgi.identity:app`: what `keystone` serves."""

from kilonova.cli.asgi.entry import Application
from kilonova.cli.daemons.identity import build
from kilonova.cli.daemons.options import IDENTITY

app = Application("keystone", "keystone", [IDENTITY], build, "identity")
