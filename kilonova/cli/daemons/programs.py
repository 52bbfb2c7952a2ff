"""The executables that the guides start. Each loads its own part alone."""

from kilonova.cli.daemons.process import main


def keystone() -> int:
    from kilonova.cli.parts import identity

    return main(identity.API)


def glance_api() -> int:
    from kilonova.cli.parts import image

    return main(image.API)


def placement_api() -> int:
    from kilonova.cli.parts import placement

    return main(placement.API)


def nova_api() -> int:
    from kilonova.cli.parts import compute

    return main(compute.API)


def nova_api_metadata() -> int:
    from kilonova.cli.parts import compute

    return main(compute.METADATA)


def nova_conductor() -> int:
    from kilonova.cli.parts import compute

    return main(compute.CONDUCTOR)


def nova_scheduler() -> int:
    from kilonova.cli.parts import compute

    return main(compute.SCHEDULER)


def nova_compute() -> int:
    from kilonova.cli.parts import compute_agent

    return main(compute_agent.AGENT)


def nova_novncproxy() -> int:
    from kilonova.cli.parts import consoles

    return main(consoles.NOVNC_PROXY)


def nova_spicehtml5proxy() -> int:
    from kilonova.cli.parts import consoles

    return main(consoles.SPICE_PROXY)


def nova_serialproxy() -> int:
    from kilonova.cli.parts import consoles

    return main(consoles.SERIAL_PROXY)


def nova_consoleauth() -> int:
    from kilonova.cli.parts import consoles

    return main(consoles.CONSOLEAUTH_DAEMON)


def cinder_api() -> int:
    from kilonova.cli.parts import block_storage

    return main(block_storage.API)


def cinder_scheduler() -> int:
    from kilonova.cli.parts import block_storage

    return main(block_storage.SCHEDULER)


def cinder_volume() -> int:
    from kilonova.cli.parts import block_storage

    return main(block_storage.VOLUME)


def cinder_backup() -> int:
    from kilonova.cli.parts import block_storage

    return main(block_storage.BACKUP)


def neutron_server() -> int:
    from kilonova.cli.parts import network

    return main(network.SERVER)


def neutron_linuxbridge_agent() -> int:
    from kilonova.cli.parts import network_agents

    return main(network_agents.BRIDGE)


def neutron_dhcp_agent() -> int:
    from kilonova.cli.parts import network_agents

    return main(network_agents.DHCP)


def neutron_l3_agent() -> int:
    from kilonova.cli.parts import network_agents

    return main(network_agents.L3)


def neutron_metadata_agent() -> int:
    from kilonova.cli.parts import network_agents

    return main(network_agents.METADATA)
