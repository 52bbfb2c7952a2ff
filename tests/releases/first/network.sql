BEGIN TRANSACTION;
CREATE TABLE addresses (
	subnet_id VARCHAR(36) NOT NULL, 
	ip_address VARCHAR(64) NOT NULL, 
	port_id VARCHAR(36) NOT NULL, 
	network_id VARCHAR(36) NOT NULL, 
	position INTEGER NOT NULL, 
	number BIGINT, 
	PRIMARY KEY (subnet_id, ip_address), 
	FOREIGN KEY(port_id) REFERENCES ports (id) ON DELETE CASCADE, 
	FOREIGN KEY(subnet_id) REFERENCES subnets (id)
);
INSERT INTO "addresses" VALUES('9a44aaaf-94c7-490c-942f-a564d31a2f68','10.5.0.2','c4510be2-53e5-4578-96ee-ec4b5bfb9044','d74ed24e-d79a-462d-9fd4-acd1fe11b86a',0,2);
INSERT INTO "addresses" VALUES('d9802b79-67df-4783-944c-6be0d1229a5f','203.0.113.2','4821c73a-c3fe-4301-b9fa-90c9df981cc5','ef585b9f-ad00-4131-8b09-0f4f2bc6d5f7',0,2);
INSERT INTO "addresses" VALUES('9a44aaaf-94c7-490c-942f-a564d31a2f68','10.5.0.1','56b64860-37ec-4665-bd14-ca4bcd1b10e5','d74ed24e-d79a-462d-9fd4-acd1fe11b86a',0,1);
INSERT INTO "addresses" VALUES('9a44aaaf-94c7-490c-942f-a564d31a2f68','10.5.0.3','7ae729b9-cdc1-4cce-914b-0e29f7af5041','d74ed24e-d79a-462d-9fd4-acd1fe11b86a',0,3);
INSERT INTO "addresses" VALUES('9a44aaaf-94c7-490c-942f-a564d31a2f68','10.5.0.4','4fa4b66a-de29-4803-8e2f-98eb8962752c','d74ed24e-d79a-462d-9fd4-acd1fe11b86a',0,4);
INSERT INTO "addresses" VALUES('9a44aaaf-94c7-490c-942f-a564d31a2f68','10.5.0.5','76305bc8-f34a-4566-9e11-de3450920196','d74ed24e-d79a-462d-9fd4-acd1fe11b86a',0,5);
INSERT INTO "addresses" VALUES('d9802b79-67df-4783-944c-6be0d1229a5f','203.0.113.3','726641fe-cd1c-4d01-ad5b-042b176dc448','ef585b9f-ad00-4131-8b09-0f4f2bc6d5f7',0,3);
CREATE TABLE agents (
	id VARCHAR(36) NOT NULL, 
	binary VARCHAR(255) NOT NULL, 
	agent_type VARCHAR(255) NOT NULL, 
	host VARCHAR(255) NOT NULL, 
	availability_zone VARCHAR(255), 
	admin_state_up BOOLEAN NOT NULL, 
	description VARCHAR(255), 
	configurations JSON NOT NULL, 
	created_at DATETIME NOT NULL, 
	started_at DATETIME NOT NULL, answers_as VARCHAR(255) DEFAULT 'neutron-linuxbridge-agent' NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (agent_type, host)
);
INSERT INTO "agents" VALUES('851226ec-593f-49f4-9dc0-55b63ec7c5e3','neutron-linuxbridge-agent','Linux bridge agent','vm-1',NULL,1,NULL,'{}','2026-11-30 08:03:41.816232','2026-11-30 08:03:41.528801','neutron-linuxbridge-agent');
INSERT INTO "agents" VALUES('f0f5c82f-18a9-41e4-89e5-0d2d67f6b8eb','neutron-dhcp-agent','DHCP agent','vm-1','nova',1,NULL,'{}','2026-11-30 08:03:41.816232','2026-11-30 08:03:41.528801','neutron-linuxbridge-agent');
INSERT INTO "agents" VALUES('07693617-8b6d-4018-bafb-eb16a98964b1','neutron-l3-agent','L3 agent','vm-1','nova',1,NULL,'{}','2026-11-30 08:03:41.816232','2026-11-30 08:03:41.528801','neutron-linuxbridge-agent');
INSERT INTO "agents" VALUES('fb70ede3-b991-491d-87f6-b18e7de2cd54','neutron-metadata-agent','Metadata agent','vm-1',NULL,1,NULL,'{}','2026-11-30 08:03:41.816232','2026-11-30 08:03:41.528801','neutron-linuxbridge-agent');
INSERT INTO "agents" VALUES('823455e1-1b3d-4480-9506-543bd30585b9','neutron-linuxbridge-agent','Linux bridge agent','vm-2',NULL,1,NULL,'{}','2026-11-30 08:03:42.101720','2026-11-30 08:03:41.528914','neutron-linuxbridge-agent');
INSERT INTO "agents" VALUES('5f2d5f5b-8eca-46a2-81ff-c4fe1fc6d694','neutron-dhcp-agent','DHCP agent','vm-2','nova',1,NULL,'{}','2026-11-30 08:03:42.101720','2026-11-30 08:03:41.528914','neutron-linuxbridge-agent');
INSERT INTO "agents" VALUES('623ca5b5-a921-48e6-b539-5fc2bcbb27c9','neutron-l3-agent','L3 agent','vm-2','nova',1,NULL,'{}','2026-11-30 08:03:42.101720','2026-11-30 08:03:41.528914','neutron-linuxbridge-agent');
INSERT INTO "agents" VALUES('4b8e81e0-8bf0-4c0f-b01d-b3a3e3154495','neutron-metadata-agent','Metadata agent','vm-2',NULL,1,NULL,'{}','2026-11-30 08:03:42.101720','2026-11-30 08:03:41.528914','neutron-linuxbridge-agent');
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0003');
CREATE TABLE changes (
	revision INTEGER NOT NULL, 
	concerned VARCHAR(300) NOT NULL, 
	PRIMARY KEY (revision, concerned)
);
INSERT INTO "changes" VALUES(1,'host:vm-1');
INSERT INTO "changes" VALUES(1,'agents');
INSERT INTO "changes" VALUES(2,'host:vm-2');
INSERT INTO "changes" VALUES(2,'agents');
INSERT INTO "changes" VALUES(3,'network:ef585b9f-ad00-4131-8b09-0f4f2bc6d5f7');
INSERT INTO "changes" VALUES(3,'carriers');
INSERT INTO "changes" VALUES(4,'network:d74ed24e-d79a-462d-9fd4-acd1fe11b86a');
INSERT INTO "changes" VALUES(4,'carriers');
INSERT INTO "changes" VALUES(5,'ports:d74ed24e-d79a-462d-9fd4-acd1fe11b86a');
INSERT INTO "changes" VALUES(5,'host:vm-1');
INSERT INTO "changes" VALUES(6,'ports:d74ed24e-d79a-462d-9fd4-acd1fe11b86a');
INSERT INTO "changes" VALUES(6,'host:vm-1');
INSERT INTO "changes" VALUES(6,'carriers');
INSERT INTO "changes" VALUES(7,'carriers');
INSERT INTO "changes" VALUES(8,'ports:ef585b9f-ad00-4131-8b09-0f4f2bc6d5f7');
INSERT INTO "changes" VALUES(9,'router:071bb87d-d685-4080-8b2a-56fbe2f821e3');
INSERT INTO "changes" VALUES(10,'router:071bb87d-d685-4080-8b2a-56fbe2f821e3');
INSERT INTO "changes" VALUES(10,'ports:ef585b9f-ad00-4131-8b09-0f4f2bc6d5f7');
INSERT INTO "changes" VALUES(10,'host:vm-1');
INSERT INTO "changes" VALUES(11,'ports:d74ed24e-d79a-462d-9fd4-acd1fe11b86a');
INSERT INTO "changes" VALUES(11,'host:vm-1');
INSERT INTO "changes" VALUES(12,'group:d17244b4-2f59-4291-a34b-e46720b4d113');
INSERT INTO "changes" VALUES(13,'group:d17244b4-2f59-4291-a34b-e46720b4d113');
INSERT INTO "changes" VALUES(14,'ports:d74ed24e-d79a-462d-9fd4-acd1fe11b86a');
INSERT INTO "changes" VALUES(14,'members:05892c1d-f62e-4c3e-80c9-68801b11f467');
INSERT INTO "changes" VALUES(14,'host:vm-1');
INSERT INTO "changes" VALUES(15,'ports:d74ed24e-d79a-462d-9fd4-acd1fe11b86a');
INSERT INTO "changes" VALUES(15,'members:d17244b4-2f59-4291-a34b-e46720b4d113');
INSERT INTO "changes" VALUES(15,'host:vm-2');
INSERT INTO "changes" VALUES(16,'ports:d74ed24e-d79a-462d-9fd4-acd1fe11b86a');
INSERT INTO "changes" VALUES(16,'members:05892c1d-f62e-4c3e-80c9-68801b11f467');
INSERT INTO "changes" VALUES(16,'host:vm-1');
INSERT INTO "changes" VALUES(17,'ports:ef585b9f-ad00-4131-8b09-0f4f2bc6d5f7');
INSERT INTO "changes" VALUES(18,'router:071bb87d-d685-4080-8b2a-56fbe2f821e3');
CREATE TABLE compute_events (
	id VARCHAR(36) NOT NULL, 
	name VARCHAR(64) NOT NULL, 
	server_id VARCHAR(36) NOT NULL, 
	tag VARCHAR(64), 
	created_at DATETIME NOT NULL, 
	PRIMARY KEY (id)
);
CREATE TABLE floating_ips (
	id VARCHAR(36) NOT NULL, 
	project_id VARCHAR(64) NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	description VARCHAR(255) NOT NULL, 
	tags JSON NOT NULL, 
	revision_number INTEGER NOT NULL, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	floating_network_id VARCHAR(36) NOT NULL, 
	floating_ip_address VARCHAR(64) NOT NULL, 
	floating_port_id VARCHAR(36) NOT NULL, 
	fixed_port_id VARCHAR(36), 
	fixed_ip_address VARCHAR(64), 
	router_id VARCHAR(36), 
	status VARCHAR(16) NOT NULL, 
	dns_name VARCHAR(255) NOT NULL, 
	dns_domain VARCHAR(255) NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (fixed_port_id, fixed_ip_address), 
	UNIQUE (floating_network_id, floating_ip_address)
);
INSERT INTO "floating_ips" VALUES('cc68d394-78f2-4a62-a102-b2dd0dc8830d','bcf5da660cbd442780a9e3baf5e6462c','','','[]',2,'2026-11-30 08:03:54.724464','2026-11-30 08:03:54.789754','ef585b9f-ad00-4131-8b09-0f4f2bc6d5f7','203.0.113.3','726641fe-cd1c-4d01-ad5b-042b176dc448','7ae729b9-cdc1-4cce-914b-0e29f7af5041','10.5.0.3','071bb87d-d685-4080-8b2a-56fbe2f821e3','ACTIVE','','');
CREATE TABLE networks (
	id VARCHAR(36) NOT NULL, 
	project_id VARCHAR(64) NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	description VARCHAR(255) NOT NULL, 
	tags JSON NOT NULL, 
	revision_number INTEGER NOT NULL, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	admin_state_up BOOLEAN NOT NULL, 
	shared BOOLEAN NOT NULL, 
	external BOOLEAN NOT NULL, 
	is_default BOOLEAN NOT NULL, 
	port_security_enabled BOOLEAN NOT NULL, 
	mtu INTEGER NOT NULL, 
	network_type VARCHAR(16) NOT NULL, 
	physical_network VARCHAR(64), 
	segmentation_id INTEGER, 
	segment_key VARCHAR(128), 
	dns_domain VARCHAR(255) NOT NULL, 
	availability_zone_hints JSON NOT NULL, 
	dhcp_host VARCHAR(255), 
	PRIMARY KEY (id), 
	UNIQUE (segment_key)
);
INSERT INTO "networks" VALUES('ef585b9f-ad00-4131-8b09-0f4f2bc6d5f7','6f071af640fa41c5ba985c25a39a2023','public','','[]',1,'2026-11-30 08:03:44.266254','2026-11-30 08:03:44.266254',1,0,1,0,1,1500,'flat','provider',NULL,'flat/provider','','[]',NULL);
INSERT INTO "networks" VALUES('d74ed24e-d79a-462d-9fd4-acd1fe11b86a','bcf5da660cbd442780a9e3baf5e6462c','lan','','[]',1,'2026-11-30 08:03:44.328717','2026-11-30 08:03:44.328717',1,0,0,0,1,1450,'vxlan',NULL,1,'vxlan/1','','[]','vm-1');
CREATE TABLE port_security_groups (
	port_id VARCHAR(36) NOT NULL, 
	security_group_id VARCHAR(36) NOT NULL, 
	PRIMARY KEY (port_id, security_group_id), 
	FOREIGN KEY(port_id) REFERENCES ports (id) ON DELETE CASCADE, 
	FOREIGN KEY(security_group_id) REFERENCES security_groups (id)
);
INSERT INTO "port_security_groups" VALUES('7ae729b9-cdc1-4cce-914b-0e29f7af5041','05892c1d-f62e-4c3e-80c9-68801b11f467');
INSERT INTO "port_security_groups" VALUES('4fa4b66a-de29-4803-8e2f-98eb8962752c','d17244b4-2f59-4291-a34b-e46720b4d113');
INSERT INTO "port_security_groups" VALUES('76305bc8-f34a-4566-9e11-de3450920196','05892c1d-f62e-4c3e-80c9-68801b11f467');
CREATE TABLE ports (
	id VARCHAR(36) NOT NULL, 
	project_id VARCHAR(64) NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	description VARCHAR(255) NOT NULL, 
	tags JSON NOT NULL, 
	revision_number INTEGER NOT NULL, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	network_id VARCHAR(36) NOT NULL, 
	mac_address VARCHAR(32) NOT NULL, 
	admin_state_up BOOLEAN NOT NULL, 
	status VARCHAR(16) NOT NULL, 
	device_id VARCHAR(255) NOT NULL, 
	device_owner VARCHAR(255) NOT NULL, 
	host VARCHAR(255) NOT NULL, 
	vnic_type VARCHAR(64) NOT NULL, 
	binding_profile JSON NOT NULL, 
	port_security_enabled BOOLEAN NOT NULL, 
	allowed_address_pairs JSON NOT NULL, 
	extra_dhcp_opts JSON NOT NULL, 
	dns_name VARCHAR(255) NOT NULL, 
	dns_domain VARCHAR(255) NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(network_id) REFERENCES networks (id), 
	UNIQUE (network_id, mac_address)
);
INSERT INTO "ports" VALUES('c4510be2-53e5-4578-96ee-ec4b5bfb9044','bcf5da660cbd442780a9e3baf5e6462c','','','[]',1,'2026-11-30 08:03:44.455506','2026-11-30 08:03:44.455506','d74ed24e-d79a-462d-9fd4-acd1fe11b86a','fa:16:3e:9e:2c:74',1,'ACTIVE','dhcp5d66a93e-0fb7-57d3-ac15-9b80203ce8aa-d74ed24e-d79a-462d-9fd4-acd1fe11b86a','network:dhcp','vm-1','normal','{}',0,'[]','[]','','');
INSERT INTO "ports" VALUES('4821c73a-c3fe-4301-b9fa-90c9df981cc5','','','','[]',1,'2026-11-30 08:03:44.546052','2026-11-30 08:03:44.546052','ef585b9f-ad00-4131-8b09-0f4f2bc6d5f7','fa:16:3e:18:11:bb',1,'ACTIVE','071bb87d-d685-4080-8b2a-56fbe2f821e3','network:router_gateway','vm-1','normal','{}',0,'[]','[]','','');
INSERT INTO "ports" VALUES('56b64860-37ec-4665-bd14-ca4bcd1b10e5','bcf5da660cbd442780a9e3baf5e6462c','','','[]',1,'2026-11-30 08:03:44.665227','2026-11-30 08:03:44.665227','d74ed24e-d79a-462d-9fd4-acd1fe11b86a','fa:16:3e:a2:ee:60',1,'ACTIVE','071bb87d-d685-4080-8b2a-56fbe2f821e3','network:router_interface','vm-1','normal','{}',0,'[]','[]','','');
INSERT INTO "ports" VALUES('7ae729b9-cdc1-4cce-914b-0e29f7af5041','bcf5da660cbd442780a9e3baf5e6462c','','','[]',1,'2026-11-30 08:03:45.395035','2026-11-30 08:03:45.395035','d74ed24e-d79a-462d-9fd4-acd1fe11b86a','fa:16:3e:ac:49:62',1,'ACTIVE','742a2343-b301-4d82-894a-46a4ecdf7ba3','compute:east','vm-1','normal','{}',1,'[]','[]','s0','');
INSERT INTO "ports" VALUES('4fa4b66a-de29-4803-8e2f-98eb8962752c','bcf5da660cbd442780a9e3baf5e6462c','','','[]',1,'2026-11-30 08:03:45.806602','2026-11-30 08:03:45.806602','d74ed24e-d79a-462d-9fd4-acd1fe11b86a','fa:16:3e:d3:d8:9d',1,'ACTIVE','1e4f74d0-a360-4200-9e00-15728b4821c8','compute:nova','vm-2','normal','{}',1,'[]','[]','s1','');
INSERT INTO "ports" VALUES('76305bc8-f34a-4566-9e11-de3450920196','bcf5da660cbd442780a9e3baf5e6462c','','','[]',1,'2026-11-30 08:03:46.154118','2026-11-30 08:03:46.154118','d74ed24e-d79a-462d-9fd4-acd1fe11b86a','fa:16:3e:aa:e6:c2',1,'ACTIVE','9b987d29-c899-41b8-8e7d-790f77327574','compute:east','vm-1','normal','{}',1,'[]','[]','s2','');
INSERT INTO "ports" VALUES('726641fe-cd1c-4d01-ad5b-042b176dc448','','','','[]',1,'2026-11-30 08:03:54.724526','2026-11-30 08:03:54.724526','ef585b9f-ad00-4131-8b09-0f4f2bc6d5f7','fa:16:3e:9e:88:3b',1,'N/A','cc68d394-78f2-4a62-a102-b2dd0dc8830d','network:floatingip','','normal','{}',0,'[]','[]','','');
CREATE TABLE quotas (
	project_id VARCHAR(64) NOT NULL, 
	resource VARCHAR(64) NOT NULL, 
	"limit" INTEGER NOT NULL, 
	PRIMARY KEY (project_id, resource)
);
CREATE TABLE revisions (
	id INTEGER NOT NULL, 
	value INTEGER NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "revisions" VALUES(1,18);
CREATE TABLE routers (
	id VARCHAR(36) NOT NULL, 
	project_id VARCHAR(64) NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	description VARCHAR(255) NOT NULL, 
	tags JSON NOT NULL, 
	revision_number INTEGER NOT NULL, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	admin_state_up BOOLEAN NOT NULL, 
	status VARCHAR(16) NOT NULL, 
	gateway_port_id VARCHAR(36), 
	gateway_network_id VARCHAR(36), 
	enable_snat BOOLEAN NOT NULL, 
	routes JSON NOT NULL, 
	availability_zone_hints JSON NOT NULL, 
	host VARCHAR(255), 
	PRIMARY KEY (id)
);
INSERT INTO "routers" VALUES('071bb87d-d685-4080-8b2a-56fbe2f821e3','bcf5da660cbd442780a9e3baf5e6462c','gate','','[]',1,'2026-11-30 08:03:44.537547','2026-11-30 08:03:44.537547',1,'ACTIVE','4821c73a-c3fe-4301-b9fa-90c9df981cc5','ef585b9f-ad00-4131-8b09-0f4f2bc6d5f7',1,'[]','[]','vm-1');
CREATE TABLE security_group_rules (
	id VARCHAR(36) NOT NULL, 
	project_id VARCHAR(64) NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	description VARCHAR(255) NOT NULL, 
	tags JSON NOT NULL, 
	revision_number INTEGER NOT NULL, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	security_group_id VARCHAR(36) NOT NULL, 
	direction VARCHAR(8) NOT NULL, 
	ethertype VARCHAR(8) NOT NULL, 
	protocol VARCHAR(40), 
	port_range_min INTEGER, 
	port_range_max INTEGER, 
	remote_ip_prefix VARCHAR(64), 
	remote_group_id VARCHAR(36), 
	meaning VARCHAR(255) NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(remote_group_id) REFERENCES security_groups (id) ON DELETE CASCADE, 
	FOREIGN KEY(security_group_id) REFERENCES security_groups (id) ON DELETE CASCADE, 
	UNIQUE (security_group_id, meaning)
);
INSERT INTO "security_group_rules" VALUES('aec4e175-d500-4825-9827-d8a9676ae600','bcf5da660cbd442780a9e3baf5e6462c','','','[]',1,'2026-11-30 08:03:44.706700','2026-11-30 08:03:44.706700','05892c1d-f62e-4c3e-80c9-68801b11f467','egress','IPv4',NULL,NULL,NULL,NULL,NULL,'egress IPv4 * * * * *');
INSERT INTO "security_group_rules" VALUES('46509ab8-e9fe-4e21-91db-ae9261344c55','bcf5da660cbd442780a9e3baf5e6462c','','','[]',1,'2026-11-30 08:03:44.709035','2026-11-30 08:03:44.709035','05892c1d-f62e-4c3e-80c9-68801b11f467','egress','IPv6',NULL,NULL,NULL,NULL,NULL,'egress IPv6 * * * * *');
INSERT INTO "security_group_rules" VALUES('66f686d0-b232-47c2-be9d-152dcaf64ad0','bcf5da660cbd442780a9e3baf5e6462c','','','[]',1,'2026-11-30 08:03:44.709754','2026-11-30 08:03:44.709754','05892c1d-f62e-4c3e-80c9-68801b11f467','ingress','IPv4',NULL,NULL,NULL,NULL,'05892c1d-f62e-4c3e-80c9-68801b11f467','ingress IPv4 * * * * 05892c1d-f62e-4c3e-80c9-68801b11f467');
INSERT INTO "security_group_rules" VALUES('573a2b55-eab0-4c46-9f5d-2c92357b5a7c','bcf5da660cbd442780a9e3baf5e6462c','','','[]',1,'2026-11-30 08:03:44.710297','2026-11-30 08:03:44.710297','05892c1d-f62e-4c3e-80c9-68801b11f467','ingress','IPv6',NULL,NULL,NULL,NULL,'05892c1d-f62e-4c3e-80c9-68801b11f467','ingress IPv6 * * * * 05892c1d-f62e-4c3e-80c9-68801b11f467');
INSERT INTO "security_group_rules" VALUES('ab4a1f10-d97e-4315-abb3-a85ccd04d4b9','bcf5da660cbd442780a9e3baf5e6462c','','','[]',1,'2026-11-30 08:03:44.719992','2026-11-30 08:03:44.719992','d17244b4-2f59-4291-a34b-e46720b4d113','egress','IPv4',NULL,NULL,NULL,NULL,NULL,'egress IPv4 * * * * *');
INSERT INTO "security_group_rules" VALUES('f4b888e1-e654-4cc9-8332-01eda455eb25','bcf5da660cbd442780a9e3baf5e6462c','','','[]',1,'2026-11-30 08:03:44.720988','2026-11-30 08:03:44.720988','d17244b4-2f59-4291-a34b-e46720b4d113','egress','IPv6',NULL,NULL,NULL,NULL,NULL,'egress IPv6 * * * * *');
INSERT INTO "security_group_rules" VALUES('5788f0c9-0df2-4af1-ae09-1e514aa6ced0','bcf5da660cbd442780a9e3baf5e6462c','','','[]',1,'2026-11-30 08:03:44.745424','2026-11-30 08:03:44.745424','d17244b4-2f59-4291-a34b-e46720b4d113','ingress','IPv4','tcp',80,80,'0.0.0.0/0',NULL,'ingress IPv4 6 80 80 * *');
INSERT INTO "security_group_rules" VALUES('4a9dc353-88c0-4c75-af2a-8e70748b1359','bcf5da660cbd442780a9e3baf5e6462c','','','[]',1,'2026-11-30 08:03:44.793769','2026-11-30 08:03:44.793769','d17244b4-2f59-4291-a34b-e46720b4d113','ingress','IPv4','icmp',NULL,NULL,NULL,'d17244b4-2f59-4291-a34b-e46720b4d113','ingress IPv4 1 * * * d17244b4-2f59-4291-a34b-e46720b4d113');
INSERT INTO "security_group_rules" VALUES('822add06-d911-4910-aa92-77b7e935df8e','6f071af640fa41c5ba985c25a39a2023','','','[]',1,'2026-11-30 08:03:55.242494','2026-11-30 08:03:55.242494','f358f5ef-b2ac-4567-8342-6e116af7625a','egress','IPv4',NULL,NULL,NULL,NULL,NULL,'egress IPv4 * * * * *');
INSERT INTO "security_group_rules" VALUES('2f594971-4c28-4cb1-b14d-a47791191185','6f071af640fa41c5ba985c25a39a2023','','','[]',1,'2026-11-30 08:03:55.243194','2026-11-30 08:03:55.243194','f358f5ef-b2ac-4567-8342-6e116af7625a','egress','IPv6',NULL,NULL,NULL,NULL,NULL,'egress IPv6 * * * * *');
INSERT INTO "security_group_rules" VALUES('9f5ea4e5-41af-4cbe-9062-270190f15180','6f071af640fa41c5ba985c25a39a2023','','','[]',1,'2026-11-30 08:03:55.250613','2026-11-30 08:03:55.250613','f358f5ef-b2ac-4567-8342-6e116af7625a','ingress','IPv4',NULL,NULL,NULL,NULL,'f358f5ef-b2ac-4567-8342-6e116af7625a','ingress IPv4 * * * * f358f5ef-b2ac-4567-8342-6e116af7625a');
INSERT INTO "security_group_rules" VALUES('85af114a-997d-4174-a851-0ab2169168ca','6f071af640fa41c5ba985c25a39a2023','','','[]',1,'2026-11-30 08:03:55.251653','2026-11-30 08:03:55.251653','f358f5ef-b2ac-4567-8342-6e116af7625a','ingress','IPv6',NULL,NULL,NULL,NULL,'f358f5ef-b2ac-4567-8342-6e116af7625a','ingress IPv6 * * * * f358f5ef-b2ac-4567-8342-6e116af7625a');
CREATE TABLE security_groups (
	id VARCHAR(36) NOT NULL, 
	project_id VARCHAR(64) NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	description VARCHAR(255) NOT NULL, 
	tags JSON NOT NULL, 
	revision_number INTEGER NOT NULL, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	stateful BOOLEAN NOT NULL, 
	shared BOOLEAN NOT NULL, 
	default_of_project VARCHAR(64), 
	PRIMARY KEY (id), 
	UNIQUE (default_of_project)
);
INSERT INTO "security_groups" VALUES('05892c1d-f62e-4c3e-80c9-68801b11f467','bcf5da660cbd442780a9e3baf5e6462c','default','Default security group','[]',1,'2026-11-30 08:03:44.705280','2026-11-30 08:03:44.705280',1,0,'bcf5da660cbd442780a9e3baf5e6462c');
INSERT INTO "security_groups" VALUES('d17244b4-2f59-4291-a34b-e46720b4d113','bcf5da660cbd442780a9e3baf5e6462c','web','http','[]',3,'2026-11-30 08:03:44.715132','2026-11-30 08:03:44.715132',1,0,NULL);
INSERT INTO "security_groups" VALUES('f358f5ef-b2ac-4567-8342-6e116af7625a','6f071af640fa41c5ba985c25a39a2023','default','Default security group','[]',1,'2026-11-30 08:03:55.241767','2026-11-30 08:03:55.241767',1,0,'6f071af640fa41c5ba985c25a39a2023');
CREATE TABLE subnets (
	id VARCHAR(36) NOT NULL, 
	project_id VARCHAR(64) NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	description VARCHAR(255) NOT NULL, 
	tags JSON NOT NULL, 
	revision_number INTEGER NOT NULL, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	network_id VARCHAR(36) NOT NULL, 
	cidr VARCHAR(64) NOT NULL, 
	ip_version INTEGER NOT NULL, 
	gateway_ip VARCHAR(64), 
	enable_dhcp BOOLEAN NOT NULL, 
	ipv6_ra_mode VARCHAR(32), 
	ipv6_address_mode VARCHAR(32), 
	allocation_pools JSON NOT NULL, 
	dns_nameservers JSON NOT NULL, 
	host_routes JSON NOT NULL, 
	service_types JSON NOT NULL, 
	dns_publish_fixed_ip BOOLEAN NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(network_id) REFERENCES networks (id)
);
INSERT INTO "subnets" VALUES('d9802b79-67df-4783-944c-6be0d1229a5f','6f071af640fa41c5ba985c25a39a2023','','','[]',1,'2026-11-30 08:03:44.296215','2026-11-30 08:03:44.296215','ef585b9f-ad00-4131-8b09-0f4f2bc6d5f7','203.0.113.0/24',4,'203.0.113.1',0,NULL,NULL,'[{"start": "203.0.113.2", "end": "203.0.113.254"}]','[]','[]','[]',0);
INSERT INTO "subnets" VALUES('9a44aaaf-94c7-490c-942f-a564d31a2f68','bcf5da660cbd442780a9e3baf5e6462c','lan4','','[]',1,'2026-11-30 08:03:44.406601','2026-11-30 08:03:44.406601','d74ed24e-d79a-462d-9fd4-acd1fe11b86a','10.5.0.0/24',4,'10.5.0.1',1,NULL,NULL,'[{"start": "10.5.0.2", "end": "10.5.0.254"}]','["9.9.9.9"]','[]','[]',0);
CREATE INDEX floating_ips_project ON floating_ips (project_id);
CREATE INDEX floating_ips_router ON floating_ips (router_id);
CREATE INDEX networks_project ON networks (project_id);
CREATE INDEX routers_project ON routers (project_id);
CREATE INDEX security_groups_project ON security_groups (project_id);
CREATE INDEX ports_created ON ports (created_at, id);
CREATE INDEX ports_device ON ports (device_id);
CREATE INDEX ports_host ON ports (host);
CREATE INDEX ports_project ON ports (project_id);
CREATE INDEX security_group_rules_project ON security_group_rules (project_id);
CREATE INDEX ix_subnets_network_id ON subnets (network_id);
CREATE INDEX addresses_number ON addresses (subnet_id, number);
CREATE INDEX ix_addresses_port_id ON addresses (port_id);
CREATE INDEX port_security_groups_group ON port_security_groups (security_group_id);
COMMIT;
