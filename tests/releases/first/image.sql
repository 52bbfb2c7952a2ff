BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0001');
CREATE TABLE image_members (
	image_id VARCHAR(36) NOT NULL, 
	member_id VARCHAR(255) NOT NULL, 
	status VARCHAR(16) NOT NULL, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	PRIMARY KEY (image_id, member_id), 
	FOREIGN KEY(image_id) REFERENCES images (id) ON DELETE CASCADE
);
CREATE TABLE image_properties (
	image_id VARCHAR(36) NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	value TEXT NOT NULL, 
	PRIMARY KEY (image_id, name), 
	FOREIGN KEY(image_id) REFERENCES images (id) ON DELETE CASCADE
);
INSERT INTO "image_properties" VALUES('84de041a-7ca4-4b3a-a8ef-076c02ae083c','hw_disk_bus','virtio');
CREATE TABLE image_tags (
	image_id VARCHAR(36) NOT NULL, 
	tag VARCHAR(255) NOT NULL, 
	PRIMARY KEY (image_id, tag), 
	FOREIGN KEY(image_id) REFERENCES images (id) ON DELETE CASCADE
);
INSERT INTO "image_tags" VALUES('84de041a-7ca4-4b3a-a8ef-076c02ae083c','old');
CREATE TABLE images (
	id VARCHAR(36) NOT NULL, 
	name VARCHAR(255), 
	status VARCHAR(16) NOT NULL, 
	visibility VARCHAR(16) NOT NULL, 
	protected BOOLEAN NOT NULL, 
	hidden BOOLEAN NOT NULL, 
	owner VARCHAR(255), 
	disk_format VARCHAR(32), 
	container_format VARCHAR(32), 
	min_disk_gib INTEGER NOT NULL, 
	min_ram_mib INTEGER NOT NULL, 
	size_bytes BIGINT, 
	virtual_size_bytes BIGINT, 
	checksum VARCHAR(32), 
	hash_algorithm VARCHAR(64), 
	hash_value VARCHAR(128), 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "images" VALUES('84de041a-7ca4-4b3a-a8ef-076c02ae083c','tiny','active','public',0,0,'6f071af640fa41c5ba985c25a39a2023','raw','bare',0,0,1048576,1048576,'b6d81b360a5672d80c27430f39153e2c','sha512','d6292685b380e338e025b3415a90fe8f9d39a46e7bdba8cb78c50a338cefca741f69e4e46411c32de1afdedfb268e579a51f81ff85e56f55b0ee7c33fe8c25c9','2026-11-30 08:03:44.003766','2026-11-30 08:03:44.093382');
INSERT INTO "images" VALUES('686506c7-8144-4e75-913f-333afcaeb674','queued','queued','shared',0,0,'bcf5da660cbd442780a9e3baf5e6462c','qcow2','bare',0,0,NULL,NULL,NULL,NULL,NULL,'2026-11-30 08:03:44.102606','2026-11-30 08:03:44.102606');
CREATE INDEX images_created_at ON images (created_at);
CREATE INDEX images_owner ON images (owner);
CREATE INDEX image_members_member ON image_members (member_id);
CREATE INDEX image_properties_name ON image_properties (name);
CREATE INDEX image_tags_tag ON image_tags (tag);
COMMIT;
