"""Who is asking, and what they may do: the request context and the policy rules."""

from kilonova.kit.auth.context import RequestContext
from kilonova.kit.auth.policy import Policy, Rule

__all__ = ["Policy", "RequestContext", "Rule"]
