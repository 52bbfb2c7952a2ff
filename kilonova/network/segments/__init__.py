"""The network types: what each may be asked for, what it allocates, and the MTU that it leaves (decision 0029)."""
