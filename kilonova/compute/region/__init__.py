"""The region: its cells, which server and host is in which, and what moves between them."""
