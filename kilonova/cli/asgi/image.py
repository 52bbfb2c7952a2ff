"""`uvicorn kilonova.cli.asgi.image:app`: what `glance-api` serves."""

from kilonova.cli.asgi.entry import Application
from kilonova.cli.daemons.image import build
from kilonova.cli.daemons.options import IMAGE

app = Application("glance-api", "glance", [IMAGE], build, "image")
