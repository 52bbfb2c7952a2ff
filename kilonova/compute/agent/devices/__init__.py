"""The devices of a server, whatever the hypervisor: what it should have, what its guest has, and the difference."""
