"""`uvicorn kilonova.cli.asgi.placement:app`: what `placement-api` serves."""

from kilonova.cli.asgi.entry import Application
from kilonova.cli.daemons.options import PLACEMENT
from kilonova.cli.daemons.placement import build

app = Application("placement-api", "placement", [PLACEMENT], build, "placement")
