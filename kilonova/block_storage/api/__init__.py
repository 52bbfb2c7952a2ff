"""Request handlers of block storage, one file a resource."""
