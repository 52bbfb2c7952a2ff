# fog-openstack, as Debian has it.
require "fog/openstack"

N = File.basename(Dir.pwd)
options = {
  openstack_auth_url: ENV["OS_AUTH_URL"].sub(%r{/v3$}, ""),
  openstack_username: ENV["OS_USERNAME"],
  openstack_api_key: ENV["OS_PASSWORD"],
  openstack_project_name: ENV["OS_PROJECT_NAME"],
  openstack_domain_id: "default",
  openstack_region: ENV["OS_REGION_NAME"],
}
compute = Fog::OpenStack::Compute.new(options)
puts compute.flavors.map(&:name).inspect, compute.images.map(&:name).inspect
puts compute.hosts.map(&:host_name).inspect, compute.services.map(&:binary).inspect
puts compute.volumes.size, compute.snapshots.size, compute.addresses.size, compute.addresses.get_address_pools.inspect
puts compute.get_limits.body["limits"]["absolute"].size, compute.get_quota("admin").body.inspect
puts compute.key_pairs.create(name: "#{N}-key").fingerprint
network = Fog::OpenStack::Network.new(options)
net = network.networks.create(name: "#{N}-net")
subnet = network.subnets.create(name: "#{N}-subnet", network_id: net.id, cidr: "10.60.0.0/24", ip_version: 4)
router = network.routers.create(name: "#{N}-router")
network.add_router_interface(router.id, subnet.id)
group = network.security_groups.create(name: "#{N}-group")
network.security_group_rules.create(
  security_group_id: group.id, direction: "ingress", protocol: "tcp", port_range_min: 22, port_range_max: 22
)
flavor = compute.flavors.find { |each| each.name == "m1.nano" }
image = compute.images.find { |each| each.name == "demo-guest" }
puts image.metadata.size
server = compute.servers.create(
  name: "#{N}-server", flavor_ref: flavor.id, image_ref: image.id, nics: [{ net_id: net.id }], key_name: "#{N}-key",
  security_groups: ["#{N}-group"], metadata: { "a" => "b" }
)
server.wait_for(30) { ready? }
puts server.state, compute.servers.map(&:name).inspect, server.addresses.inspect
puts server.security_groups.map(&:name).inspect, server.volume_attachments.inspect, server.metadata.map(&:key).inspect
server.metadata.update("c" => "d")
compute.update_server(server.id, name: "#{N}-renamed")
server.console(5)
server.stop
server.wait_for(30) { state == "SHUTOFF" }
server.start
server.wait_for(30) { ready? }
server.reboot("HARD")
server.wait_for(30) { ready? }
puts network.ports.size, network.security_groups.map(&:name).inspect, network.floating_ips.size
server.destroy
30.times { break unless compute.servers.find { |each| each.id == server.id }; sleep 0.3 }
compute.key_pairs.get("#{N}-key").destroy
network.remove_router_interface(router.id, subnet.id)
[router, subnet, net, group].each(&:destroy)
identity = Fog::OpenStack::Identity.new(options)
puts identity.projects.map(&:name).inspect, identity.users.map(&:name).inspect, identity.roles.size
images = Fog::OpenStack::Image.new(options)
made = images.images.create(name: "#{N}-image", disk_format: "raw", container_format: "bare", visibility: "private")
puts compute.images.get(made.id).metadata.set("colour" => "red").inspect
compute.images.get(made.id).destroy
puts images.images.map(&:name).inspect
