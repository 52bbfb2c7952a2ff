"""The sections of wanted state that a host is told of (decision 0028)."""
