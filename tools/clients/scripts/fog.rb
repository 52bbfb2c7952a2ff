# fog-openstack, as Debian has it.
require "fog/openstack"

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
network = Fog::OpenStack::Network.new(options)
net = network.networks.create(name: "f-net")
subnet = network.subnets.create(name: "f-subnet", network_id: net.id, cidr: "10.60.0.0/24", ip_version: 4)
flavor = compute.flavors.find { |each| each.name == "m1.nano" }
image = compute.images.find { |each| each.name == "demo-guest" }
server = compute.servers.create(name: "f-server", flavor_ref: flavor.id, image_ref: image.id, nics: [{ net_id: net.id }])
server.wait_for(30) { ready? }
puts server.state, compute.servers.map(&:name).inspect, server.addresses.inspect
puts network.ports.size, network.security_groups.map(&:name).inspect
server.destroy
30.times { break unless compute.servers.find { |each| each.id == server.id }; sleep 0.3 }
subnet.destroy
net.destroy
identity = Fog::OpenStack::Identity.new(options)
puts identity.projects.map(&:name).inspect
puts Fog::OpenStack::Image.new(options).images.map(&:name).inspect
