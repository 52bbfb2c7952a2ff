"""Several hosts on one machine, out of namespaces: `python -m tools.lab up`, and the same as a Python interface.

`lab` builds bare hosts and their wires, `engines` runs what Debian ships on the controller, `cloud` installs a cloud on
them as the guides do, `chaos` breaks it. Nothing of a lab is seen in the machine's own namespaces but its processes.
"""

from tools.lab.hosts import Host, HostError
from tools.lab.lab import Lab

__all__ = ["Host", "HostError", "Lab"]
