"""Copied into the environments of old clients as `sitecustomize.py`: names that Python had when they were written."""

import collections
import collections.abc
import inspect

for _name in collections.abc.__all__:
    if not hasattr(collections, _name):
        setattr(collections, _name, getattr(collections.abc, _name))
if not hasattr(inspect, "getargspec"):
    _ArgSpec = collections.namedtuple("_ArgSpec", "args varargs keywords defaults")

    def getargspec(function: object) -> _ArgSpec:
        return _ArgSpec(*inspect.getfullargspec(function)[:4])

    inspect.getargspec = getargspec  # type: ignore[attr-defined]
