"""The files that rows name, in the directory the clients work in."""

import base64
import json

PUBLIC_KEY = b"ssh-ed25519 " + base64.b64encode(b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + bytes(range(32))) + b" ada\n"

FILES = {
    "disk.raw": b"a disk of no system".ljust(1 << 20, b"\0"),
    "key.pub": PUBLIC_KEY,
    "user-data": b"#!/bin/sh\necho hello\n",
    "notes.txt": b"carried into the guest\n",
    "rules.json": json.dumps({"max_server_per_host": 2}).encode(),
}
