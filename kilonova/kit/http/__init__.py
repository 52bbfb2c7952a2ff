"""The HTTP kit: a literal route table becomes an ASGI app; the edge does everything that is not the service's own."""
