"""Disks in files: what an uploaded image really is. Services that store, boot or copy disks share it."""
