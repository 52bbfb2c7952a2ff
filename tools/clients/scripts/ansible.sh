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
    - openstack.cloud.quota: {name: demo, cores: 30}
    - openstack.cloud.server: {name: $N-server, state: absent, timeout: 60}
    - openstack.cloud.keypair: {name: $N-key, state: absent}
    - openstack.cloud.router: {name: $N-router, state: absent}
    - openstack.cloud.network: {name: $N-net, state: absent}
    - openstack.cloud.security_group: {name: $N-group, state: absent}
PLAY
ansible-playbook -i localhost, play.yaml
