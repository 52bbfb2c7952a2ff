"""Network's faults. Their class names are the `type` clients see, as upstream spells them."""

from kilonova.kit.errors import BadRequest, Conflict, Fault, NotFound, ServiceUnavailable


class RevisionNumberConstraintFailed(Fault):
    status = 412
    title = "Precondition Failed"

    def __init__(self, wanted: str, current: int) -> None:
        super().__init__(f"Constrained to {wanted}, but current revision is {current}")


class OverQuota(Conflict):
    def __init__(self, resource: str) -> None:
        super().__init__(f"Quota exceeded for resources: ['{resource}'].")


class TagResourceNotFound(NotFound):
    def __init__(self, resource: str, wanted: str) -> None:
        super().__init__(f"Resource {resource} {wanted} could not be found.")


class TagNotFound(NotFound):
    def __init__(self, tag: str) -> None:
        super().__init__(f"Tag {tag} could not be found.")


class AvailabilityZoneNotFound(NotFound):
    def __init__(self, zone: str) -> None:
        super().__init__(f"AvailabilityZone {zone} could not be found.")


class DefaultExternalNetworkExists(Conflict):
    def __init__(self, network_id: str) -> None:
        super().__init__(f"A default external network already exists: {network_id}.")


class ExternalNetworkInUse(Conflict):
    def __init__(self, network_id: str) -> None:
        super().__init__(
            f"External network {network_id} cannot be updated to be made non-external, since it has existing gateway "
            "ports."
        )


class InvalidSharedSetting(Conflict):
    def __init__(self, network_id: str) -> None:
        super().__init__(
            f"Unable to reconfigure sharing settings for network {network_id}. Multiple projects are using it."
        )


class InvalidAllocationPool(BadRequest):
    def __init__(self, pool: str) -> None:
        super().__init__(f"The allocation pool {pool} is not valid.")


class OutOfBoundsAllocationPool(BadRequest):
    def __init__(self, pool: str, cidr: str) -> None:
        super().__init__(f"The allocation pool {pool} spans beyond the subnet cidr {cidr}.")


class OverlappingAllocationPools(Conflict):
    def __init__(self, pool: str, other: str, cidr: str) -> None:
        super().__init__(f"Found overlapping allocation pools: {pool} {other} for subnet {cidr}.")


class GatewayConflictWithAllocationPools(Conflict):
    def __init__(self, gateway_ip: str, pool: str) -> None:
        super().__init__(f"Gateway ip {gateway_ip} conflicts with allocation pool {pool}.")


class GatewayIpInUse(Conflict):
    def __init__(self, gateway_ip: str, port_id: str) -> None:
        super().__init__(f"Current gateway ip {gateway_ip} already in use by port {port_id}. Unable to update.")


class DNSNameServersExhausted(BadRequest):
    def __init__(self, subnet_id: str, most: int) -> None:
        super().__init__(
            f"Unable to complete operation for {subnet_id}. The number of DNS nameservers exceeds the limit {most}."
        )


class HostRoutesExhausted(BadRequest):
    def __init__(self, subnet_id: str, most: int) -> None:
        super().__init__(
            f"Unable to complete operation for {subnet_id}. The number of host routes exceeds the limit {most}."
        )


class InvalidSubnetServiceType(BadRequest):
    def __init__(self, service_type: str) -> None:
        super().__init__(
            f"Subnet service type {service_type!r} does not correspond to a valid device owner: compute:… or network:…."
        )


class InvalidIpForNetwork(BadRequest):
    def __init__(self, address: str) -> None:
        super().__init__(f"IP address {address} is not a valid IP for any of the subnets on the specified network.")


class InvalidIpForSubnet(BadRequest):
    def __init__(self, address: str) -> None:
        super().__init__(f"IP address {address} is not a valid IP for the specified subnet.")


class AllowedAddressPairExhausted(BadRequest):
    def __init__(self, most: int) -> None:
        super().__init__(f"The number of allowed address pair exceeds the maximum {most}.")


class AddressPairAndPortSecurityRequired(Conflict):
    def __init__(self) -> None:
        super().__init__("Port Security must be enabled in order to have allowed address pairs on a port.")


class PortSecurityPortHasSecurityGroup(Conflict):
    def __init__(self) -> None:
        super().__init__(
            "Port has security group associated. Cannot disable port security or IP address until security group is "
            "removed."
        )


class PortSecurityAndIPRequiredForSecurityGroups(BadRequest):
    def __init__(self) -> None:
        super().__init__(
            "Port security must be enabled and port must have an IP address in order to use security groups."
        )


class SubnetNotOwned(BadRequest):
    def __init__(self, subnet_id: str) -> None:
        super().__init__(
            f"Cannot add interface to router because subnet {subnet_id} is not owned by project making the request. "
            "A port of one's own there can be added by its port_id."
        )


class SubnetMismatchForPort(BadRequest):
    def __init__(self, port_id: str, subnet_id: str) -> None:
        super().__init__(f"Subnet on port {port_id} does not match the requested subnet {subnet_id}")


class InvalidRoutes(BadRequest):
    def __init__(self, routes: object, reason: str) -> None:
        super().__init__(f"Invalid format for routes: {routes}, {reason}")


class RouterInterfaceInUseByRoute(Conflict):
    def __init__(self, router_id: str, subnet_id: str) -> None:
        super().__init__(
            f"Router interface for subnet {subnet_id} on router {router_id} cannot be deleted, as it is required by "
            "one or more routes."
        )


class RouterInterfaceNotFoundForSubnet(NotFound):
    def __init__(self, router_id: str, subnet_id: str) -> None:
        super().__init__(f"Router {router_id} has no interface on subnet {subnet_id}")


class SecurityGroupCannotUpdateDefault(Conflict):
    def __init__(self) -> None:
        super().__init__("Updating default security group not allowed.")


class DuplicateSecurityGroupRuleInPost(Conflict):
    def __init__(self) -> None:
        super().__init__("Duplicate Security Group Rule in POST.")


class PortBound(Conflict):
    def __init__(self, port_id: str, old_mac: str, new_mac: str) -> None:
        super().__init__(
            f"Unable to complete operation on port {port_id}, port is already bound, port type: bridge, "
            f"old_mac {old_mac}, new_mac {new_mac}."
        )


class ServicePortInUse(Conflict):
    def __init__(self, port_id: str, device_owner: str) -> None:
        super().__init__(
            f"Port {port_id} cannot be deleted directly via the port API: has device owner {device_owner}."
        )


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


class DefaultSecurityGroupRuleNotFound(NotFound):
    def __init__(self, wanted: str) -> None:
        super().__init__(f"Default security group rule {wanted} does not exist")


class DefaultSecurityGroupRuleExists(Conflict):
    def __init__(self) -> None:
        super().__init__("Groups of that kind begin with a rule that says the same already.")


class InvalidL3Agent(Conflict):
    def __init__(self, agent_id: str) -> None:
        super().__init__(f"Agent {agent_id} is not a L3 Agent or has been disabled")


class InvalidDHCPAgent(NotFound):
    def __init__(self, agent_id: str) -> None:
        super().__init__(f"Agent {agent_id} is not a valid DHCP Agent or has been disabled")


class RouterHostedByL3Agent(Conflict):
    def __init__(self, router_id: str, host: str) -> None:
        super().__init__(f"The router {router_id} has been already hosted by the L3 Agent on {host}.")


class RouterNotHostedByL3Agent(Conflict):
    def __init__(self, router_id: str, agent_id: str) -> None:
        super().__init__(f"The router {router_id} is not hosted by L3 agent {agent_id}.")


class NetworkHostedByDHCPAgent(Conflict):
    def __init__(self, network_id: str, host: str) -> None:
        super().__init__(f"The network {network_id} has been already hosted by the DHCP Agent on {host}.")


class NetworkNotHostedByDhcpAgent(Conflict):
    def __init__(self, network_id: str, agent_id: str) -> None:
        super().__init__(f"The network {network_id} is not hosted by the DHCP agent {agent_id}.")


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
    def __init__(self, router_id: str, port_id: str) -> None:
        super().__init__(f"Router {router_id} does not have an interface with id {port_id}")


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


class VlanIdInUse(Conflict):
    def __init__(self, segmentation_id: int, physical_network: str) -> None:
        super().__init__(
            f"Unable to create the network. The VLAN {segmentation_id} on physical network {physical_network} "
            "is in use."
        )


class NoNetworkAvailable(ServiceUnavailable):
    def __init__(self) -> None:
        super().__init__("Unable to create the network. No project network is available for allocation.")


class PortBindingNotFound(NotFound):
    def __init__(self, port_id: str, host: str) -> None:
        super().__init__(f"Binding for port {port_id} for host {host} could not be found.")


class PortBindingAlreadyExists(Conflict):
    def __init__(self, port_id: str, host: str) -> None:
        super().__init__(f"Binding for port {port_id} on host {host} already exists.")


class PortBindingAlreadyActive(Conflict):
    def __init__(self, port_id: str, host: str) -> None:
        super().__init__(f"Binding for port {port_id} on host {host} is already active.")


class PortBindingError(Conflict):
    def __init__(self, port_id: str, host: str) -> None:
        super().__init__(
            f"Binding for port {port_id} on host {host} could not be created: the host has no network agent that "
            "carries the port's network."
        )


class ExternalGatewayForFloatingIPNotFound(NotFound):
    def __init__(self, subnet_id: str, network_id: str, port_id: str) -> None:
        super().__init__(
            f"External network {network_id} is not reachable from subnet {subnet_id}. "
            f"Therefore, cannot associate Port {port_id} with a Floating IP."
        )


class FixedIpInUse(BadRequest):
    def __init__(self, port_id: str, address: str, floating: str) -> None:
        super().__init__(
            f"Cannot update the fixed_ips of the port {port_id}, because its address {address} has been associated "
            f"to the floating IP {floating}. Disassociate that first."
        )


class FloatingIPPortAlreadyAssociated(Conflict):
    def __init__(self, floating: str, port_id: str, fixed: str) -> None:
        super().__init__(
            f"Cannot associate floating IP {floating} with port {port_id} using fixed IP {fixed}, "
            "as that fixed IP already has a floating IP on external network."
        )
