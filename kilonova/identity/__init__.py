"""Identity (Keystone's API v3): who there is, what they may do where, and the catalog of services.

Source: OpenStack Identity API v3 reference. Identity alone holds the token keys.
"""
