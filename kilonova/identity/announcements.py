"""What other services are told once a change is committed that ends tokens, or changes what they let in to."""

from kilonova.kit.db import Tx

TOKENS_CHANGED = "identity: tokens changed"
"""A commit's effect, about tuples of (name, id): which tokens are meant; an empty one means all."""


def announce(tx: Tx, *, audit_id: str | None = None, user_id: str | None = None, project_id: str | None = None) -> None:
    """Has other services ask again for the tokens that match, for all of them where nothing is named.

    After the commit, because one that asks too early would hear the old answer.
    """
    named = {"audit_id": audit_id, "user_id": user_id, "project_id": project_id}
    tx.after(TOKENS_CHANGED, tuple((name, value) for name, value in named.items() if value is not None))
