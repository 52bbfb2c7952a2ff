"""The hardware of a guest, as its flavor and its image ask for it; pure."""
