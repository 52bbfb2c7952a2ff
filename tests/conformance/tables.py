"""All tables of commands."""

from tests.conformance import (
    compute_commands,
    identity_commands,
    image_commands,
    network_commands,
    placement_commands,
    shared_commands,
    volume_commands,
)

TABLES = [
    identity_commands.TABLE,
    image_commands.TABLE,
    placement_commands.TABLE,
    compute_commands.TABLE,
    network_commands.TABLE,
    volume_commands.TABLE,
    shared_commands.TABLE,
]
