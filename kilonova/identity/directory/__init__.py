"""Where users and groups come from. A service asks its directory for them, and nothing else reads or writes them.

Roles, projects and domains are identity's own, whatever directory their users are in.
"""

from kilonova.identity.directory.interface import Directory
from kilonova.identity.directory.sql import SqlDirectory

__all__ = ["Directory", "SqlDirectory"]
