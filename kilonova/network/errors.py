"""Network's faults. Their class names are the `type` clients see, as upstream spells them."""

from kilonova.kit.errors import BadRequest, Conflict, NotFound


class InvalidInput(BadRequest):
    def __init__(self, message: str) -> None:
        super().__init__(f"Invalid input for operation: {message}")


class NetworkNotFound(NotFound):
    def __init__(self, wanted: str) -> None:
        super().__init__(f"Network {wanted} could not be found.")


class SubnetNotFound(NotFound):
    def __init__(self, wanted: str) -> None:
        super().__init__(f"Subnet {wanted} could not be found.")


class PortNotFound(NotFound):
    def __init__(self, wanted: str) -> None:
        super().__init__(f"Port {wanted} could not be found.")


class RouterNotFound(NotFound):
    def __init__(self, wanted: str) -> None:
        super().__init__(f"Router {wanted} could not be found")


class FloatingIPNotFound(NotFound):
    def __init__(self, wanted: str) -> None:
        super().__init__(f"Floating IP {wanted} could not be found")


class SecurityGroupNotFound(NotFound):
    def __init__(self, wanted: str) -> None:
        super().__init__(f"Security group {wanted} does not exist")


class SecurityGroupRuleNotFound(NotFound):
    def __init__(self, wanted: str) -> None:
        super().__init__(f"Security group rule {wanted} does not exist")


class AgentNotFound(NotFound):
    def __init__(self, wanted: str) -> None:
        super().__init__(f"Agent {wanted} could not be found.")


class NetworkInUse(Conflict):
    def __init__(self, network_id: str) -> None:
        super().__init__(
            f"Unable to complete operation on network {network_id}. "
            "There are one or more ports still in use on the network."
        )


class SubnetInUse(Conflict):
    def __init__(self, subnet_id: str, reason: str) -> None:
        super().__init__(f"Unable to complete operation on subnet {subnet_id}: {reason}.")


class PortInUse(Conflict):
    """The port belongs to something else, which has to let go of it first."""


class RouterInUse(Conflict):
    def __init__(self, router_id: str, reason: str) -> None:
        super().__init__(f"Router {router_id} {reason}")


class RouterInterfaceNotFound(NotFound):
    """The router has no interface on that port or subnet."""


class RouterInterfaceInUseByFloatingIP(Conflict):
    def __init__(self, router_id: str, subnet_id: str) -> None:
        super().__init__(
            f"Router interface for subnet {subnet_id} on router {router_id} cannot be deleted, "
            "as it is required by one or more floating IPs."
        )


class RouterExternalGatewayInUseByFloatingIp(Conflict):
    def __init__(self, router_id: str, network_id: str) -> None:
        super().__init__(
            f"Gateway cannot be updated for router {router_id}, since a gateway to external network {network_id} "
            "is required by one or more floating IPs."
        )


class SecurityGroupInUse(Conflict):
    def __init__(self, group_id: str) -> None:
        super().__init__(f"Security Group {group_id} in use.")


class SecurityGroupCannotRemoveDefault(Conflict):
    def __init__(self) -> None:
        super().__init__("Insufficient rights for removing default security group.")


class SecurityGroupDefaultAlreadyExists(Conflict):
    def __init__(self) -> None:
        super().__init__("Default security group already exists.")


class SecurityGroupRuleExists(Conflict):
    def __init__(self, rule_id: str) -> None:
        super().__init__(f"Security group rule already exists. Rule id is {rule_id}.")


class IpAddressAlreadyAllocated(Conflict):
    def __init__(self, address: str, subnet_id: str) -> None:
        super().__init__(f"IP address {address} already allocated in subnet {subnet_id}")


class IpAddressGenerationFailure(Conflict):
    def __init__(self, network_id: str) -> None:
        super().__init__(f"No more IP addresses available on network {network_id}.")


class MacAddressInUse(Conflict):
    def __init__(self, network_id: str, mac: str) -> None:
        super().__init__(f"Unable to complete operation for network {network_id}. The mac address {mac} is in use.")


class FlatNetworkInUse(Conflict):
    def __init__(self, physical_network: str) -> None:
        super().__init__(f"Unable to create the flat network. Physical network {physical_network} is in use.")


class TunnelIdInUse(Conflict):
    def __init__(self, segmentation_id: int) -> None:
        super().__init__(f"Unable to create the network. The tunnel ID {segmentation_id} is in use.")


class NoNetworkAvailable(Conflict):
    def __init__(self) -> None:
        super().__init__("Unable to create the network. No tenant network is available for allocation.")


class ExternalGatewayForFloatingIPNotFound(NotFound):
    def __init__(self, subnet_id: str, network_id: str, port_id: str) -> None:
        super().__init__(
            f"External network {network_id} is not reachable from subnet {subnet_id}. "
            f"Therefore, cannot associate Port {port_id} with a Floating IP."
        )


class FloatingIPPortAlreadyAssociated(Conflict):
    def __init__(self, floating: str, port_id: str, fixed: str) -> None:
        super().__init__(
            f"Cannot associate floating IP {floating} with port {port_id} using fixed IP {fixed}, "
            "as that fixed IP already has a floating IP on external network."
        )
