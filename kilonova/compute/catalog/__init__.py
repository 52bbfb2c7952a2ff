"""The catalog that servers are made from and limited by: flavors, key pairs, server groups and quotas."""
