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
    - openstack.cloud.server_action: {name: $N-server, action: pause, timeout: 60}
    - openstack.cloud.server_action: {name: $N-server, action: unpause, timeout: 60}
    - openstack.cloud.server_action: {name: $N-server, action: suspend, timeout: 60}
    - openstack.cloud.server_action: {name: $N-server, action: resume, timeout: 60}
    - openstack.cloud.server_action: {name: $N-server, action: lock, timeout: 60}
    - openstack.cloud.server_action: {name: $N-server, action: unlock, timeout: 60}
    - openstack.cloud.server_action: {name: $N-server, action: reboot_soft, timeout: 60}
    - openstack.cloud.server_action: {name: $N-server, action: reboot_hard, timeout: 60}
    - openstack.cloud.server_action: {name: $N-server, action: rebuild, image: demo-guest, timeout: 60}
    - openstack.cloud.server_action: {name: $N-server, action: rebuild, image: demo-guest, admin_password: secret-1234, timeout: 60}
    - openstack.cloud.server_action: {name: $N-server, action: shelve, timeout: 60}
    - openstack.cloud.server_action: {name: $N-server, action: shelve_offload, timeout: 60}
    - openstack.cloud.server_action: {name: $N-server, action: unshelve, all_projects: true, timeout: 60}
    - openstack.cloud.server_metadata: {server: $N-server, metadata: {colour: red}, state: absent}
    - openstack.cloud.server_info: {detailed: true, all_projects: true, filters: {status: ACTIVE}}
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
    - openstack.cloud.compute_flavor: {name: $N-flavor, ram: 64, vcpus: 1, disk: 1, extra_specs: {"a:b": d}}
    - openstack.cloud.compute_flavor: {name: $N-flavor, state: absent}
    - openstack.cloud.compute_flavor: {name: $N-own, ram: 128, vcpus: 1, disk: 1, ephemeral: 1, swap: 1, is_public: false}
    - openstack.cloud.compute_flavor_access: {name: $N-own, project: demo}
    - openstack.cloud.compute_flavor_info: {name: $N-own}
    - openstack.cloud.compute_flavor_access: {name: $N-own, project: demo, state: absent}
    - openstack.cloud.compute_flavor: {name: $N-own, state: absent}
    - openstack.cloud.image: {name: $N-image, disk_format: raw, container_format: bare, filename: key.pub}
    - openstack.cloud.image: {name: $N-image, state: absent}
    - openstack.cloud.host_aggregate: {name: $N-aggregate, availability_zone: $N-zone, metadata: {a: b}}
    - openstack.cloud.host_aggregate: {name: $N-aggregate, state: absent}
    - openstack.cloud.server_group: {name: $N-servers, policy: anti-affinity, rules: {max_server_per_host: 1}}
      register: group
    - openstack.cloud.server:
        name: $N-member
        image: demo-guest
        flavor: m1.nano
        network: $N-net
        auto_ip: false
        config_drive: true
        metadata: {colour: blue}
        scheduler_hints: {group: "{{ group.server_group.id }}"}
        tags: [one, two]
        timeout: 60
        userdata: "#!/bin/sh"
    - openstack.cloud.server:
        {name: $N-member, image: demo-guest, flavor: m1.nano, network: $N-net, auto_ip: false, metadata: {colour: green}, description: changed}
    - openstack.cloud.server: {name: $N-member, state: absent, timeout: 60}
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
