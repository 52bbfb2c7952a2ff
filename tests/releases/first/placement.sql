BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0002');
CREATE TABLE allocations (
	consumer_id VARCHAR(36) NOT NULL, 
	provider_id VARCHAR(36) NOT NULL, 
	resource_class VARCHAR(255) NOT NULL, 
	used INTEGER NOT NULL, 
	updated_at DATETIME NOT NULL, 
	PRIMARY KEY (consumer_id, provider_id, resource_class), 
	FOREIGN KEY(consumer_id) REFERENCES consumers (id), 
	FOREIGN KEY(provider_id, resource_class) REFERENCES inventories (provider_id, resource_class)
);
INSERT INTO "allocations" VALUES('742a2343-b301-4d82-894a-46a4ecdf7ba3','0ef75d53-e75f-4ec6-a5fb-bbbcbc87b5bb','VCPU',1,'2026-11-30 08:03:45.316200');
INSERT INTO "allocations" VALUES('742a2343-b301-4d82-894a-46a4ecdf7ba3','0ef75d53-e75f-4ec6-a5fb-bbbcbc87b5bb','MEMORY_MB',128,'2026-11-30 08:03:45.316200');
INSERT INTO "allocations" VALUES('742a2343-b301-4d82-894a-46a4ecdf7ba3','0ef75d53-e75f-4ec6-a5fb-bbbcbc87b5bb','DISK_GB',1,'2026-11-30 08:03:45.316200');
INSERT INTO "allocations" VALUES('1e4f74d0-a360-4200-9e00-15728b4821c8','c2382a06-a686-4448-aa37-394b3ca4923a','VCPU',1,'2026-11-30 08:03:45.761163');
INSERT INTO "allocations" VALUES('1e4f74d0-a360-4200-9e00-15728b4821c8','c2382a06-a686-4448-aa37-394b3ca4923a','MEMORY_MB',128,'2026-11-30 08:03:45.761163');
INSERT INTO "allocations" VALUES('1e4f74d0-a360-4200-9e00-15728b4821c8','c2382a06-a686-4448-aa37-394b3ca4923a','DISK_GB',1,'2026-11-30 08:03:45.761163');
INSERT INTO "allocations" VALUES('9b987d29-c899-41b8-8e7d-790f77327574','0ef75d53-e75f-4ec6-a5fb-bbbcbc87b5bb','VCPU',1,'2026-11-30 08:03:46.110424');
INSERT INTO "allocations" VALUES('9b987d29-c899-41b8-8e7d-790f77327574','0ef75d53-e75f-4ec6-a5fb-bbbcbc87b5bb','MEMORY_MB',128,'2026-11-30 08:03:46.110424');
INSERT INTO "allocations" VALUES('9b987d29-c899-41b8-8e7d-790f77327574','0ef75d53-e75f-4ec6-a5fb-bbbcbc87b5bb','DISK_GB',1,'2026-11-30 08:03:46.110424');
CREATE TABLE consumers (
	id VARCHAR(36) NOT NULL, 
	generation INTEGER NOT NULL, 
	project_id VARCHAR(255) NOT NULL, 
	user_id VARCHAR(255) NOT NULL, 
	consumer_type VARCHAR(255), 
	updated_at DATETIME NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "consumers" VALUES('742a2343-b301-4d82-894a-46a4ecdf7ba3',1,'bcf5da660cbd442780a9e3baf5e6462c','1c73d0b07ea046429cff030cc2193ccc','INSTANCE','2026-11-30 08:03:45.316200');
INSERT INTO "consumers" VALUES('1e4f74d0-a360-4200-9e00-15728b4821c8',1,'bcf5da660cbd442780a9e3baf5e6462c','1c73d0b07ea046429cff030cc2193ccc','INSTANCE','2026-11-30 08:03:45.761163');
INSERT INTO "consumers" VALUES('9b987d29-c899-41b8-8e7d-790f77327574',1,'bcf5da660cbd442780a9e3baf5e6462c','1c73d0b07ea046429cff030cc2193ccc','INSTANCE','2026-11-30 08:03:46.110424');
CREATE TABLE inventories (
	provider_id VARCHAR(36) NOT NULL, 
	resource_class VARCHAR(255) NOT NULL, 
	total INTEGER NOT NULL, 
	reserved INTEGER NOT NULL, 
	min_unit INTEGER NOT NULL, 
	max_unit INTEGER NOT NULL, 
	step_size INTEGER NOT NULL, 
	allocation_ratio FLOAT NOT NULL, 
	used BIGINT NOT NULL, 
	updated_at DATETIME NOT NULL, 
	PRIMARY KEY (provider_id, resource_class), 
	FOREIGN KEY(provider_id) REFERENCES providers (id) ON DELETE CASCADE
);
INSERT INTO "inventories" VALUES('0ef75d53-e75f-4ec6-a5fb-bbbcbc87b5bb','VCPU',16,0,1,16,1,4.0,2,'2026-11-30 08:03:42.662758');
INSERT INTO "inventories" VALUES('0ef75d53-e75f-4ec6-a5fb-bbbcbc87b5bb','MEMORY_MB',65536,512,1,65536,1,1.0,256,'2026-11-30 08:03:42.662758');
INSERT INTO "inventories" VALUES('0ef75d53-e75f-4ec6-a5fb-bbbcbc87b5bb','DISK_GB',1000,0,1,1000,1,1.0,2,'2026-11-30 08:03:42.662758');
INSERT INTO "inventories" VALUES('c2382a06-a686-4448-aa37-394b3ca4923a','VCPU',16,0,1,16,1,4.0,1,'2026-11-30 08:03:42.733217');
INSERT INTO "inventories" VALUES('c2382a06-a686-4448-aa37-394b3ca4923a','MEMORY_MB',65536,512,1,65536,1,1.0,128,'2026-11-30 08:03:42.733217');
INSERT INTO "inventories" VALUES('c2382a06-a686-4448-aa37-394b3ca4923a','DISK_GB',1000,0,1,1000,1,1.0,1,'2026-11-30 08:03:42.733217');
CREATE TABLE provider_aggregates (
	provider_id VARCHAR(36) NOT NULL, 
	aggregate_id VARCHAR(36) NOT NULL, 
	PRIMARY KEY (provider_id, aggregate_id), 
	FOREIGN KEY(provider_id) REFERENCES providers (id) ON DELETE CASCADE
);
CREATE TABLE provider_traits (
	provider_id VARCHAR(36) NOT NULL, 
	trait VARCHAR(255) NOT NULL, 
	PRIMARY KEY (provider_id, trait), 
	FOREIGN KEY(provider_id) REFERENCES providers (id) ON DELETE CASCADE
);
INSERT INTO "provider_traits" VALUES('0ef75d53-e75f-4ec6-a5fb-bbbcbc87b5bb','COMPUTE_FIRMWARE_BIOS');
INSERT INTO "provider_traits" VALUES('0ef75d53-e75f-4ec6-a5fb-bbbcbc87b5bb','COMPUTE_IMAGE_TYPE_ISO');
INSERT INTO "provider_traits" VALUES('0ef75d53-e75f-4ec6-a5fb-bbbcbc87b5bb','COMPUTE_IMAGE_TYPE_QCOW2');
INSERT INTO "provider_traits" VALUES('0ef75d53-e75f-4ec6-a5fb-bbbcbc87b5bb','COMPUTE_IMAGE_TYPE_RAW');
INSERT INTO "provider_traits" VALUES('0ef75d53-e75f-4ec6-a5fb-bbbcbc87b5bb','COMPUTE_IMAGE_TYPE_VDI');
INSERT INTO "provider_traits" VALUES('0ef75d53-e75f-4ec6-a5fb-bbbcbc87b5bb','COMPUTE_IMAGE_TYPE_VHD');
INSERT INTO "provider_traits" VALUES('0ef75d53-e75f-4ec6-a5fb-bbbcbc87b5bb','COMPUTE_IMAGE_TYPE_VHDX');
INSERT INTO "provider_traits" VALUES('0ef75d53-e75f-4ec6-a5fb-bbbcbc87b5bb','COMPUTE_IMAGE_TYPE_VMDK');
INSERT INTO "provider_traits" VALUES('0ef75d53-e75f-4ec6-a5fb-bbbcbc87b5bb','COMPUTE_NET_VIF_MODEL_E1000');
INSERT INTO "provider_traits" VALUES('0ef75d53-e75f-4ec6-a5fb-bbbcbc87b5bb','COMPUTE_NET_VIF_MODEL_E1000E');
INSERT INTO "provider_traits" VALUES('0ef75d53-e75f-4ec6-a5fb-bbbcbc87b5bb','COMPUTE_NET_VIF_MODEL_NE2K_PCI');
INSERT INTO "provider_traits" VALUES('0ef75d53-e75f-4ec6-a5fb-bbbcbc87b5bb','COMPUTE_NET_VIF_MODEL_PCNET');
INSERT INTO "provider_traits" VALUES('0ef75d53-e75f-4ec6-a5fb-bbbcbc87b5bb','COMPUTE_NET_VIF_MODEL_RTL8139');
INSERT INTO "provider_traits" VALUES('0ef75d53-e75f-4ec6-a5fb-bbbcbc87b5bb','COMPUTE_NET_VIF_MODEL_VIRTIO');
INSERT INTO "provider_traits" VALUES('0ef75d53-e75f-4ec6-a5fb-bbbcbc87b5bb','COMPUTE_NODE');
INSERT INTO "provider_traits" VALUES('0ef75d53-e75f-4ec6-a5fb-bbbcbc87b5bb','COMPUTE_STORAGE_BUS_VIRTIO');
INSERT INTO "provider_traits" VALUES('0ef75d53-e75f-4ec6-a5fb-bbbcbc87b5bb','HW_ARCH_X86_64');
INSERT INTO "provider_traits" VALUES('c2382a06-a686-4448-aa37-394b3ca4923a','COMPUTE_FIRMWARE_BIOS');
INSERT INTO "provider_traits" VALUES('c2382a06-a686-4448-aa37-394b3ca4923a','COMPUTE_IMAGE_TYPE_ISO');
INSERT INTO "provider_traits" VALUES('c2382a06-a686-4448-aa37-394b3ca4923a','COMPUTE_IMAGE_TYPE_QCOW2');
INSERT INTO "provider_traits" VALUES('c2382a06-a686-4448-aa37-394b3ca4923a','COMPUTE_IMAGE_TYPE_RAW');
INSERT INTO "provider_traits" VALUES('c2382a06-a686-4448-aa37-394b3ca4923a','COMPUTE_IMAGE_TYPE_VDI');
INSERT INTO "provider_traits" VALUES('c2382a06-a686-4448-aa37-394b3ca4923a','COMPUTE_IMAGE_TYPE_VHD');
INSERT INTO "provider_traits" VALUES('c2382a06-a686-4448-aa37-394b3ca4923a','COMPUTE_IMAGE_TYPE_VHDX');
INSERT INTO "provider_traits" VALUES('c2382a06-a686-4448-aa37-394b3ca4923a','COMPUTE_IMAGE_TYPE_VMDK');
INSERT INTO "provider_traits" VALUES('c2382a06-a686-4448-aa37-394b3ca4923a','COMPUTE_NET_VIF_MODEL_E1000');
INSERT INTO "provider_traits" VALUES('c2382a06-a686-4448-aa37-394b3ca4923a','COMPUTE_NET_VIF_MODEL_E1000E');
INSERT INTO "provider_traits" VALUES('c2382a06-a686-4448-aa37-394b3ca4923a','COMPUTE_NET_VIF_MODEL_NE2K_PCI');
INSERT INTO "provider_traits" VALUES('c2382a06-a686-4448-aa37-394b3ca4923a','COMPUTE_NET_VIF_MODEL_PCNET');
INSERT INTO "provider_traits" VALUES('c2382a06-a686-4448-aa37-394b3ca4923a','COMPUTE_NET_VIF_MODEL_RTL8139');
INSERT INTO "provider_traits" VALUES('c2382a06-a686-4448-aa37-394b3ca4923a','COMPUTE_NET_VIF_MODEL_VIRTIO');
INSERT INTO "provider_traits" VALUES('c2382a06-a686-4448-aa37-394b3ca4923a','COMPUTE_NODE');
INSERT INTO "provider_traits" VALUES('c2382a06-a686-4448-aa37-394b3ca4923a','COMPUTE_STORAGE_BUS_VIRTIO');
INSERT INTO "provider_traits" VALUES('c2382a06-a686-4448-aa37-394b3ca4923a','HW_ARCH_X86_64');
CREATE TABLE providers (
	id VARCHAR(36) NOT NULL, 
	name VARCHAR(200) NOT NULL, 
	generation INTEGER NOT NULL, 
	root_id VARCHAR(36) NOT NULL, 
	parent_id VARCHAR(36), 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, revision BIGINT DEFAULT '0' NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(parent_id) REFERENCES providers (id), 
	UNIQUE (name)
);
INSERT INTO "providers" VALUES('0ef75d53-e75f-4ec6-a5fb-bbbcbc87b5bb','vm-1',4,'0ef75d53-e75f-4ec6-a5fb-bbbcbc87b5bb',NULL,'2026-11-30 08:03:42.622200','2026-11-30 08:03:46.110424',12);
INSERT INTO "providers" VALUES('c2382a06-a686-4448-aa37-394b3ca4923a','vm-2',4,'c2382a06-a686-4448-aa37-394b3ca4923a',NULL,'2026-11-30 08:03:42.725581','2026-11-30 08:03:46.545448',15);
CREATE TABLE resource_classes (
	name VARCHAR(255) NOT NULL, 
	updated_at DATETIME NOT NULL, 
	PRIMARY KEY (name)
);
CREATE TABLE revisions (
	id INTEGER NOT NULL, 
	number BIGINT NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "revisions" VALUES(1,15);
CREATE TABLE traits (
	name VARCHAR(255) NOT NULL, 
	updated_at DATETIME NOT NULL, 
	PRIMARY KEY (name)
);
CREATE INDEX consumers_project_user ON consumers (project_id, user_id);
CREATE INDEX ix_providers_parent_id ON providers (parent_id);
CREATE INDEX ix_providers_root_id ON providers (root_id);
CREATE INDEX inventories_resource_class ON inventories (resource_class);
CREATE INDEX provider_aggregates_aggregate ON provider_aggregates (aggregate_id);
CREATE INDEX provider_traits_trait ON provider_traits (trait);
CREATE INDEX allocations_provider ON allocations (provider_id, resource_class);
CREATE INDEX ix_providers_revision ON providers (revision);
COMMIT;
