"""Every part of the cloud as a process of its own, under the name and with the files the guides give it."""
