"""Disks in files: what an uploaded image really is, and every call of qemu-img, under its account and its limits."""
