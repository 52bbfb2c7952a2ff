"""The mechanisms: what a port's place on a host is made of (decision 0029)."""
