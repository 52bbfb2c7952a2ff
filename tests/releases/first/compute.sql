BEGIN TRANSACTION;
CREATE TABLE aggregates (
	number INTEGER NOT NULL, 
	id VARCHAR(36) NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	hosts JSON NOT NULL, 
	metadata JSON NOT NULL, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME, 
	PRIMARY KEY (number), 
	UNIQUE (id), 
	UNIQUE (name)
);
INSERT INTO "aggregates" VALUES(1,'0f146518-1dfc-4dc0-88ba-d82242a31ffa','racks','["vm-1"]','{"availability_zone": "east"}','2026-11-30 08:03:45.055311','2026-11-30 08:03:45.090803');
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0003');
CREATE TABLE cell_mappings (
	id VARCHAR(36) NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	transport_url TEXT NOT NULL, 
	database_connection TEXT NOT NULL, 
	disabled BOOLEAN NOT NULL, 
	created_at DATETIME NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "cell_mappings" VALUES('00000000-0000-0000-0000-000000000000','cell0','none:///','',0,'2026-11-30 08:03:41.502587');
INSERT INTO "cell_mappings" VALUES('00000000-0000-0000-0000-000000000001','cell1','','',0,'2026-11-30 08:03:41.502587');
CREATE TABLE console_tokens (
	token_digest VARCHAR(64) NOT NULL, 
	server_id VARCHAR(36) NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	expires_at DATETIME NOT NULL, 
	PRIMARY KEY (token_digest)
);
CREATE TABLE control_daemons (
	id VARCHAR(36) NOT NULL, 
	binary VARCHAR(64) NOT NULL, 
	host VARCHAR(255) NOT NULL, 
	created_at DATETIME NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (binary, host)
);
CREATE TABLE flavors (
	id VARCHAR(255) NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	description TEXT, 
	vcpus INTEGER NOT NULL, 
	memory_mib INTEGER NOT NULL, 
	root_gib INTEGER NOT NULL, 
	ephemeral_gib INTEGER NOT NULL, 
	swap_mib INTEGER NOT NULL, 
	rxtx_factor VARCHAR(16) NOT NULL, 
	is_public BOOLEAN NOT NULL, 
	extra_specs JSON NOT NULL, 
	projects JSON NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (name)
);
INSERT INTO "flavors" VALUES('old','m1.old',NULL,1,128,1,0,0,'1.0',1,'{}','[]');
INSERT INTO "flavors" VALUES('huge','m1.huge',NULL,1,9000000,1,0,0,'1.0',1,'{}','[]');
CREATE TABLE host_mappings (
	host VARCHAR(255) NOT NULL, 
	number INTEGER NOT NULL, 
	cell_id VARCHAR(36) NOT NULL, 
	created_at DATETIME NOT NULL, 
	PRIMARY KEY (host), 
	UNIQUE (number)
);
INSERT INTO "host_mappings" VALUES('vm-1',1,'00000000-0000-0000-0000-000000000001','2026-11-30 08:03:41.745037');
INSERT INTO "host_mappings" VALUES('vm-2',2,'00000000-0000-0000-0000-000000000001','2026-11-30 08:03:42.091997');
CREATE TABLE hosts (
	id VARCHAR(36) NOT NULL, 
	number INTEGER NOT NULL, 
	service_id VARCHAR(36) NOT NULL, 
	binary VARCHAR(64) NOT NULL, 
	host VARCHAR(255) NOT NULL, 
	hypervisor_hostname VARCHAR(255) NOT NULL, 
	availability_zone VARCHAR(255) NOT NULL, 
	disabled BOOLEAN NOT NULL, 
	disabled_reason VARCHAR(255), 
	forced_down BOOLEAN NOT NULL, 
	failed_builds INTEGER NOT NULL, 
	inventory JSON NOT NULL, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (binary, host), 
	UNIQUE (number), 
	UNIQUE (service_id)
);
INSERT INTO "hosts" VALUES('0ef75d53-e75f-4ec6-a5fb-bbbcbc87b5bb',1,'e37aff28-4650-4d3f-820e-d586221849ba','nova-compute','vm-1','vm-1','east',0,NULL,0,0,'{"hostname": "vm-1", "host_ip": "127.0.0.1", "hypervisor_type": "fake", "hypervisor_version": 1000, "vcpus": 16, "memory_mib": 65536, "disk_gib": 1000, "cpu_info": {"arch": "x86_64", "model": "fake", "vendor": "fake", "features": [], "topology": {"cells": 1, "sockets": 1, "cores": 16, "threads": 1}}, "supported_instances": [["x86_64", "fake", "hvm"]], "traits": ["COMPUTE_FIRMWARE_BIOS", "COMPUTE_IMAGE_TYPE_ISO", "COMPUTE_IMAGE_TYPE_QCOW2", "COMPUTE_IMAGE_TYPE_RAW", "COMPUTE_IMAGE_TYPE_VDI", "COMPUTE_IMAGE_TYPE_VHD", "COMPUTE_IMAGE_TYPE_VHDX", "COMPUTE_IMAGE_TYPE_VMDK", "COMPUTE_NET_VIF_MODEL_E1000", "COMPUTE_NET_VIF_MODEL_E1000E", "COMPUTE_NET_VIF_MODEL_NE2K_PCI", "COMPUTE_NET_VIF_MODEL_PCNET", "COMPUTE_NET_VIF_MODEL_RTL8139", "COMPUTE_NET_VIF_MODEL_VIRTIO", "COMPUTE_NODE", "COMPUTE_STORAGE_BUS_VIRTIO", "HW_ARCH_X86_64"]}','2026-11-30 08:03:41.744558','2026-11-30 08:03:41.744558');
INSERT INTO "hosts" VALUES('c2382a06-a686-4448-aa37-394b3ca4923a',2,'f82272ce-9c94-4568-b655-c88bbdb70733','nova-compute','vm-2','vm-2','nova',0,NULL,0,0,'{"hostname": "vm-2", "host_ip": "127.0.0.1", "hypervisor_type": "fake", "hypervisor_version": 1000, "vcpus": 16, "memory_mib": 65536, "disk_gib": 1000, "cpu_info": {"arch": "x86_64", "model": "fake", "vendor": "fake", "features": [], "topology": {"cells": 1, "sockets": 1, "cores": 16, "threads": 1}}, "supported_instances": [["x86_64", "fake", "hvm"]], "traits": ["COMPUTE_FIRMWARE_BIOS", "COMPUTE_IMAGE_TYPE_ISO", "COMPUTE_IMAGE_TYPE_QCOW2", "COMPUTE_IMAGE_TYPE_RAW", "COMPUTE_IMAGE_TYPE_VDI", "COMPUTE_IMAGE_TYPE_VHD", "COMPUTE_IMAGE_TYPE_VHDX", "COMPUTE_IMAGE_TYPE_VMDK", "COMPUTE_NET_VIF_MODEL_E1000", "COMPUTE_NET_VIF_MODEL_E1000E", "COMPUTE_NET_VIF_MODEL_NE2K_PCI", "COMPUTE_NET_VIF_MODEL_PCNET", "COMPUTE_NET_VIF_MODEL_RTL8139", "COMPUTE_NET_VIF_MODEL_VIRTIO", "COMPUTE_NODE", "COMPUTE_STORAGE_BUS_VIRTIO", "HW_ARCH_X86_64"]}','2026-11-30 08:03:42.087494','2026-11-30 08:03:42.087494');
CREATE TABLE keypairs (
	number INTEGER NOT NULL, 
	user_id VARCHAR(64) NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	type VARCHAR(16) NOT NULL, 
	fingerprint VARCHAR(255) NOT NULL, 
	public_key TEXT NOT NULL, 
	created_at DATETIME NOT NULL, 
	PRIMARY KEY (number), 
	UNIQUE (user_id, name)
);
INSERT INTO "keypairs" VALUES(1,'1c73d0b07ea046429cff030cc2193ccc','ann','ssh','43:8b:ba:19:d6:10:24:a1:3b:14:eb:e3:cc:ee:27:18','ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQCTLrWcRDg1O6IF2X0fVsuOnBDexSfRbKo6P0glQ/4/EQN8X2p/1ILrD8uC33n4IXhI4iIADNkYTiGMb9qwLu80MGupeUlpMxUNokgdkmXjZ/XEPZlpMy94U4Em3cxr9ryu9cth3jPH8LZG0qOMnX5gYkfvuPCxqM38u6LJIekDa2zlc+62Ix6Tly2y6uMTkFzTeshSBbc2ynO5upn2CrGDdWpegVbr904eEFE5CBSvHuT9BC7nqaS4wZqUvlSFCXZEKEXOYd48FUqasoSDSiDUfjV0KoNkwmLqF8gzqBjGX1UUZ1T1kp7IckvvDny8qeeF+ZsezVI22Vaj6ydp+5Wf Generated-by-Nova','2026-11-30 08:03:45.026999');
CREATE TABLE quota_classes (
	class_name VARCHAR(255) NOT NULL, 
	resource VARCHAR(64) NOT NULL, 
	hard_limit INTEGER NOT NULL, 
	PRIMARY KEY (class_name, resource)
);
CREATE TABLE quotas (
	project_id VARCHAR(64) NOT NULL, 
	resource VARCHAR(64) NOT NULL, 
	hard_limit INTEGER NOT NULL, 
	PRIMARY KEY (project_id, resource)
);
INSERT INTO "quotas" VALUES('bcf5da660cbd442780a9e3baf5e6462c','instances',7);
CREATE TABLE server_groups (
	id VARCHAR(36) NOT NULL, 
	project_id VARCHAR(64) NOT NULL, 
	user_id VARCHAR(64) NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	policy VARCHAR(32) NOT NULL, 
	most_on_a_host INTEGER, 
	created_at DATETIME NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "server_groups" VALUES('58648bbf-abad-4aee-b036-2d3d324fdfe5','bcf5da660cbd442780a9e3baf5e6462c','1c73d0b07ea046429cff030cc2193ccc','apart','anti-affinity',NULL,'2026-11-30 08:03:45.041298');
CREATE TABLE server_history (
	id VARCHAR(36) NOT NULL, 
	project_id VARCHAR(64) NOT NULL, 
	user_id VARCHAR(64) NOT NULL, 
	host VARCHAR(255), 
	number INTEGER NOT NULL, 
	record JSON NOT NULL, 
	created_at DATETIME NOT NULL, 
	deleted_at DATETIME NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (number)
);
INSERT INTO "server_history" VALUES('064c2f0e-9f3b-4cc6-b756-d3f41514cdd9','bcf5da660cbd442780a9e3baf5e6462c','1c73d0b07ea046429cff030cc2193ccc','vm-2',4,'{"id": "064c2f0e-9f3b-4cc6-b756-d3f41514cdd9", "number": 4, "project_id": "bcf5da660cbd442780a9e3baf5e6462c", "user_id": "1c73d0b07ea046429cff030cc2193ccc", "name": "gone", "hostname": "gone", "description": null, "vm_state": "active", "wanted_power": "running", "power_state": 1, "host": "vm-2", "node_id": "c2382a06-a686-4448-aa37-394b3ca4923a", "availability_zone": "nova", "requested_zone": null, "requested_host": null, "group_id": null, "vcpus": 1, "memory_mib": 128, "flavor": {"id": "old", "name": "m1.old", "description": null, "vcpus": 1, "memory_mib": 128, "root_gib": 1, "ephemeral_gib": 0, "swap_mib": 0, "rxtx_factor": "1.0", "is_public": true, "extra_specs": {}, "projects": []}, "image": {"id": "84de041a-7ca4-4b3a-a8ef-076c02ae083c", "disk_format": "raw", "size_bytes": 1048576, "sha512": "d6292685b380e338e025b3415a90fe8f9d39a46e7bdba8cb78c50a338cefca741f69e4e46411c32de1afdedfb268e579a51f81ff85e56f55b0ee7c33fe8c25c9", "min_disk_gib": 0, "properties": {"hw_disk_bus": "virtio"}}, "key_name": null, "public_key": null, "key_type": null, "user_data": null, "config_drive": false, "metadata": {}, "tags": [], "requested_networks": [], "ports": [], "security_groups": [], "scheduler_hints": {}, "reservation_id": "r-ewv7saih", "launch_index": 0, "random_seed": "26WirwW79hFfgwsWHkNlDLBwSQKgAmcs3cB0rA14kcAVlJv4xbv9hpPcvsL7r78ipG8Qgwkerva4ZljUM41G3RfgIZQ3iBHk9NcVnwWNFxnFqO2Pd+Cv7woO9xvfmEVfmJ1V8cuE8Q7GKxg+fqKKxAmv8JBGUlT6F04jwmFQRhlxwKHyGVtEGxKFeVtpy/QYpUFpcIg9rcLfmIsKLPfEbbnij8g635K5lH7EUCjK9Zpr9UjpYmV+HpwLcIGMysmyLStuAE3rQA0zlHSL2+gVKVkf4a+Kxch0qFTQCjkvtYva9EMPZ/8AH+BDjeVL75wCnd7UC/k6kTBemKW5KprFhWyhCMXkH/LT8M+h+n6yWq+zpI5hp8RSb49GGBMm1IEApH8VQUzdCDVF1Puu/Ai/hFt9XLXclskG59Nm8r/RG4zi+b9VfBHjrHiiWZNOxdFXmhjZQS0rr8U7058UYx2bJl+zL+vO8hcD9rh3d9QxAZyMM7ocgALYumFqf+F4dc4tDJDf9BNfrwwr3Luj2+nN5BF9Ypwi3TReB4bCc5C9KavrOFohfG3qWudTHkDrFEwg3TAHlRCrULRVuSr72B0FjaXKflA5LSFg1qe9ZSmC0MRyDCG2otd+PYu5s6pFfTzAKTj3qhPJkXICQTNY7iZqu5A9FH8WCLjmLFFSIjD0B/A=", "disk_config": "MANUAL", "access_ip_v4": "", "access_ip_v6": "", "reboot_count": 0, "reboot_type": "SOFT", "locked": false, "locked_by": null, "locked_reason": null, "sealed_password": "", "fault": null, "created_at": "2026-11-30T08:03:46.458456Z", "updated_at": "2026-11-30T08:03:46.607772Z", "launched_at": "2026-11-30T08:03:46.607772Z"}','2026-11-30 08:03:46.458456','2026-11-30 08:03:49.567861');
CREATE TABLE server_mappings (
	server_id VARCHAR(36) NOT NULL, 
	number INTEGER NOT NULL, 
	project_id VARCHAR(64) NOT NULL, 
	user_id VARCHAR(64) NOT NULL, 
	cell_id VARCHAR(36), 
	group_id VARCHAR(36), 
	host VARCHAR(255), 
	vcpus INTEGER NOT NULL, 
	memory_mib INTEGER NOT NULL, 
	created_at DATETIME NOT NULL, 
	deleted_at DATETIME, 
	PRIMARY KEY (server_id), 
	UNIQUE (number)
);
INSERT INTO "server_mappings" VALUES('742a2343-b301-4d82-894a-46a4ecdf7ba3',1,'bcf5da660cbd442780a9e3baf5e6462c','1c73d0b07ea046429cff030cc2193ccc','00000000-0000-0000-0000-000000000001','58648bbf-abad-4aee-b036-2d3d324fdfe5','vm-1',1,128,'2026-11-30 08:03:45.165828',NULL);
INSERT INTO "server_mappings" VALUES('1e4f74d0-a360-4200-9e00-15728b4821c8',2,'bcf5da660cbd442780a9e3baf5e6462c','1c73d0b07ea046429cff030cc2193ccc','00000000-0000-0000-0000-000000000001','58648bbf-abad-4aee-b036-2d3d324fdfe5','vm-2',1,128,'2026-11-30 08:03:45.546643',NULL);
INSERT INTO "server_mappings" VALUES('9b987d29-c899-41b8-8e7d-790f77327574',3,'bcf5da660cbd442780a9e3baf5e6462c','1c73d0b07ea046429cff030cc2193ccc','00000000-0000-0000-0000-000000000001',NULL,NULL,1,128,'2026-11-30 08:03:45.930456',NULL);
INSERT INTO "server_mappings" VALUES('064c2f0e-9f3b-4cc6-b756-d3f41514cdd9',4,'bcf5da660cbd442780a9e3baf5e6462c','1c73d0b07ea046429cff030cc2193ccc','00000000-0000-0000-0000-000000000001',NULL,NULL,1,128,'2026-11-30 08:03:46.458456','2026-11-30 08:03:49.567861');
CREATE TABLE servers (
	id VARCHAR(36) NOT NULL, 
	number INTEGER NOT NULL, 
	project_id VARCHAR(64) NOT NULL, 
	user_id VARCHAR(64) NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	hostname VARCHAR(255) NOT NULL, 
	description VARCHAR(255), 
	vm_state VARCHAR(16) NOT NULL, 
	wanted_power VARCHAR(16) NOT NULL, 
	power_state INTEGER NOT NULL, 
	host VARCHAR(255), 
	node_id VARCHAR(36), 
	availability_zone VARCHAR(255), 
	requested_zone VARCHAR(255), 
	requested_host VARCHAR(255), 
	group_id VARCHAR(36), 
	vcpus INTEGER NOT NULL, 
	memory_mib INTEGER NOT NULL, 
	flavor JSON NOT NULL, 
	image JSON, 
	key_name VARCHAR(255), 
	public_key TEXT, 
	key_type VARCHAR(16), 
	user_data BLOB, 
	config_drive BOOLEAN NOT NULL, 
	metadata JSON NOT NULL, 
	tags JSON NOT NULL, 
	requested_networks JSON NOT NULL, 
	ports JSON NOT NULL, 
	security_groups JSON NOT NULL, 
	scheduler_hints JSON NOT NULL, 
	reservation_id VARCHAR(32) NOT NULL, 
	launch_index INTEGER NOT NULL, 
	random_seed BLOB NOT NULL, 
	disk_config VARCHAR(8) NOT NULL, 
	access_ip_v4 VARCHAR(64) NOT NULL, 
	access_ip_v6 VARCHAR(64) NOT NULL, 
	reboot_count INTEGER NOT NULL, 
	reboot_type VARCHAR(8) NOT NULL, 
	locked BOOLEAN NOT NULL, 
	locked_by VARCHAR(8), 
	locked_reason VARCHAR(255), 
	sealed_password TEXT NOT NULL, 
	fault JSON, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	launched_at DATETIME, 
	PRIMARY KEY (id), 
	UNIQUE (number)
);
INSERT INTO "servers" VALUES('742a2343-b301-4d82-894a-46a4ecdf7ba3',1,'bcf5da660cbd442780a9e3baf5e6462c','1c73d0b07ea046429cff030cc2193ccc','s0','s0',NULL,'active','running',1,'vm-1','0ef75d53-e75f-4ec6-a5fb-bbbcbc87b5bb','east',NULL,NULL,'58648bbf-abad-4aee-b036-2d3d324fdfe5',1,128,'{"id": "old", "name": "m1.old", "description": null, "vcpus": 1, "memory_mib": 128, "root_gib": 1, "ephemeral_gib": 0, "swap_mib": 0, "rxtx_factor": "1.0", "is_public": true, "extra_specs": {}, "projects": []}','{"id": "84de041a-7ca4-4b3a-a8ef-076c02ae083c", "disk_format": "raw", "size_bytes": 1048576, "sha512": "d6292685b380e338e025b3415a90fe8f9d39a46e7bdba8cb78c50a338cefca741f69e4e46411c32de1afdedfb268e579a51f81ff85e56f55b0ee7c33fe8c25c9", "min_disk_gib": 0, "properties": {"hw_disk_bus": "virtio"}}','ann','ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQCTLrWcRDg1O6IF2X0fVsuOnBDexSfRbKo6P0glQ/4/EQN8X2p/1ILrD8uC33n4IXhI4iIADNkYTiGMb9qwLu80MGupeUlpMxUNokgdkmXjZ/XEPZlpMy94U4Em3cxr9ryu9cth3jPH8LZG0qOMnX5gYkfvuPCxqM38u6LJIekDa2zlc+62Ix6Tly2y6uMTkFzTeshSBbc2ynO5upn2CrGDdWpegVbr904eEFE5CBSvHuT9BC7nqaS4wZqUvlSFCXZEKEXOYd48FUqasoSDSiDUfjV0KoNkwmLqF8gzqBjGX1UUZ1T1kp7IckvvDny8qeeF+ZsezVI22Vaj6ydp+5Wf Generated-by-Nova','ssh',NULL,0,'{"n": "0"}','[]','[{"network_id": "d74ed24e-d79a-462d-9fd4-acd1fe11b86a"}]','[{"id": "7ae729b9-cdc1-4cce-914b-0e29f7af5041", "network_id": "d74ed24e-d79a-462d-9fd4-acd1fe11b86a", "network_name": "lan", "mac_address": "fa:16:3e:ac:49:62", "fixed_ips": ["10.5.0.3"], "floating_ips": ["203.0.113.3"], "preserve": false}]','["default"]','{"group": "58648bbf-abad-4aee-b036-2d3d324fdfe5"}','r-4gzkx0j7',0,X'51331F67606475990A164A259236E770C46BEAF2240317F22E3CA4E7BE0F70E5A87DB8F39DD57E98FA4174A00FA9DA37F1AD5F423CB5B4ACC479499878A3CDEB3B9FC97AB6C35EF4206FE14CEDE6C416ADD886ADC844106228A6E930B467B020F39B54BE2A30EE690CE2EA802DA61243BD3040E3953A65EC898B426CC7E9333DB4102E2F5E8B42AC1403908787D4CE7BF1B5E7875BF8615E13E6AD16A1A70B6118139F8E37BA790C0D9191BDAB018E6786E3FC00906487B1364558F902E40113830A793E883E61C283C29B486A21CA011EEDF330F17A822F643303DD623229F3A6A57E6D60CF4085001AB434AE7FC73FB7095BDB150DDFA47F65A7C20EB7D5019D029A73C3A54A2DCE64227870A612F278015B1F2462ADF6ACA6695D2243E1E021110041B7D36ED3292829C06B5ED4F216E6FC637DDCDCE8385D3CF2B01F83920AEE9DE69CDE177DAFB4438F74758325540EE4D37403E38512B14F41634148E6219409875E556AA1D30987B4492515E6AF23524CA18068DD89413D33FCE4D046FE4957AA386375EEC31BC0A6504D1B7ECE3F0EC227EB59F29A828DB503214D8A6474C23CE42C6566325C62E3F887F59A892474EA6661F907F03FF80B5049D9D9B0EBB4AD48BA93364628906C73C865AA634F197392872AD0F31AB109898E2AF67DF856261EC3378F8F00EC74AD1BC64C7D8B4AF53804909F9F3587A59AB52FFE','MANUAL','','',0,'SOFT',0,NULL,NULL,'','null','2026-11-30 08:03:45.165828','2026-11-30 08:03:54.979064','2026-11-30 08:03:45.694006');
INSERT INTO "servers" VALUES('1e4f74d0-a360-4200-9e00-15728b4821c8',2,'bcf5da660cbd442780a9e3baf5e6462c','1c73d0b07ea046429cff030cc2193ccc','s1','s1',NULL,'active','running',1,'vm-2','c2382a06-a686-4448-aa37-394b3ca4923a','nova',NULL,NULL,'58648bbf-abad-4aee-b036-2d3d324fdfe5',1,128,'{"id": "old", "name": "m1.old", "description": null, "vcpus": 1, "memory_mib": 128, "root_gib": 1, "ephemeral_gib": 0, "swap_mib": 0, "rxtx_factor": "1.0", "is_public": true, "extra_specs": {}, "projects": []}','{"id": "84de041a-7ca4-4b3a-a8ef-076c02ae083c", "disk_format": "raw", "size_bytes": 1048576, "sha512": "d6292685b380e338e025b3415a90fe8f9d39a46e7bdba8cb78c50a338cefca741f69e4e46411c32de1afdedfb268e579a51f81ff85e56f55b0ee7c33fe8c25c9", "min_disk_gib": 0, "properties": {"hw_disk_bus": "virtio"}}','ann','ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQCTLrWcRDg1O6IF2X0fVsuOnBDexSfRbKo6P0glQ/4/EQN8X2p/1ILrD8uC33n4IXhI4iIADNkYTiGMb9qwLu80MGupeUlpMxUNokgdkmXjZ/XEPZlpMy94U4Em3cxr9ryu9cth3jPH8LZG0qOMnX5gYkfvuPCxqM38u6LJIekDa2zlc+62Ix6Tly2y6uMTkFzTeshSBbc2ynO5upn2CrGDdWpegVbr904eEFE5CBSvHuT9BC7nqaS4wZqUvlSFCXZEKEXOYd48FUqasoSDSiDUfjV0KoNkwmLqF8gzqBjGX1UUZ1T1kp7IckvvDny8qeeF+ZsezVI22Vaj6ydp+5Wf Generated-by-Nova','ssh',NULL,0,'{"n": "1"}','[]','[{"network_id": "d74ed24e-d79a-462d-9fd4-acd1fe11b86a", "security_group_ids": ["d17244b4-2f59-4291-a34b-e46720b4d113"]}]','[{"id": "4fa4b66a-de29-4803-8e2f-98eb8962752c", "network_id": "d74ed24e-d79a-462d-9fd4-acd1fe11b86a", "network_name": "lan", "mac_address": "fa:16:3e:d3:d8:9d", "fixed_ips": ["10.5.0.4"], "floating_ips": [], "preserve": false}]','["web"]','{"group": "58648bbf-abad-4aee-b036-2d3d324fdfe5"}','r-hwonxqhg',0,X'7425C2572FD7DDB1F0946E2E229050A37EA22D9040F53AE56B7FD217C0FDD504E8984E2F9715FE9E0DC1EFDB96FDF1D45920B17A523623543903710135A6186316DEC1ADB1095E8F1D83376B8C19715D8CDFEEFD6EE36103E80367877E2D39EC58A6D777C63648DDBF60180DC03A5D6FA0BF6C3A2B3D86B3473C189452556073611EA681B9543BAB2851D5DCA2A3EB9F9F84567D183B06A0B81310D607D6BD23172B0112C3F43E33117A09880E7A47EE04F5F0C08902FB0C97652B46F3EDDA710B68FFDBE35158AF5E541D69591BB2AF4A4C4077784ACF3CF242142DC6A77810CF555EA543C65B3FA7833B0636910E017D4657DD70A50E4C7C97E6CBB8A0168B23CAEC726FF35748C01782D79057D60B877F93964FB83FC299BB2DD58930AFFE1FBD6A3B5CB06AE5AFF55CF3C960F5D77FC4A029D927D796B6ED33C21DEC2843C7F24B3338B94812F54CBADDCCAA23F5E4118835132BFFD6B11CF7453453AC08962884C36D57F887A5F29E7A4954A0305F01A56D6AAE8BA6C4B812961A233426A6F4886A49939FCBDCD52DDC0D3AA839B109DD86E7F822197FB097123B797772EFB0DF4FEF7003EC86F258C61DD7ED5F96BF7BE817392C5093B97277794DFC0310FD06658FBE7056E727DD7D59780641E37BE56C549F4D8F1391A2D574B83F9CFC111EE9526E95A7A0ECC8A07C4B3EF06D768AFADC5E5D89936EE06F0800B9DA','MANUAL','','',0,'SOFT',0,NULL,NULL,'','null','2026-11-30 08:03:45.546643','2026-11-30 08:03:46.080961','2026-11-30 08:03:46.080961');
INSERT INTO "servers" VALUES('9b987d29-c899-41b8-8e7d-790f77327574',3,'bcf5da660cbd442780a9e3baf5e6462c','1c73d0b07ea046429cff030cc2193ccc','s2','s2',NULL,'stopped','stopped',4,'vm-1','0ef75d53-e75f-4ec6-a5fb-bbbcbc87b5bb','east',NULL,NULL,NULL,1,128,'{"id": "old", "name": "m1.old", "description": null, "vcpus": 1, "memory_mib": 128, "root_gib": 1, "ephemeral_gib": 0, "swap_mib": 0, "rxtx_factor": "1.0", "is_public": true, "extra_specs": {}, "projects": []}','{"id": "84de041a-7ca4-4b3a-a8ef-076c02ae083c", "disk_format": "raw", "size_bytes": 1048576, "sha512": "d6292685b380e338e025b3415a90fe8f9d39a46e7bdba8cb78c50a338cefca741f69e4e46411c32de1afdedfb268e579a51f81ff85e56f55b0ee7c33fe8c25c9", "min_disk_gib": 0, "properties": {"hw_disk_bus": "virtio"}}','ann','ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQCTLrWcRDg1O6IF2X0fVsuOnBDexSfRbKo6P0glQ/4/EQN8X2p/1ILrD8uC33n4IXhI4iIADNkYTiGMb9qwLu80MGupeUlpMxUNokgdkmXjZ/XEPZlpMy94U4Em3cxr9ryu9cth3jPH8LZG0qOMnX5gYkfvuPCxqM38u6LJIekDa2zlc+62Ix6Tly2y6uMTkFzTeshSBbc2ynO5upn2CrGDdWpegVbr904eEFE5CBSvHuT9BC7nqaS4wZqUvlSFCXZEKEXOYd48FUqasoSDSiDUfjV0KoNkwmLqF8gzqBjGX1UUZ1T1kp7IckvvDny8qeeF+ZsezVI22Vaj6ydp+5Wf Generated-by-Nova','ssh',NULL,0,'{"n": "2"}','[]','[{"network_id": "d74ed24e-d79a-462d-9fd4-acd1fe11b86a"}]','[{"id": "76305bc8-f34a-4566-9e11-de3450920196", "network_id": "d74ed24e-d79a-462d-9fd4-acd1fe11b86a", "network_name": "lan", "mac_address": "fa:16:3e:aa:e6:c2", "fixed_ips": ["10.5.0.5"], "floating_ips": [], "preserve": false}]','["default"]','{}','r-hkk8rjvp',0,X'83FF163A6B9D2BBF91FC96AACFE8E7A019BDACF3D1209274E4DD1B4E3680BF1373E9B77328BE52C18D948571833BB4A82449F74415C0558BE06A6C1E3D4EE78071A76A5AFACBB19FBEF6E0F0DD1039C2E681CD023082896E33E78D335F3E933AE5FCE96CB6675A01325DF15CD8343035EA65F1AFE7DAFFB68DEE00E5ADABEFA02859D58EE02E82705DBDD631420E4174DAF64C92EA5B53F96E3063569486E2CE9C353F9A7911963C4D8C6D04D1FF8EA48BC4851A7F7531DBF43A2BED38EE0E9BA2746D8F60A6EF9318147DDBF6EE73CE9D72609BE98CF3FEE5EF5195F711FADBA72561F5017DA264168C8AD415BA1E351E12E4A1624B591906542DD066764804071A3DCED114CBCA974C9160797D2396BB06890A72A01E26372E376AB5B93026E6338195CB24A6807DE9E3AC237DEECE6BE23B931638DE51E34512C6DC6E155C1DED7B36C45AF87D86F63F22F9CAB251E93013A9BD80B3A081F7DD5370C79097C572DD003140F1F6469E9DEED463D133633BDAE5C40D573A7D5BAC1F12EF1437C1BDA2549EF2C4426443BD18C3E3E5AC5C9AC9952D30F2D327A226F76DD34E8882BE2FBDA3252C26423747C1C02345A6095B659106473F0F3386A4E5E1F4BDB29EF1C3E0835590B00BACC2D96E54ED6BDAD037B84E33F2A43F270E5820739457F56E05B6AE27A9590E0BF413DEC23FAF5CA6DB217525E5B80FAAB6BBB5635A24','MANUAL','','',0,'SOFT',0,NULL,NULL,'','null','2026-11-30 08:03:45.930456','2026-11-30 08:03:51.711139','2026-11-30 08:03:46.362868');
CREATE TABLE task_steps (
	id VARCHAR(36) NOT NULL, 
	task_id VARCHAR(36) NOT NULL, 
	position INTEGER NOT NULL, 
	step VARCHAR(64) NOT NULL, 
	attempt INTEGER NOT NULL, 
	started_at DATETIME NOT NULL, 
	finished_at DATETIME NOT NULL, 
	outcome VARCHAR(16) NOT NULL, 
	detail TEXT, 
	PRIMARY KEY (id)
);
INSERT INTO "task_steps" VALUES('60b27524-3d87-421b-9c2d-2339c9831cce','f8e7c683-fab0-449c-81ea-af8bf6c104fc',0,'schedule',0,'2026-11-30 08:03:45.165828','2026-11-30 08:03:45.357964','next','host vm-1: 2 hosts considered');
INSERT INTO "task_steps" VALUES('448e10f8-74c5-473d-995b-320a1909dcc4','f8e7c683-fab0-449c-81ea-af8bf6c104fc',1,'ports',0,'2026-11-30 08:03:45.370987','2026-11-30 08:03:45.439287','next','1 bound, 10.5.0.3');
INSERT INTO "task_steps" VALUES('742b7ad6-c1cf-4df7-aac6-0eed99f267f7','f8e7c683-fab0-449c-81ea-af8bf6c104fc',2,'spawn',0,'2026-11-30 08:03:45.441135','2026-11-30 08:03:45.457862','next',NULL);
INSERT INTO "task_steps" VALUES('8e3f3e62-3ad5-4bb1-9db6-0b4e9ad5f0f9','f8e7c683-fab0-449c-81ea-af8bf6c104fc',3,'wait_active',1,'2026-11-30 08:03:45.464158','2026-11-30 08:03:45.685684','done','running on vm-1');
INSERT INTO "task_steps" VALUES('7e39e2ac-681a-4e76-8137-5ee177e69e8a','2ad32f26-fea2-41dd-bfe6-522bc21979e2',0,'schedule',0,'2026-11-30 08:03:45.546643','2026-11-30 08:03:45.782028','next','host vm-2: 2 hosts considered, ServerGroupAntiAffinityFilter left 1');
INSERT INTO "task_steps" VALUES('b262c224-36d1-44a2-a245-bed33855aab4','2ad32f26-fea2-41dd-bfe6-522bc21979e2',1,'ports',0,'2026-11-30 08:03:45.783282','2026-11-30 08:03:45.855032','next','1 bound, 10.5.0.4');
INSERT INTO "task_steps" VALUES('c9a3dafe-0ab2-4d52-afe5-8d59da149889','2ad32f26-fea2-41dd-bfe6-522bc21979e2',2,'spawn',0,'2026-11-30 08:03:45.862710','2026-11-30 08:03:45.875610','next',NULL);
INSERT INTO "task_steps" VALUES('d34f098a-7231-4c4c-ad01-1b73d14c5ae2','2ad32f26-fea2-41dd-bfe6-522bc21979e2',3,'wait_active',1,'2026-11-30 08:03:45.882042','2026-11-30 08:03:46.074470','done','running on vm-2');
INSERT INTO "task_steps" VALUES('6f1f50e1-e9c3-44e8-9b32-8982e2c29e8f','cac69539-92bb-4d62-b578-722be6850850',0,'schedule',0,'2026-11-30 08:03:45.930456','2026-11-30 08:03:46.133031','next','host vm-1: 2 hosts considered');
INSERT INTO "task_steps" VALUES('ff9002d1-1864-4258-bf7a-835119fb74d9','cac69539-92bb-4d62-b578-722be6850850',1,'ports',0,'2026-11-30 08:03:46.134869','2026-11-30 08:03:46.184194','next','1 bound, 10.5.0.5');
INSERT INTO "task_steps" VALUES('f1cd1847-cef6-4d5a-8846-92d4603e739b','cac69539-92bb-4d62-b578-722be6850850',2,'spawn',0,'2026-11-30 08:03:46.186161','2026-11-30 08:03:46.196745','next',NULL);
INSERT INTO "task_steps" VALUES('f487fb8f-5393-4196-a635-9642d21d5dff','cac69539-92bb-4d62-b578-722be6850850',3,'wait_active',1,'2026-11-30 08:03:46.198594','2026-11-30 08:03:46.360561','done','running on vm-1');
INSERT INTO "task_steps" VALUES('5e3a7aab-c6d6-4bc9-afcd-ab6f5f6a6207','bc03732e-0be4-4218-b100-01fb9dc439e5',0,'schedule',0,'2026-11-30 08:03:46.458456','2026-11-30 08:03:46.583508','next','host vm-2: 2 hosts considered');
INSERT INTO "task_steps" VALUES('74b3b545-a4ba-4527-a930-ceefbfd82ae1','bc03732e-0be4-4218-b100-01fb9dc439e5',1,'ports',0,'2026-11-30 08:03:46.589760','2026-11-30 08:03:46.593039','next','0 bound, no address');
INSERT INTO "task_steps" VALUES('c0ef1f90-f404-452e-bd1e-ba08eb72473d','bc03732e-0be4-4218-b100-01fb9dc439e5',2,'spawn',0,'2026-11-30 08:03:46.594166','2026-11-30 08:03:46.602739','next',NULL);
INSERT INTO "task_steps" VALUES('41c023f5-776f-4220-9a2d-17e5c829b806','bc03732e-0be4-4218-b100-01fb9dc439e5',3,'wait_active',0,'2026-11-30 08:03:46.604291','2026-11-30 08:03:46.605902','done','running on vm-2');
INSERT INTO "task_steps" VALUES('1580d5ae-fdb6-473f-ba21-e3a7c4f7946d','1794cc9a-38af-40b6-84bd-a6ee8d72b25e',0,'stop_guest',0,'2026-11-30 08:03:49.509545','2026-11-30 08:03:49.521084','next',NULL);
INSERT INTO "task_steps" VALUES('a3c5d336-8897-4e4d-a605-5c1f4e70c4f5','1794cc9a-38af-40b6-84bd-a6ee8d72b25e',1,'release_ports',0,'2026-11-30 08:03:49.522136','2026-11-30 08:03:49.531085','next',NULL);
INSERT INTO "task_steps" VALUES('04cee3d2-f75e-4b24-8528-8cf00cd97660','1794cc9a-38af-40b6-84bd-a6ee8d72b25e',2,'release_claim',0,'2026-11-30 08:03:49.538521','2026-11-30 08:03:49.560231','next',NULL);
INSERT INTO "task_steps" VALUES('3a34f0fb-0666-48a7-afec-66bc4bc93a01','1794cc9a-38af-40b6-84bd-a6ee8d72b25e',3,'forget',0,'2026-11-30 08:03:49.561737','2026-11-30 08:03:49.568382','done',NULL);
INSERT INTO "task_steps" VALUES('8c7f6d75-16fa-470a-86e8-ee7cfdfb4023','c9e5469b-dd4a-45e0-a928-ff41a0cab5d4',0,'converge_power',0,'2026-11-30 08:03:51.598752','2026-11-30 08:03:51.711578','done',NULL);
CREATE TABLE tasks (
	id VARCHAR(36) NOT NULL, 
	program VARCHAR(64) NOT NULL, 
	step VARCHAR(64) NOT NULL, 
	subject_id VARCHAR(36) NOT NULL, 
	active_subject VARCHAR(36), 
	args JSON NOT NULL, 
	epoch INTEGER NOT NULL, 
	attempt INTEGER NOT NULL, 
	wake_at DATETIME NOT NULL, 
	lease_until DATETIME, 
	deadline_at DATETIME NOT NULL, 
	step_started_at DATETIME NOT NULL, 
	error TEXT, 
	rolling_back BOOLEAN NOT NULL, 
	request_id VARCHAR(64) NOT NULL, 
	user_id VARCHAR(64) NOT NULL, 
	project_id VARCHAR(64) NOT NULL, 
	created_at DATETIME NOT NULL, 
	finished_at DATETIME, 
	outcome VARCHAR(16), 
	PRIMARY KEY (id), 
	UNIQUE (active_subject)
);
INSERT INTO "tasks" VALUES('f8e7c683-fab0-449c-81ea-af8bf6c104fc','build','wait_active','742a2343-b301-4d82-894a-46a4ecdf7ba3',NULL,'{"token_issued_at": "2026-11-30T08:03:43.825359+00:00", "host": "vm-1", "cell": "", "ports": {"spec": [{"id": "7ae729b9-cdc1-4cce-914b-0e29f7af5041", "network_id": "d74ed24e-d79a-462d-9fd4-acd1fe11b86a", "mac_address": "fa:16:3e:ac:49:62", "mtu": 1450, "tap": "tap7ae729b9-cd", "vnic_type": "normal"}], "metadata": [{"port_id": "7ae729b9-cdc1-4cce-914b-0e29f7af5041", "mac_address": "fa:16:3e:ac:49:62", "network_id": "d74ed24e-d79a-462d-9fd4-acd1fe11b86a", "mtu": 1450, "tap": "tap7ae729b9-cd", "fixed_ips": [{"ip_address": "10.5.0.3", "prefix_length": 24, "gateway_ip": "10.5.0.1", "dns_nameservers": ["9.9.9.9"], "host_routes": [], "dhcp": true}], "floating_ips": [], "link_type": "bridge"}]}, "runs": true, "unanswered": 0, "milestones": [{"what": "fetch_image", "started_at": "2026-11-30T08:03:45.457390Z", "finished_at": "2026-11-30T08:03:45.457420Z"}, {"what": "start_domain", "started_at": "2026-11-30T08:03:45.457456Z", "finished_at": "2026-11-30T08:03:45.457458Z"}]}',3,1,'2026-11-30 08:03:45.609446',NULL,'2026-11-30 08:13:45.165828','2026-11-30 08:03:45.464158',NULL,0,'req-96fa50e7-43c9-47bc-96da-cc8e950bbf41','1c73d0b07ea046429cff030cc2193ccc','bcf5da660cbd442780a9e3baf5e6462c','2026-11-30 08:03:45.165828','2026-11-30 08:03:45.687434','done');
INSERT INTO "tasks" VALUES('2ad32f26-fea2-41dd-bfe6-522bc21979e2','build','wait_active','1e4f74d0-a360-4200-9e00-15728b4821c8',NULL,'{"token_issued_at": "2026-11-30T08:03:43.825359+00:00", "host": "vm-2", "cell": "", "ports": {"spec": [{"id": "4fa4b66a-de29-4803-8e2f-98eb8962752c", "network_id": "d74ed24e-d79a-462d-9fd4-acd1fe11b86a", "mac_address": "fa:16:3e:d3:d8:9d", "mtu": 1450, "tap": "tap4fa4b66a-de", "vnic_type": "normal"}], "metadata": [{"port_id": "4fa4b66a-de29-4803-8e2f-98eb8962752c", "mac_address": "fa:16:3e:d3:d8:9d", "network_id": "d74ed24e-d79a-462d-9fd4-acd1fe11b86a", "mtu": 1450, "tap": "tap4fa4b66a-de", "fixed_ips": [{"ip_address": "10.5.0.4", "prefix_length": 24, "gateway_ip": "10.5.0.1", "dns_nameservers": ["9.9.9.9"], "host_routes": [], "dhcp": true}], "floating_ips": [], "link_type": "bridge"}]}, "runs": true, "unanswered": 0, "milestones": [{"what": "fetch_image", "started_at": "2026-11-30T08:03:45.875339Z", "finished_at": "2026-11-30T08:03:45.875365Z"}, {"what": "start_domain", "started_at": "2026-11-30T08:03:45.875397Z", "finished_at": "2026-11-30T08:03:45.875399Z"}]}',3,1,'2026-11-30 08:03:46.030741',NULL,'2026-11-30 08:13:45.546643','2026-11-30 08:03:45.882042',NULL,0,'req-eb174798-d767-4012-adcc-531f930002c7','1c73d0b07ea046429cff030cc2193ccc','bcf5da660cbd442780a9e3baf5e6462c','2026-11-30 08:03:45.546643','2026-11-30 08:03:46.075594','done');
INSERT INTO "tasks" VALUES('cac69539-92bb-4d62-b578-722be6850850','build','wait_active','9b987d29-c899-41b8-8e7d-790f77327574',NULL,'{"token_issued_at": "2026-11-30T08:03:43.825359+00:00", "host": "vm-1", "cell": "", "ports": {"spec": [{"id": "76305bc8-f34a-4566-9e11-de3450920196", "network_id": "d74ed24e-d79a-462d-9fd4-acd1fe11b86a", "mac_address": "fa:16:3e:aa:e6:c2", "mtu": 1450, "tap": "tap76305bc8-f3", "vnic_type": "normal"}], "metadata": [{"port_id": "76305bc8-f34a-4566-9e11-de3450920196", "mac_address": "fa:16:3e:aa:e6:c2", "network_id": "d74ed24e-d79a-462d-9fd4-acd1fe11b86a", "mtu": 1450, "tap": "tap76305bc8-f3", "fixed_ips": [{"ip_address": "10.5.0.5", "prefix_length": 24, "gateway_ip": "10.5.0.1", "dns_nameservers": ["9.9.9.9"], "host_routes": [], "dhcp": true}], "floating_ips": [], "link_type": "bridge"}]}, "runs": true, "unanswered": 0, "milestones": [{"what": "fetch_image", "started_at": "2026-11-30T08:03:46.196470Z", "finished_at": "2026-11-30T08:03:46.196498Z"}, {"what": "start_domain", "started_at": "2026-11-30T08:03:46.196529Z", "finished_at": "2026-11-30T08:03:46.196531Z"}]}',3,1,'2026-11-30 08:03:46.322436',NULL,'2026-11-30 08:13:45.930456','2026-11-30 08:03:46.198594',NULL,0,'req-71470897-93db-4eba-9018-3c1561cadc67','1c73d0b07ea046429cff030cc2193ccc','bcf5da660cbd442780a9e3baf5e6462c','2026-11-30 08:03:45.930456','2026-11-30 08:03:46.362123','done');
INSERT INTO "tasks" VALUES('bc03732e-0be4-4218-b100-01fb9dc439e5','build','wait_active','064c2f0e-9f3b-4cc6-b756-d3f41514cdd9',NULL,'{"token_issued_at": "2026-11-30T08:03:43.825359+00:00", "host": "vm-2", "cell": "", "ports": {"spec": [], "metadata": []}, "runs": true, "unanswered": 0, "milestones": [{"what": "fetch_image", "started_at": "2026-11-30T08:03:46.602495Z", "finished_at": "2026-11-30T08:03:46.602515Z"}, {"what": "start_domain", "started_at": "2026-11-30T08:03:46.602547Z", "finished_at": "2026-11-30T08:03:46.602549Z"}]}',2,0,'2026-11-30 08:03:46.604291',NULL,'2026-11-30 08:13:46.458456','2026-11-30 08:03:46.604291',NULL,0,'req-b4a36226-0cd4-43b7-b9d8-92adf09ffb29','1c73d0b07ea046429cff030cc2193ccc','bcf5da660cbd442780a9e3baf5e6462c','2026-11-30 08:03:46.458456','2026-11-30 08:03:46.606977','done');
INSERT INTO "tasks" VALUES('1794cc9a-38af-40b6-84bd-a6ee8d72b25e','destroy','forget','064c2f0e-9f3b-4cc6-b756-d3f41514cdd9',NULL,'{"token_issued_at": "2026-11-30T08:03:43.825359+00:00"}',4,0,'2026-11-30 08:03:49.561737',NULL,'2026-11-30 08:13:49.509545','2026-11-30 08:03:49.561737',NULL,0,'req-76bce1b0-5b2e-4e1d-8b88-2683461a274b','1c73d0b07ea046429cff030cc2193ccc','bcf5da660cbd442780a9e3baf5e6462c','2026-11-30 08:03:49.509545','2026-11-30 08:03:49.570041','done');
INSERT INTO "tasks" VALUES('c9e5469b-dd4a-45e0-a928-ff41a0cab5d4','stop','converge_power','9b987d29-c899-41b8-8e7d-790f77327574',NULL,'{"token_issued_at": "2026-11-30T08:03:43.825359+00:00"}',5,0,'2026-11-30 08:03:51.598752',NULL,'2026-11-30 08:06:51.598752','2026-11-30 08:03:51.598752',NULL,0,'req-416e0403-454a-457a-af43-8163db9cdade','1c73d0b07ea046429cff030cc2193ccc','bcf5da660cbd442780a9e3baf5e6462c','2026-11-30 08:03:51.598752','2026-11-30 08:03:51.717405','done');
CREATE INDEX server_groups_project ON server_groups (project_id, created_at);
CREATE INDEX server_history_deleted_at ON server_history (deleted_at);
CREATE INDEX server_history_project ON server_history (project_id, deleted_at);
CREATE INDEX servers_group ON servers (group_id);
CREATE INDEX servers_host ON servers (host, vm_state);
CREATE INDEX servers_project ON servers (project_id, created_at);
CREATE INDEX ix_task_steps_task_id ON task_steps (task_id);
CREATE INDEX tasks_due ON tasks (finished_at, wake_at);
CREATE INDEX tasks_subject ON tasks (subject_id);
CREATE INDEX server_mappings_cell ON server_mappings (cell_id, deleted_at);
CREATE INDEX server_mappings_group ON server_mappings (group_id);
CREATE INDEX server_mappings_use ON server_mappings (project_id, deleted_at, vcpus, memory_mib);
CREATE INDEX console_tokens_expires_at ON console_tokens (expires_at);
CREATE INDEX console_tokens_server ON console_tokens (server_id);
COMMIT;
