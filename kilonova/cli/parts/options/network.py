"""What neutron-server and the network agents read."""

from oslo_config import cfg

from kilonova.cli.parts.options.spelling import Options, credentials, old, workers

NETWORK: Options = {
    "DEFAULT": [
        cfg.IntOpt("global_physnet_mtu", default=1500, min=576, help="Bytes that fit through the underlay"),
        workers("api_workers"),
    ],
    "ml2": [
        cfg.IntOpt("path_mtu", default=0, min=0, help="Bytes that fit between tunnels' ends; 0: as the underlay"),
        cfg.ListOpt("mechanism_drivers", default=["linuxbridge"], help="What binds ports on hosts, in this order"),
        cfg.ListOpt(
            "type_drivers",
            default=["local", "flat", "vlan", "gre", "vxlan", "geneve"],
            help="Network types that may be asked for, as far as a mechanism carries them",
        ),
        cfg.ListOpt(
            "tenant_network_types",
            default=["vxlan"],
            help="Network types that projects get, in this order; without any they get no networks",
        ),
    ],
    "nova": credentials(),
    "ml2_type_flat": [cfg.ListOpt("flat_networks", default=["*"], help="Physical networks that may be flat")],
    "ml2_type_vlan": [
        cfg.ListOpt(
            "network_vlan_ranges",
            default=[],
            help="physical network:lowest:highest VLAN id to take, or a physical network alone",
        )
    ],
    "ml2_type_vxlan": [cfg.ListOpt("vni_ranges", default=["1:1000"], help="Numbers of vxlan networks")],
    "ml2_type_gre": [cfg.ListOpt("tunnel_id_ranges", default=[], help="Keys of GRE networks")],
    "ml2_type_geneve": [cfg.ListOpt("vni_ranges", default=[], help="Numbers of Geneve networks")],
}
NETWORK_AGENT: Options = {
    "linux_bridge": [
        cfg.DictOpt("physical_interface_mappings", default={}, help="physical network:interface that joins brq…"),
        cfg.DictOpt("bridge_mappings", default={}, help="physical network:bridge that exists, used as it is"),
    ],
    "vxlan": [
        cfg.BoolOpt("enable_vxlan", default=True, help="Carry vxlan networks"),
        cfg.StrOpt("local_ip", default="", help="Underlay address; without one vxlan networks stay inside this host"),
        cfg.BoolOpt("l2_population", default=False, help="Forward known addresses instead of flooding"),
    ],
    "DEFAULT": [
        cfg.StrOpt("state_path", default="/var/lib/neutron", help="Directory of what this host keeps"),
        cfg.StrOpt(
            "nova_metadata_host",
            default="127.0.0.1",
            help="Where the metadata API is",
            deprecated_opts=old("nova_metadata_ip"),
        ),
        cfg.PortOpt("nova_metadata_port", default=8775, help="Its port"),
        cfg.StrOpt("metadata_proxy_shared_secret", default="", secret=True, help="What requests to it are signed with"),
        cfg.StrOpt("network_driver", default="linux", choices=["linux", "fake"], help="What networks are made of"),
    ],
}
