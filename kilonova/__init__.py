"""A private cloud that speaks OpenStack's APIs."""

import sys

# httpx's own command line, and Mako's highlighting of its own errors, bring rich, click and pygments into every process
# where those happen to be installed: nine MiB that nothing here uses. Python takes a module that is None for missing,
# and both have a way without.
for _unused in ("httpx._main", "mako.ext.pygmentplugin"):
    sys.modules.setdefault(_unused, None)  # type: ignore[arg-type]
