"""Configuration files as the guides write them, and what is said of those that cannot be used."""

from pathlib import Path

import pytest

from kilonova.cli.daemons.files import Read, read
from kilonova.cli.grounds.neighbours import credentials_of, identity_url
from kilonova.cli.parts.compute_agent import share_of
from kilonova.cli.parts.guest_options import guest_cpu
from kilonova.cli.parts.options import COMPUTE, IDENTITY, NETWORK, NETWORK_AGENT, Options
from kilonova.compute.agent.spec import HostInventory, HostShare
from kilonova.compute.catalog import quotas
from kilonova.compute.hosts.providers import inventory_of
from kilonova.kit.config import ConfigError

NOVA_CONF = """\
[DEFAULT]
enabled_apis = osapi_compute,metadata
transport_url = rabbit://openstack:RABBIT_PASS@controller
my_ip = 10.0.0.11
use_neutron = True
firewall_driver = nova.virt.firewall.NoopFirewallDriver

[api_database]
connection = mysql+pymysql://nova:NOVA_DBPASS@controller/nova_api

[database]
connection = mysql+pymysql://nova:NOVA_DBPASS@controller/nova

[api]
auth_strategy = keystone

[keystone_authtoken]
auth_uri = http://controller:5000
auth_url = http://controller:35357
memcached_servers = controller:11211
auth_type = password
project_domain_name = default
user_domain_name = default
project_name = service
username = nova
password = NOVA_PASS

[vnc]
enabled = true
vncserver_listen = $my_ip
vncserver_proxyclient_address = $my_ip

[glance]
api_servers = http://controller:9292

[oslo_concurrency]
lock_path = /var/lib/nova/tmp

[placement]
os_region_name = RegionOne
project_domain_name = Default
project_name = service
auth_type = password
user_domain_name = Default
auth_url = http://controller:35357/v3
username = placement
password = PLACEMENT_PASS

[neutron]
url = http://controller:9696
service_metadata_proxy = true
metadata_proxy_shared_secret = METADATA_SECRET

[service_user]
send_service_user_token = true
auth_url = https://controller/identity
"""


def read_text(
    tmp_path: Path,
    text: str,
    *tables: Options,
    name: str = "nova.conf",
    program: str = "nova-api",
    project: str = "nova",
) -> Read:
    path = tmp_path / name
    path.write_text(text)
    return read(program, project, tables or [COMPUTE], ["--config-file", str(path)])


def test_the_guides_nova_conf_is_read(tmp_path: Path) -> None:
    found = read_text(tmp_path, NOVA_CONF)
    config = found.config
    assert (config.my_ip, config.enabled_apis) == ("10.0.0.11", ["osapi_compute", "metadata"])
    assert config.database.connection == "mysql+pymysql://nova:NOVA_DBPASS@controller/nova"
    assert config.placement.region_name == "RegionOne"
    assert config.keystone_authtoken.www_authenticate_uri == "http://controller:5000"
    assert config.glance.api_servers == ["http://controller:9292"]
    assert config.neutron.metadata_proxy_shared_secret == "METADATA_SECRET"
    reasons = {entry.key: reason for entry, reason in found.idle}
    assert config.api_database.connection.endswith("/nova_api")
    assert {"neutron.url", "service_user.auth_url", "DEFAULT.use_neutron"} <= set(reasons)
    assert (config.vnc.server_listen, config.vnc.server_proxyclient_address) == ("10.0.0.11", "10.0.0.11")
    who = credentials_of(config.keystone_authtoken)
    assert (who.username, who.project_name, who.user_domain_id) == ("nova", "service", "default")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[DEFAULT]\nmy_ip = 1.2.3.4\nmy_pi = 1.2.3.4\n", "nova.conf:3: [DEFAULT] my_pi"),
        (
            "[keystone_authtoken]\nproject_domian_name = default\n",
            "nova.conf:2: [keystone_authtoken] project_domian_name",
        ),
        (
            "[DEFAULT]\n\n# a comment\nosapi_compute_listen_port = many\n",
            "nova.conf:4: [DEFAULT] osapi_compute_listen_port",
        ),
        ("[libvirt]\nvirt_type = xen\n", "[libvirt] virt_type"),
        ("my_ip\n", "nova-api: "),
    ],
)
def test_what_cannot_be_meant_is_named_with_file_and_line(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read_text(tmp_path, text)
    assert sentence in str(refused.value)


def test_everything_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    text = "[DEFAULT]\nvncserver_lisen = 1.2.3.4\nosapi_compute_listen_port = many\n[libvirt]\nvirt_type = xen\n"
    with pytest.raises(ConfigError) as refused:
        read_text(tmp_path, text)
    for place in ("nova.conf:2: ", "nova.conf:3: ", "nova.conf:5: "):
        assert place in str(refused.value)


def test_a_bad_value_in_an_old_spelling_is_named_where_it_stands(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nova\.conf:3: \[oslo_messaging_rabbit\] rabbit_port"):
        read_text(tmp_path, "[oslo_messaging_rabbit]\nrabbit_host = controller\nrabbit_port = default\n")


def test_what_another_daemon_of_the_project_reads_is_left_to_it(tmp_path: Path) -> None:
    text = "[nova]\nauth_url = http://controller:5000\n[DEFAULT]\nstate_path = /var/lib/neutron\n"
    found = read_text(tmp_path, text, NETWORK_AGENT, name="neutron.conf", project="neutron")
    assert found.idle == () and found.config.state_path == "/var/lib/neutron"
    with pytest.raises(ConfigError, match="options that do not exist"):
        read_text(tmp_path, text, IDENTITY, name="neutron.conf", project="keystone")


def test_the_default_places_of_each_daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kilonova.cli.daemons.files.ETC", tmp_path)
    for name in ("nova/nova.conf", "nova/nova-compute.conf", "neutron/neutron.conf", "neutron/metadata_agent.ini"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("[DEFAULT]\n")
    (tmp_path / "nova/nova-compute.conf").write_text("[libvirt]\nvirt_type = qemu\n")
    (tmp_path / "nova/nova.conf.d").mkdir()
    (tmp_path / "nova/nova.conf.d/10-address.conf").write_text("[DEFAULT]\nmy_ip = 10.0.0.31\n")
    found = read("nova-compute", "nova", [COMPUTE], [])
    assert [Path(each).name for each in found.files] == ["nova.conf", "nova-compute.conf", "10-address.conf"]
    assert (found.config.libvirt.virt_type, found.config.my_ip) == ("qemu", "10.0.0.31")
    assert read("nova-api", "nova", [COMPUTE], []).config.libvirt.virt_type == "auto"
    agent = read("neutron-metadata-agent", "neutron", [NETWORK_AGENT], [])
    assert [Path(each).name for each in agent.files] == ["neutron.conf", "metadata_agent.ini"]
    # Where placement is a part of nova, its options stand in nova's file.
    assert [Path(each).name for each in read("placement-api", "placement", [], []).files] == ["nova.conf"]
    with pytest.raises(ConfigError, match="glance/glance\\.conf"):
        read("glance-api", "glance", [], [])


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"missing\.conf"):
        read("nova-api", "nova", [COMPUTE], ["--config-file", str(tmp_path / "missing.conf")])


def test_the_brokers_old_options_belong_in_their_section(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    section = "[oslo_messaging_rabbit]\nrabbit_host = controller\nrabbit_userid = openstack\nrabbit_password = x\n"
    assert read_text(tmp_path, section).config.oslo_messaging_rabbit.rabbit_userid == "openstack"
    assert "deprecated" not in caplog.text
    assert read_text(tmp_path, "[DEFAULT]\nrabbit_host = x\n").config.oslo_messaging_rabbit.rabbit_host == "x"
    assert 'Use option "rabbit_host" from group "oslo_messaging_rabbit"' in caplog.text


def test_old_and_new_spellings_of_each_service(tmp_path: Path) -> None:
    text = "[DEFAULT]\nrabbit_host = controller\nrabbit_userid = openstack\nrabbit_password = x\nrpc_backend = rabbit\n"
    assert read_text(tmp_path, text + "verbose = True\n").config.oslo_messaging_rabbit.rabbit_host == "controller"
    linuxbridge = "[linux_bridge]\nphysical_interface_mappings = provider:eth1\n[vxlan]\nenable_vxlan = true\n"
    linuxbridge += "local_ip = 10.0.0.31\nl2_population = true\n[securitygroup]\nenable_security_group = true\n"
    linuxbridge += "firewall_driver = neutron.agent.linux.iptables_firewall.IptablesFirewallDriver\n"
    config = read_text(tmp_path, linuxbridge, NETWORK_AGENT, name="linuxbridge_agent.ini", project="neutron").config
    assert config.linux_bridge.physical_interface_mappings == {"provider": "eth1"}
    ml2 = "[ml2]\ntype_drivers = flat,vlan,vxlan\ntenant_network_types = vxlan\nmechanism_drivers = linuxbridge\n"
    ml2 += "extension_drivers = port_security\n[ml2_type_flat]\nflat_networks = provider\n"
    ml2 += "[ml2_type_vxlan]\nvni_ranges = 1:1000\n[securitygroup]\nenable_ipset = true\n"
    found = read_text(tmp_path, ml2, NETWORK, name="ml2_conf.ini", project="neutron")
    assert found.config.ml2_type_flat.flat_networks == ["provider"]
    keystone = "[database]\nconnection = mysql+pymysql://keystone:x@controller/keystone\n[token]\nprovider = uuid\n"
    found = read_text(tmp_path, keystone, IDENTITY, project="keystone")
    assert [(entry.key, reason) for entry, reason in found.idle] == [
        ("token.provider", "tokens are always Fernet tokens")
    ]


@pytest.mark.parametrize(
    "url",
    ["http://controller:5000", "http://controller:5000/", "http://controller:5000/v3", "http://controller:5000/v3/"],
)
def test_identity_is_named_with_or_without_its_version(url: str) -> None:
    assert identity_url(url) == "http://controller:5000"


def test_a_service_without_a_user_is_told_which_option_is_missing(tmp_path: Path) -> None:
    config = read_text(tmp_path, "[keystone_authtoken]\nusername = nova\n").config
    with pytest.raises(ConfigError, match="password is missing"):
        credentials_of(config.keystone_authtoken)
    config = read_text(
        tmp_path, "[keystone_authtoken]\nusername = nova\npassword = x\nuser_domain_name = ldap\n"
    ).config
    with pytest.raises(ConfigError, match="ldap"):
        credentials_of(config.keystone_authtoken)


REAL_NOVA_CONF = """\
[DEFAULT]
my_ip = 10.0.0.31
cpu_allocation_ratio = 16.0
ram_allocation_ratio = 1.5
disk_allocation_ratio = 1.0
initial_cpu_allocation_ratio = 4.0
reserved_host_memory_mb = 2048
reserved_host_disk_mb = 10240
resume_guests_state_on_host_boot = true
instance_usage_audit = true
allow_resize_to_same_host = true

[filter_scheduler]
enabled_filters = ComputeFilter,AvailabilityZoneFilter,ImagePropertiesFilter
available_filters = nova.scheduler.filters.all_filters

[libvirt]
virt_type = kvm
cpu_mode = custom
cpu_models = Cascadelake-Server-noTSX
images_type = qcow2

[quota]
instances = 50
cores = -1
ram = 102400

[pci]
device_spec = {"vendor_id": "10de"}

[cinder]
catalog_info = volumev3:cinderv3:internalURL
os_region_name = RegionOne

[upgrade_levels]
compute = auto

[oslo_messaging_notifications]
driver = noop
"""


def test_a_nova_conf_of_a_cloud_that_runs_is_read(tmp_path: Path) -> None:
    path = tmp_path / "nova.conf"
    path.write_text(REAL_NOVA_CONF)
    found = read("nova-compute", "nova", [COMPUTE], ["--config-file", str(path)])
    assert (found.config.cpu_allocation_ratio, found.config.reserved_host_memory_mb) == (16.0, 2048)
    assert (found.config.quota.instances, found.config.quota.cores) == (50, -1)
    assert found.config.libvirt.cpu_models == ["Cascadelake-Server-noTSX"]
    idle = {f"{entry.group}.{entry.name}" for entry, _reason in found.idle}
    assert {"pci.device_spec", "cinder.catalog_info"} <= idle
    assert "filter_scheduler.enabled_filters" not in idle
    assert all(reason for _entry, reason in found.idle)


def test_a_host_offers_what_its_file_says() -> None:
    share = HostShare(
        cpu_allocation_ratio=16.0, ram_allocation_ratio=1.5, reserved_memory_mib=2048, reserved_disk_gib=10
    )
    host = HostInventory("h", "10.0.0.1", "QEMU", 7, 8, 16384, 100, {}, (), share=share)
    found = inventory_of(host)
    assert (found["VCPU"].allocation_ratio, found["VCPU"].total) == (16.0, 8)
    assert (found["MEMORY_MB"].allocation_ratio, found["MEMORY_MB"].reserved) == (1.5, 2048)
    assert found["DISK_GB"].reserved == 10


def test_a_ratio_that_is_not_set_is_the_initial_one(tmp_path: Path) -> None:
    path = tmp_path / "nova.conf"
    path.write_text(
        "[DEFAULT]\ncpu_allocation_ratio = 2.0\nram_allocation_ratio = 0.0\ninitial_ram_allocation_ratio = 1.5\n"
    )
    share = share_of(read("nova-compute", "nova", [COMPUTE], ["--config-file", str(path)]).config)
    assert (share.cpu_allocation_ratio, share.ram_allocation_ratio, share.disk_allocation_ratio) == (2.0, 1.5, 1.0)
    assert share.initial_ratios == ("MEMORY_MB", "DISK_GB")


def test_quotas_of_the_file_are_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quotas, "DEFAULTS", dict(quotas.DEFAULTS))
    quotas.set_defaults({"instances": 50})
    assert quotas.DEFAULTS["instances"] == 50
    with pytest.raises(KeyError, match="elephants"):
        quotas.set_defaults({"elephants": 1})


@pytest.mark.parametrize(
    ("lines", "is_good"),
    [
        ("cpu_mode = custom\ncpu_models = Haswell", True),
        ("cpu_mode = custom", False),
        ("cpu_mode = none\ncpu_models = Haswell", False),
        ("cpu_mode = host-passthrough", True),
    ],
)
def test_a_model_of_a_processor_is_named_where_it_is_used(tmp_path: Path, lines: str, is_good: bool) -> None:
    path = tmp_path / "nova.conf"
    path.write_text(f"[libvirt]\n{lines}\n")
    config = read("nova-compute", "nova", [COMPUTE], ["--config-file", str(path)]).config
    if is_good:
        assert guest_cpu(config).mode == config.libvirt.cpu_mode
    else:
        with pytest.raises(ConfigError, match="cpu_models"):
            guest_cpu(config)
