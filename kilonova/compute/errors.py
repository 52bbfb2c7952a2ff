"""Compute's faults."""

from collections.abc import Mapping, Sequence

from kilonova.kit.errors import BadRequest, Conflict, Forbidden, NotFound


class ServerNotFound(NotFound):
    def __init__(self, server_id: str) -> None:
        super().__init__(f"Instance {server_id} could not be found.")


class FlavorNotFound(NotFound):
    def __init__(self, flavor_id: str) -> None:
        super().__init__(f"Flavor {flavor_id} could not be found.")


class KeypairNotFound(NotFound):
    def __init__(self, name: str) -> None:
        super().__init__(f"Keypair {name} not found.")


class ServiceNotFound(NotFound):
    def __init__(self, service_id: str) -> None:
        super().__init__(f"Service {service_id} could not be found.")


class HypervisorNotFound(NotFound):
    def __init__(self, hypervisor_id: str) -> None:
        super().__init__(f"Compute host {hypervisor_id} could not be found.")


class MigrationNotFound(NotFound):
    def __init__(self, migration_id: str) -> None:
        super().__init__(f"Migration {migration_id} could not be found.")


class MigrationNotOfServer(NotFound):
    def __init__(self, reference: str, server_id: str) -> None:
        super().__init__(f"In-progress live migration {reference} is not found for server {server_id}.")


class InvalidMigration(BadRequest):
    def __init__(self, number: int, server_id: str, reason: str) -> None:
        super().__init__(f"Migration {number} of server {server_id} cannot be changed: {reason}.")


class InvalidMove(BadRequest):
    """A server that cannot be moved so."""


class InvalidResize(BadRequest):
    """A flavor that a server cannot get."""


class HostDown(Conflict):
    """A server whose host would have to answer."""


class ServerGroupNotFound(NotFound):
    def __init__(self, group_id: str) -> None:
        super().__init__(f"Instance group {group_id} could not be found.")


class AggregateNotFound(NotFound):
    def __init__(self, aggregate_id: str) -> None:
        super().__init__(f"Aggregate {aggregate_id} could not be found.")


class HostNotFound(NotFound):
    def __init__(self, host: str) -> None:
        super().__init__(f"Compute host {host} could not be found.")


class AggregateConflict(Conflict):
    """What an aggregate, or the servers on its hosts, do not allow."""


class ActionNotFound(NotFound):
    def __init__(self, server_id: str, request_id: str) -> None:
        super().__init__(f"Action for request_id {request_id} on instance {server_id} not found.")


class InvalidServer(BadRequest):
    """A server that cannot be made so: its image, flavor, network or key does not exist or does not fit."""


class InvalidService(BadRequest):
    """A change to a service that makes no sense."""


class NameExists(Conflict):
    """A flavor or key pair of that name or id exists."""


class WrongState(Conflict):
    """The server's state does not allow this action."""

    def __init__(self, server_id: str, action: str, state: str) -> None:
        super().__init__(f"Cannot '{action}' instance {server_id} while it is in {state}")


class VolumesStay(Conflict):
    """Volumes do not come along yet when their server leaves its host."""

    def __init__(self, server_id: str, action: str, volume_ids: Sequence[str]) -> None:
        super().__init__(
            f"Cannot '{action}' instance {server_id} while it has volumes, which do not leave a host with their server "
            f"here yet: detach {', '.join(volume_ids)} first."
        )


class RootIsVolume(Conflict):
    def __init__(self, server_id: str, action: str) -> None:
        super().__init__(
            f"Cannot '{action}' instance {server_id}: it boots from a volume, for which this is not built yet."
        )


class ConsoleUnavailable(Conflict):
    def __init__(self, server_id: str, reason: str) -> None:
        super().__init__(f"The console of instance {server_id} cannot be read: {reason}")


class ConsoleNotReady(Conflict):
    """The server has no such console just now."""

    def __init__(self, server_id: str, kind: str, reason: str) -> None:
        super().__init__(f"The {kind} console of instance {server_id} cannot be opened: {reason}")


class ConsoleTypeUnavailable(BadRequest):
    """The server has no such console, whatever state it is in."""

    def __init__(self, server_id: str, console_type: str, reason: str) -> None:
        super().__init__(f"Unavailable console type {console_type} for instance {server_id}: {reason}")


class ConsoleTokenNotFound(NotFound):
    def __init__(self) -> None:
        super().__init__("Token not found: it never was one, or its time is over")


class DiagnosticsUnavailable(Conflict):
    def __init__(self, server_id: str, reason: str) -> None:
        super().__init__(f"The diagnostics of instance {server_id} cannot be read: {reason}")


class CrashDumpUnavailable(Conflict):
    def __init__(self, server_id: str, reason: str) -> None:
        super().__init__(f"No crash dump of instance {server_id} can be triggered: {reason}")


class PasswordNotSet(Conflict):
    def __init__(self, server_id: str, reason: str) -> None:
        super().__init__(f"Failed to set admin password on {server_id}: {reason}")


class ServerLocked(Conflict):
    def __init__(self, server_id: str) -> None:
        super().__init__(f"Instance {server_id} is locked")


class QuotaExceeded(Forbidden):
    """More than the project, user or server may have."""


class OverQuota(QuotaExceeded):
    def __init__(self, wanted: Mapping[str, int], used: Mapping[str, int], limits: Mapping[str, int]) -> None:
        """`wanted`: resource → how much more was asked for, of those that do not suffice."""
        names = ", ".join(wanted)
        requested = ", ".join(str(amount) for amount in wanted.values())
        already = ", ".join(str(used[name]) for name in wanted)
        allowed = ", ".join(str(limits[name]) for name in wanted)
        super().__init__(
            f"Quota exceeded for {names}: Requested {requested}, but already used {already} of {allowed} {names}"
        )
