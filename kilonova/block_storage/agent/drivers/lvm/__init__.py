"""The driver `lvm`: volumes are logical volumes of one volume group, which hosts reach by iSCSI."""
