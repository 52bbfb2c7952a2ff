"""What the fields of a body or a query are sent: mostly what their schema and name suggest, sometimes anything at all.

The schemas are those of a service's OpenAPI document; `ids` are the things its world holds, by the name of the path
variable that names them.
"""

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

Schema = Mapping[str, Any]
Strategy = st.SearchStrategy[Any]

WORDS = st.sampled_from([
    *("", "x", " x ", "a" * 256, "a" * 64, "\0", "é\u202e", "true", "-1", "0", "default", "any", "tcp", "icmp"),
    *("ingress", "egress", "IPv4", "ipv6", "slaac", "flat", "vxlan", "local", "provider", "normal", "compute:nova"),
    *("network:dhcp", "network:router_interface", "10.0.0.1", "10.0.0.77", "10.0.0.0/24", "10.7.0.5/24", "0.0.0.0/0"),
    *("fd00::1", "fd00::/64", "::/0", "fe80::1%eth0", "10.0.0.0/33", "fa:16:3e:00:00:01", "ff:ff:ff:ff:ff:ff", "node1"),
    *("web.openstacklocal.", "example.org.", "a..b", "nova", "172.24.4.9", "255.255.255.255/32", "p", "colour"),
    *("member", "admin", "RegionOne", "CUSTOM_GOLD", "VCPU", "MEMORY_MB:512", "qcow2", "bare", "/name", "2026-01-31"),
    *("2026-01-31T12:00:00Z", "gte:2026-01-31T12:00:00Z", "in:x,y", "in:", "asc", "desc", "name:desc", "id", "[::1]"),
])  # fmt: skip
NUMBERS = st.sampled_from(
    [-1, 0, 1, 4, 6, 22, 80, 255, 256, 1450, 65535, 65536, 2**31, 2**32, 2**63, 2**64, 10**30, 1.5]
)
ADDRESSES = st.sampled_from(["10.0.0.1", "10.0.0.77", "10.0.0.79", "fd00::9", "172.24.4.9", "10.0.0.0/24", "x", ""])
JUNK = st.recursive(
    st.none() | st.booleans() | NUMBERS | WORDS | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)
LIKELY: dict[str, Strategy] = {
    name: st.sampled_from(values)
    for name, values in {
        "direction": ["ingress", "egress"],
        "ethertype": ["IPv4", "IPv6", "ipv6", None],
        "protocol": ["tcp", "udp", "icmp", "ipv6-icmp", "any", None, 58, "132", 255, 256],
        "port_range_min": [None, 0, 1, 80, 443, 65535],
        "port_range_max": [None, 0, 1, 80, 443, 65535],
        "remote_ip_prefix": [None, "10.0.0.0/8", "10.0.0.5/8", "::/0", "fd00::/64", "10.0.0.1"],
        "cidr": ["10.9.0.0/24", "10.9.0.0/31", "10.9.0.0/32", "fd01::/64", "fd01::/127", "10.0.0.0/24", "0.0.0.0/0"],
        "gateway_ip": ["10.0.0.1", "10.9.0.1", "10.9.0.9", "fd01::1", None, "10.9.0.255", "fe80::1"],
        "mac_address": ["fa:16:3e:00:00:01", "FA-16-3E-00-00-02", "ff:ff:ff:ff:ff:ff"],
        "provider:network_type": ["flat", "vxlan", "local", None],
        "provider:physical_network": ["other", "provider", None],
        "provider:segmentation_id": [None, 0, 5, 1 << 24],
        "mtu": [0, 68, 1400, 1500, 65535],
        "dns_domain": ["", "example.org.", "Example.ORG.", "x"],
        "dns_name": ["", "web", "web.openstacklocal.", "-"],
        "fixed_ip_address": ["10.0.0.2", "10.0.0.9", None],
        "floating_ip_address": ["172.24.4.9", "172.24.4.2", None],
        "binding:host_id": ["node1", "nowhere", "", None],
        "availability_zone_hints": [[], ["nova"], ["mars"]],
        "service_types": [[], ["compute:nova"], ["pigeon"]],
        "device_owner": ["", "compute:nova", "network:dhcp", "network:router_interface"],
        "networks": ["auto", "none", [{"uuid": "x"}], [{"fixed_ip": "10.0.0.9"}]],
        "user_data": ["IyEvYmluL3No", "not base64!", None],
        "public_key": ["ssh-ed25519 AAAA", "ssh-rsa x", "-----BEGIN CERTIFICATE-----"],
        "path": ["/name", "/tags", "/min_disk", "/visibility", "/x~1y", "name", "/", "//", "/a/b"],
        "resource_class": ["VCPU", "CUSTOM_GOLD", "NOWHERE", ""],
        "changes-since": ["2026-01-31T12:00:00Z", "yesterday"],
        "status": ["ACTIVE", "ERROR", "DELETED", "x", ""],
    }.items()
}
"""Field → what fits it, or nearly does."""
ENTRIES: dict[str, Strategy] = {
    "allocation_pools": st.fixed_dictionaries({"start": ADDRESSES, "end": ADDRESSES}),
    "extra_dhcp_opts": st.fixed_dictionaries({"opt_name": WORDS}, optional={"opt_value": WORDS, "ip_version": NUMBERS}),
    "routes": st.fixed_dictionaries({"destination": WORDS, "nexthop": ADDRESSES}),
    "host_routes": st.fixed_dictionaries({"destination": WORDS, "nexthop": ADDRESSES}),
    "fixed_ips": st.fixed_dictionaries({}, optional={"ip_address": ADDRESSES, "subnet_id": WORDS}),
    "dns_nameservers": ADDRESSES,
}
"""Field that is a list → what its entries are where the schema does not say."""


class Values:
    """Strategies for the schemas of one document."""

    def __init__(self, components: Mapping[str, Schema], ids: Mapping[str, str]) -> None:
        self._components = components
        self._ids = ids

    def body(self, schema: Schema) -> Strategy:
        return st.one_of(*[self.of("", schema)] * 6, JUNK)

    def query(self, name: str) -> Strategy:
        return LIKELY.get(name, self._text(name) | NUMBERS.map(str)).map(str)

    def of(self, name: str, schema: Schema) -> Strategy:
        """What a field called `name` may be sent."""
        if "$ref" in schema:
            return self.of(name, self._components[schema["$ref"].rpartition("/")[2]])
        choices = schema.get("anyOf") or schema.get("oneOf")
        if choices:
            return st.one_of(*(self.of(name, each) for each in choices))
        if name in LIKELY and schema.get("type") != "object":
            return LIKELY[name]
        if "enum" in schema:
            return st.sampled_from(list(schema["enum"]))
        return self._of_type(name, schema)

    def _of_type(self, name: str, schema: Schema) -> Strategy:
        match schema.get("type"):
            case "object" if "properties" in schema:
                return self._object(schema)
            case "object":
                return self._dictionary(name, schema)
            case "array":
                entry = self.of(name, schema.get("items") or {})
                return st.lists(ENTRIES.get(name, entry) | entry, max_size=3)
            case "boolean":
                return st.booleans()
            case "integer" | "number":
                return NUMBERS
            case "null":
                return st.none()
            case "string":
                return self._text(name)
            case _:
                return JUNK

    def _text(self, name: str) -> Strategy:
        """Mostly the id of a thing that the field's name asks for."""
        kinds = [kind for kind in self._ids if kind.split("_")[0] in name]
        if not (kinds or name.endswith("_id")):
            return WORDS
        return st.sampled_from([*[self._ids[kind] for kind in kinds] * 4, *self._ids.values(), "nothing"])

    def _object(self, schema: Schema) -> Strategy:
        properties, required = schema["properties"], schema.get("required", [])
        if not properties:
            return st.just({})
        optional = [name for name in properties if name not in required]

        @st.composite
        def draw_object(draw: st.DrawFn) -> dict[str, Any]:
            # A body on the whole holds one thing, or a list of them.
            most = 4 if required or len(optional) > 2 else 1
            few = (
                draw(st.lists(st.sampled_from(optional), min_size=0 if required else 1, max_size=most, unique=True))
                if optional
                else []
            )
            body = {name: draw(self.of(name, properties[name])) for name in (*required, *few)}
            if body and draw(st.integers(0, 4)) == 0:
                body[draw(st.sampled_from(sorted(body)) | WORDS)] = draw(JUNK)
            return body

        return draw_object()

    def _dictionary(self, name: str, schema: Schema) -> Strategy:
        inner = schema.get("additionalProperties")
        value = self.of("", inner) if isinstance(inner, Mapping) else JUNK
        keys = WORDS | st.sampled_from(sorted(self._ids.values()))
        return st.dictionaries(keys, value, max_size=2)
