# The modules of openstack.cloud, against the simulated cloud.
set -e
N=${PWD##*/}; N=${N//[.]/-}
cat > play.yaml <<PLAY
- hosts: localhost
  connection: local
  gather_facts: false
  vars: {ansible_python_interpreter: "{{ ansible_playbook_python }}"}
  tasks:
    - openstack.cloud.network: {name: $N-net}
    - openstack.cloud.subnet: {name: $N-subnet, network_name: $N-net, cidr: 10.59.0.0/24}
    - openstack.cloud.router: {name: $N-router, interfaces: [$N-subnet]}
    - openstack.cloud.security_group: {name: $N-group}
    - openstack.cloud.security_group_rule: {security_group: $N-group, protocol: tcp, port_range_min: 22, port_range_max: 22}
    - openstack.cloud.keypair: {name: $N-key}
    - openstack.cloud.server:
        {name: $N-server, image: demo-guest, flavor: m1.nano, network: $N-net, key_name: $N-key, security_groups: [$N-group], auto_ip: false, timeout: 60}
    - openstack.cloud.server_info: {name: $N-server}
    - openstack.cloud.networks_info: {}
    - openstack.cloud.image_info: {}
    - openstack.cloud.compute_flavor_info: {}
    - openstack.cloud.project_info: {}
    - openstack.cloud.quota: {name: demo, cores: 20}
    - openstack.cloud.server_metadata: {server: $N-server, metadata: {colour: red}}
    - openstack.cloud.server_action: {name: $N-server, action: stop, timeout: 60}
    - openstack.cloud.server_action: {name: $N-server, action: start, timeout: 60}
    - openstack.cloud.port: {name: $N-port, network: $N-net, fixed_ips: [{ip_address: 10.59.0.77}]}
    - openstack.cloud.port_info: {name: $N-port}
    - openstack.cloud.port: {name: $N-port, state: absent}
    - openstack.cloud.router: {name: $N-router, network: provider, interfaces: [$N-subnet]}
    - openstack.cloud.floating_ip: {server: $N-server, network: provider, nat_destination: $N-net}
    - openstack.cloud.floating_ip_info: {}
    - openstack.cloud.routers_info: {name: $N-router}
    - openstack.cloud.subnets_info: {name: $N-subnet}
    - openstack.cloud.security_group_rule_info: {security_group: $N-group}
    - openstack.cloud.compute_flavor: {name: $N-flavor, ram: 64, vcpus: 1, disk: 1, extra_specs: {"a:b": c}}
    - openstack.cloud.compute_flavor: {name: $N-flavor, state: absent}
    - openstack.cloud.image: {name: $N-image, disk_format: raw, container_format: bare, filename: key.pub}
    - openstack.cloud.image: {name: $N-image, state: absent}
    - openstack.cloud.host_aggregate: {name: $N-aggregate, availability_zone: $N-zone, metadata: {a: b}}
    - openstack.cloud.host_aggregate: {name: $N-aggregate, state: absent}
    - openstack.cloud.server_group: {name: $N-servers, policy: anti-affinity}
    - openstack.cloud.server_group: {name: $N-servers, state: absent}
    - openstack.cloud.project: {name: $N-project, domain: default}
    - openstack.cloud.identity_user: {name: $N-user, password: secret-1234, domain: default, default_project: $N-project}
    - openstack.cloud.identity_group: {name: $N-people, domain_id: default}
    - openstack.cloud.group_assignment: {user: $N-user, group: $N-people}
    - openstack.cloud.identity_role: {name: $N-role}
    - openstack.cloud.role_assignment: {user: $N-user, role: member, project: $N-project}
    - openstack.cloud.role_assignment: {user: $N-user, role: member, project: $N-project, state: absent}
    - openstack.cloud.identity_role: {name: $N-role, state: absent}
    - openstack.cloud.identity_group: {name: $N-people, domain_id: default, state: absent}
    - openstack.cloud.identity_user: {name: $N-user, domain: default, state: absent}
    - openstack.cloud.project: {name: $N-project, state: absent}
    - openstack.cloud.compute_service_info: {}
    - openstack.cloud.catalog_service_info: {}
    - openstack.cloud.identity_domain_info: {}
    - openstack.cloud.server: {name: $N-server, state: absent, timeout: 60, delete_ips: true}
    - openstack.cloud.keypair: {name: $N-key, state: absent}
    - openstack.cloud.router: {name: $N-router, state: absent}
    - openstack.cloud.network: {name: $N-net, state: absent}
    - openstack.cloud.security_group: {name: $N-group, state: absent}
PLAY
ansible-playbook -i localhost, play.yaml
