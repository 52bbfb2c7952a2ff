"""Notices about what is not a server: flavors, key pairs, server groups, aggregates, and the services of hosts."""

from collections.abc import Sequence

from kilonova.compute.notifications.notices import tell, versioned
from kilonova.compute.tables import Aggregate, Flavor, Host, Keypair, ServerGroup
from kilonova.compute.transactions import CellTx, RegionTx
from kilonova.kit.clock import iso8601


def flavor_payload(flavor: Flavor) -> dict[str, object]:
    return versioned(
        "FlavorPayload",
        "1.4",
        flavorid=flavor.id,
        name=flavor.name,
        memory_mb=flavor.memory_mib,
        vcpus=flavor.vcpus,
        root_gb=flavor.root_gib,
        ephemeral_gb=flavor.ephemeral_gib,
        swap=flavor.swap_mib,
        rxtx_factor=float(flavor.rxtx_factor),
        vcpu_weight=0,
        disabled=False,
        is_public=flavor.is_public,
        extra_specs=flavor.extra_specs,
        projects=flavor.projects,
        description=flavor.description,
    )


def tell_flavor(tx: RegionTx, flavor: Flavor, verb: str) -> None:
    """`verb`: create, update or delete."""
    tell(tx, flavor_payload(flavor), f"flavor.{verb}")


def keypair_payload(keypair: Keypair) -> dict[str, object]:
    return versioned(
        "KeypairPayload",
        "1.0",
        user_id=keypair.user_id,
        name=keypair.name,
        public_key=keypair.public_key,
        fingerprint=keypair.fingerprint,
        type=keypair.type,
    )


def tell_keypair(tx: RegionTx, keypair: Keypair, verb: str) -> None:
    """`verb`: create, import or delete."""
    tell(tx, keypair_payload(keypair), f"keypair.{verb}.start", f"keypair.{verb}.end")


def group_payload(group: ServerGroup, members: Sequence[str]) -> dict[str, object]:
    rules = {} if group.most_on_a_host is None else {"max_server_per_host": str(group.most_on_a_host)}
    return versioned(
        "ServerGroupPayload",
        "1.1",
        uuid=group.id,
        name=group.name,
        user_id=group.user_id,
        project_id=group.project_id,
        policies=[group.policy],
        policy=group.policy,
        rules=rules,
        members=list(members),
        hosts=None,
    )


def tell_group(tx: RegionTx, group: ServerGroup, verb: str, members: Sequence[str] = ()) -> None:
    """`verb`: create, delete or add_member. `members`: the ids of its servers."""
    tell(tx, group_payload(group, members), f"server_group.{verb}")


def tell_aggregate(tx: RegionTx, aggregate: Aggregate, verb: str) -> None:
    """`verb`: create, delete, add_host, remove_host, update_metadata or update_prop."""
    payload = versioned(
        "AggregatePayload",
        "1.1",
        id=aggregate.number,
        uuid=aggregate.id,
        name=aggregate.name,
        hosts=aggregate.hosts,
        metadata=aggregate.metadata,
    )
    tell(tx, payload, f"aggregate.{verb}.start", f"aggregate.{verb}.end")


def tell_service(tx: CellTx, host: Host, verb: str) -> None:
    """`verb`: create, update or delete."""
    payload = versioned(
        "ServiceStatusPayload",
        "1.1",
        host=host.host,
        binary=host.binary,
        topic="compute",
        uuid=host.service_id,
        report_count=0,
        disabled=host.disabled,
        disabled_reason=host.disabled_reason,
        availability_zone=host.availability_zone,
        last_seen_up=iso8601(host.updated_at),
        forced_down=host.forced_down,
        version=host.inventory.get("release", 1),
    )
    tell(tx, payload, f"service.{verb}", publisher=f"{host.binary}:{host.host}")
