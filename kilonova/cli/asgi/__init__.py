"""The APIs for those who run their own server: `uvicorn kilonova.cli.asgi.compute:app`, one module an API."""
