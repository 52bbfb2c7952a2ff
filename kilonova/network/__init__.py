"""Network (Neutron's API v2.0): networks, subnets, ports, security groups, routers, floating IPs.

Source: OpenStack Networking API v2.0 reference. The server keeps what each host should have; agents converge to it.
"""
