"""Tells whoever listens outside of the cloud what has become of servers, hosts and what they are made from."""
