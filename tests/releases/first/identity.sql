BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0002');
CREATE TABLE assignments (
	user_id VARCHAR(64) NOT NULL, 
	target_kind VARCHAR(16) NOT NULL, 
	target_id VARCHAR(64) NOT NULL, 
	role_id VARCHAR(64) NOT NULL, 
	PRIMARY KEY (user_id, target_kind, target_id, role_id), 
	FOREIGN KEY(role_id) REFERENCES roles (id) ON DELETE CASCADE, 
	FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE
);
INSERT INTO "assignments" VALUES('d2f2472f65844f1fb2675ccdae73638f','system','system','6fd05858a9c54924becafe197fcebc93');
INSERT INTO "assignments" VALUES('d2f2472f65844f1fb2675ccdae73638f','project','6f071af640fa41c5ba985c25a39a2023','6fd05858a9c54924becafe197fcebc93');
INSERT INTO "assignments" VALUES('4f083c07a17b4f67ab2e26150fbf68fc','project','abd07960542341b389d5938492fbd21b','6fd05858a9c54924becafe197fcebc93');
INSERT INTO "assignments" VALUES('4f083c07a17b4f67ab2e26150fbf68fc','project','abd07960542341b389d5938492fbd21b','98ca15461f6445dbb49aaa3ee0f942ae');
INSERT INTO "assignments" VALUES('b2702741e22d43afbee28f1c77247423','project','abd07960542341b389d5938492fbd21b','6fd05858a9c54924becafe197fcebc93');
INSERT INTO "assignments" VALUES('b2702741e22d43afbee28f1c77247423','project','abd07960542341b389d5938492fbd21b','98ca15461f6445dbb49aaa3ee0f942ae');
INSERT INTO "assignments" VALUES('1d38ed322bab427dba2a94752cd409fa','project','abd07960542341b389d5938492fbd21b','6fd05858a9c54924becafe197fcebc93');
INSERT INTO "assignments" VALUES('1d38ed322bab427dba2a94752cd409fa','project','abd07960542341b389d5938492fbd21b','98ca15461f6445dbb49aaa3ee0f942ae');
INSERT INTO "assignments" VALUES('b71efe2f781644dfa757293d7849cb71','project','abd07960542341b389d5938492fbd21b','6fd05858a9c54924becafe197fcebc93');
INSERT INTO "assignments" VALUES('b71efe2f781644dfa757293d7849cb71','project','abd07960542341b389d5938492fbd21b','98ca15461f6445dbb49aaa3ee0f942ae');
INSERT INTO "assignments" VALUES('70c71abe53034421bdd0f572e2a9e464','project','9077596c062a4a278a90d6c37e0c502c','1d0a3f441eea42c6a6e557033b9eebce');
INSERT INTO "assignments" VALUES('1c73d0b07ea046429cff030cc2193ccc','project','bcf5da660cbd442780a9e3baf5e6462c','1d0a3f441eea42c6a6e557033b9eebce');
CREATE TABLE domains (
	id VARCHAR(64) NOT NULL, 
	name VARCHAR(64) NOT NULL, 
	description TEXT NOT NULL, 
	enabled BOOLEAN NOT NULL, 
	extra JSON NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (name)
);
INSERT INTO "domains" VALUES('default','Default','The default domain',1,'{}');
INSERT INTO "domains" VALUES('f824dd358c7b417b9aaefbfb8287faf7','Sales','a domain',1,'{}');
CREATE TABLE endpoints (
	id VARCHAR(64) NOT NULL, 
	service_id VARCHAR(64) NOT NULL, 
	interface VARCHAR(8) NOT NULL, 
	region_id VARCHAR(255), 
	url TEXT NOT NULL, 
	enabled BOOLEAN NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(region_id) REFERENCES regions (id), 
	FOREIGN KEY(service_id) REFERENCES services (id) ON DELETE CASCADE
);
INSERT INTO "endpoints" VALUES('2ce2b5c52151415c929af2e9475ba557','66107f283d8c460ba3f74365ce50c3b5','public','RegionOne','http://127.0.0.1:5000/v3',1);
INSERT INTO "endpoints" VALUES('6330298e9d2140cea6cd64359359bf57','66107f283d8c460ba3f74365ce50c3b5','internal','RegionOne','http://127.0.0.1:5000/v3',1);
INSERT INTO "endpoints" VALUES('9ef77b2df8cd4e129a1125001cf34f16','66107f283d8c460ba3f74365ce50c3b5','admin','RegionOne','http://127.0.0.1:5000/v3',1);
INSERT INTO "endpoints" VALUES('0af262d06bd741b0b651ba381c0f5588','f601abc594eb40c2ad78b58eb15bfad7','public','RegionOne','http://127.0.0.1:9292',1);
INSERT INTO "endpoints" VALUES('0204466d938342d7bae5e402cf1b245d','f601abc594eb40c2ad78b58eb15bfad7','internal','RegionOne','http://127.0.0.1:9292',1);
INSERT INTO "endpoints" VALUES('83d86d05968648a392ead77e57fddeff','f601abc594eb40c2ad78b58eb15bfad7','admin','RegionOne','http://127.0.0.1:9292',1);
INSERT INTO "endpoints" VALUES('4d976b514c32470989bd28b313fc9754','85226025c7cc4d18b041253ae9aea281','public','RegionOne','http://127.0.0.1:8778',1);
INSERT INTO "endpoints" VALUES('5d98df47d65f441cb430af1bf6af2a22','85226025c7cc4d18b041253ae9aea281','internal','RegionOne','http://127.0.0.1:8778',1);
INSERT INTO "endpoints" VALUES('39c239204ce74dd1970fea39fffb7006','85226025c7cc4d18b041253ae9aea281','admin','RegionOne','http://127.0.0.1:8778',1);
INSERT INTO "endpoints" VALUES('eeb6ab21bf2947758fcea34c8aed7836','3ddbe6007e624530a54f90577529ee3e','public','RegionOne','http://127.0.0.1:8774/v2.1',1);
INSERT INTO "endpoints" VALUES('d1b87ade974b458d95b0eaf6ab166116','3ddbe6007e624530a54f90577529ee3e','internal','RegionOne','http://127.0.0.1:8774/v2.1',1);
INSERT INTO "endpoints" VALUES('b8d757a7988a402bb63b2aad04234957','3ddbe6007e624530a54f90577529ee3e','admin','RegionOne','http://127.0.0.1:8774/v2.1',1);
INSERT INTO "endpoints" VALUES('5381e2404df24aacb9c56a6357517f5f','f3a17183f49846d0ad3520bff3c55f94','public','RegionOne','http://127.0.0.1:9696',1);
INSERT INTO "endpoints" VALUES('112e66079f2a4808a3972b0770cc9e10','f3a17183f49846d0ad3520bff3c55f94','internal','RegionOne','http://127.0.0.1:9696',1);
INSERT INTO "endpoints" VALUES('84ca202c24c64a21843e6f0aa747ef90','f3a17183f49846d0ad3520bff3c55f94','admin','RegionOne','http://127.0.0.1:9696',1);
CREATE TABLE group_assignments (
	group_id VARCHAR(64) NOT NULL, 
	target_kind VARCHAR(16) NOT NULL, 
	target_id VARCHAR(64) NOT NULL, 
	role_id VARCHAR(64) NOT NULL, 
	PRIMARY KEY (group_id, target_kind, target_id, role_id), 
	FOREIGN KEY(group_id) REFERENCES groups (id) ON DELETE CASCADE, 
	FOREIGN KEY(role_id) REFERENCES roles (id) ON DELETE CASCADE
);
INSERT INTO "group_assignments" VALUES('2f9aee552f7b4d78becbf21c1444d3d0','project','bcf5da660cbd442780a9e3baf5e6462c','327ea9762ef24702b2e797fdbfeae45f');
CREATE TABLE group_members (
	group_id VARCHAR(64) NOT NULL, 
	user_id VARCHAR(64) NOT NULL, 
	PRIMARY KEY (group_id, user_id), 
	FOREIGN KEY(group_id) REFERENCES groups (id) ON DELETE CASCADE, 
	FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE
);
INSERT INTO "group_members" VALUES('2f9aee552f7b4d78becbf21c1444d3d0','1c73d0b07ea046429cff030cc2193ccc');
CREATE TABLE groups (
	id VARCHAR(64) NOT NULL, 
	domain_id VARCHAR(64) NOT NULL, 
	name VARCHAR(64) NOT NULL, 
	description TEXT NOT NULL, 
	extra JSON NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(domain_id) REFERENCES domains (id), 
	UNIQUE (domain_id, name)
);
INSERT INTO "groups" VALUES('2f9aee552f7b4d78becbf21c1444d3d0','default','Shop','','{}');
CREATE TABLE implied_roles (
	prior_role_id VARCHAR(64) NOT NULL, 
	implied_role_id VARCHAR(64) NOT NULL, 
	PRIMARY KEY (prior_role_id, implied_role_id), 
	FOREIGN KEY(implied_role_id) REFERENCES roles (id) ON DELETE CASCADE, 
	FOREIGN KEY(prior_role_id) REFERENCES roles (id) ON DELETE CASCADE
);
INSERT INTO "implied_roles" VALUES('6fd05858a9c54924becafe197fcebc93','5eb7e85fde0e49d2a5767aca1d560347');
INSERT INTO "implied_roles" VALUES('5eb7e85fde0e49d2a5767aca1d560347','1d0a3f441eea42c6a6e557033b9eebce');
INSERT INTO "implied_roles" VALUES('1d0a3f441eea42c6a6e557033b9eebce','327ea9762ef24702b2e797fdbfeae45f');
CREATE TABLE projects (
	id VARCHAR(64) NOT NULL, 
	domain_id VARCHAR(64) NOT NULL, 
	parent_id VARCHAR(64), 
	name VARCHAR(64) NOT NULL, 
	description TEXT NOT NULL, 
	enabled BOOLEAN NOT NULL, 
	tags JSON NOT NULL, 
	extra JSON NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(domain_id) REFERENCES domains (id), 
	UNIQUE (domain_id, name)
);
INSERT INTO "projects" VALUES('6f071af640fa41c5ba985c25a39a2023','default',NULL,'admin','Bootstrap project for initializing the cloud.',1,'[]','{}');
INSERT INTO "projects" VALUES('abd07960542341b389d5938492fbd21b','default',NULL,'service','The services'' own users',1,'[]','{}');
INSERT INTO "projects" VALUES('9077596c062a4a278a90d6c37e0c502c','default',NULL,'demo','A project to try things in',1,'[]','{}');
INSERT INTO "projects" VALUES('bcf5da660cbd442780a9e3baf5e6462c','default',NULL,'Web','the web shop',1,'["blue"]','{}');
CREATE TABLE regions (
	id VARCHAR(255) NOT NULL, 
	description TEXT NOT NULL, 
	parent_region_id VARCHAR(255), 
	PRIMARY KEY (id)
);
INSERT INTO "regions" VALUES('RegionOne','',NULL);
CREATE TABLE revocations (
	id VARCHAR(36) NOT NULL, 
	audit_id VARCHAR(32), 
	user_id VARCHAR(64), 
	project_id VARCHAR(64), 
	issued_before DATETIME NOT NULL, 
	kept_until DATETIME NOT NULL, 
	PRIMARY KEY (id)
);
CREATE TABLE roles (
	id VARCHAR(64) NOT NULL, 
	domain_id VARCHAR(64) NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	description TEXT NOT NULL, 
	extra JSON NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (domain_id, name)
);
INSERT INTO "roles" VALUES('6fd05858a9c54924becafe197fcebc93','','admin','','{}');
INSERT INTO "roles" VALUES('5eb7e85fde0e49d2a5767aca1d560347','','manager','','{}');
INSERT INTO "roles" VALUES('1d0a3f441eea42c6a6e557033b9eebce','','member','','{}');
INSERT INTO "roles" VALUES('327ea9762ef24702b2e797fdbfeae45f','','reader','','{}');
INSERT INTO "roles" VALUES('98ca15461f6445dbb49aaa3ee0f942ae','','service','','{}');
CREATE TABLE services (
	id VARCHAR(64) NOT NULL, 
	type VARCHAR(255) NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	description TEXT NOT NULL, 
	enabled BOOLEAN NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "services" VALUES('66107f283d8c460ba3f74365ce50c3b5','identity','keystone','Identity',1);
INSERT INTO "services" VALUES('f601abc594eb40c2ad78b58eb15bfad7','image','glance','Image',1);
INSERT INTO "services" VALUES('85226025c7cc4d18b041253ae9aea281','placement','placement','Placement',1);
INSERT INTO "services" VALUES('3ddbe6007e624530a54f90577529ee3e','compute','nova','Compute',1);
INSERT INTO "services" VALUES('f3a17183f49846d0ad3520bff3c55f94','network','neutron','Network',1);
CREATE TABLE users (
	id VARCHAR(64) NOT NULL, 
	domain_id VARCHAR(64) NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	password_hash VARCHAR(255), 
	enabled BOOLEAN NOT NULL, 
	default_project_id VARCHAR(64), 
	extra JSON NOT NULL, 
	created_at DATETIME NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(domain_id) REFERENCES domains (id), 
	UNIQUE (domain_id, name)
);
INSERT INTO "users" VALUES('d2f2472f65844f1fb2675ccdae73638f','default','admin','$argon2id$v=19$m=19456,t=2,p=1$hj7N/8sGd+HQTZ6Mh+3uPw$j/O+xAwW7T0SOODoKnyrmvTFMaZR8/Vc6DbdB4vYxRE',1,NULL,'{}','2026-11-30 08:03:41.290414');
INSERT INTO "users" VALUES('4f083c07a17b4f67ab2e26150fbf68fc','default','nova','$argon2id$v=19$m=19456,t=2,p=1$ys0DGEM68+z+iRAJ637Vnw$NOhc/ZiJ2mU+72oi381qBAizbXbOTgNeEED8QY1PVGo',1,NULL,'{}','2026-11-30 08:03:41.302382');
INSERT INTO "users" VALUES('b2702741e22d43afbee28f1c77247423','default','glance','$argon2id$v=19$m=19456,t=2,p=1$gbstCK3f/5WqRlk6d5XqXg$f/fceXljstfQxHCArf9bFDczOO+XFygy6MAvKdqrMzw',1,NULL,'{}','2026-11-30 08:03:41.309054');
INSERT INTO "users" VALUES('1d38ed322bab427dba2a94752cd409fa','default','placement','$argon2id$v=19$m=19456,t=2,p=1$Jaen+TizEa1m2g2cd9k+8Q$u4AWk1VvzlRf/bKBKh4EbI9jokhGrC+qJmDRXLqcPC4',1,NULL,'{}','2026-11-30 08:03:41.310607');
INSERT INTO "users" VALUES('b71efe2f781644dfa757293d7849cb71','default','neutron','$argon2id$v=19$m=19456,t=2,p=1$/731vlOrHRWJGbO0HTJq0A$t9S5rKzJZuqv2VlYXcOEYZnqj8oa7JGs+7AinzrA4hA',1,NULL,'{}','2026-11-30 08:03:41.316771');
INSERT INTO "users" VALUES('70c71abe53034421bdd0f572e2a9e464','default','demo','$argon2id$v=19$m=19456,t=2,p=1$xguao0KAoJ7cXj+QkmhN+g$v9uKg+79uIHY8m2luKn2x+hCtelXQx8LAIec9xzfZl0',1,NULL,'{}','2026-11-30 08:03:41.318993');
INSERT INTO "users" VALUES('1c73d0b07ea046429cff030cc2193ccc','default','Ann','$argon2id$v=19$m=19456,t=2,p=1$IrbnvNx1h1Ebq5eZWpWpzw$H592bQPlMVsL+VZ5s7spi3nJWmB/1fxGGT+7YHQWzcg',1,'bcf5da660cbd442780a9e3baf5e6462c','{"email": "ann@example.org"}','2026-11-30 08:03:43.598773');
CREATE INDEX revocations_kept_until ON revocations (kept_until);
CREATE INDEX assignments_target ON assignments (target_kind, target_id);
CREATE INDEX group_members_user ON group_members (user_id);
CREATE INDEX group_assignments_target ON group_assignments (target_kind, target_id);
COMMIT;
