"""What a host is told of the network's wanted state, section by section (decision 0028)."""
