"""Deleting a domain, which takes its users, groups, projects and roles with it.

Source: Identity API v3, "Delete domain".
"""

from kilonova.identity import assignments, projects, records, roles, users
from kilonova.identity.announcements import announce
from kilonova.identity.errors import StillEnabled
from kilonova.identity.service import Identity
from kilonova.identity.tables import Domain, Project, Role, domains
from kilonova.identity.tables import projects as projects_table
from kilonova.identity.tables import roles as roles_table
from kilonova.kit.db import Tx


async def remove(tx: Tx, identity: Identity, domain: Domain) -> None:
    """Ends every token of its users and projects. Raises Immutable for it, or for a project or a role in it,
    StillEnabled."""
    records.refuse_immutable(domain, "domain")
    if domain.enabled:
        raise StillEnabled(f"Domain {domain.id} is enabled; disable it before deleting it.")
    await _remove_projects(tx, identity, domain)
    for user in await identity.directory.users_of_domain(tx, domain.id):
        await users.remove(tx, identity, user)
    await identity.directory.remove_groups_of_domain(tx, domain.id)
    for role in await records.list_equal(tx, roles_table, Role, {"domain_id": domain.id}):
        await roles.remove(tx, role)
    await assignments.withdraw_all_on(tx, "domain", domain.id)
    await records.remove(tx, domains, domain.id)
    announce(tx)


async def _remove_projects(tx: Tx, identity: Identity, domain: Domain) -> None:
    """Each after those that lie in it."""
    left = await tx.find_all(Project, projects_table, domain_id=domain.id)
    while left:
        parents = {each.parent_id for each in left}
        leaves = [each for each in left if each.id not in parents]
        for leaf in leaves:
            await projects.remove(tx, identity, leaf)
        left = [each for each in left if each not in leaves]
