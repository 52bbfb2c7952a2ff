"""Builds the demo guest: a small Linux disk that boots in seconds even without hardware virtualization.

It is put together from Debian's own packages, on this machine, with no mount, loop device or container:
`build.py` drives, `packages.py` downloads, `root_tree.py` lays out the files, `disk.py` makes the bootable disk.
`overlay/` holds the guest's own scripts as they lie in it, `initramfs-init` the first program its kernel runs.
"""
