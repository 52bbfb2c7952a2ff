"""The EC2 and OpenStack metadata trees, byte by byte."""

import base64
import json
from typing import Any

import msgspec
import pytest

from kilonova.compute.agent.metadata_tree import (
    EC2_VERSIONS,
    OPENSTACK_VERSIONS,
    config_drive_files,
    openstack_meta_data,
    render_path,
)
from kilonova.compute.agent.spec import MetadataDocument, MetadataPort, TaggedDevice

KEY = "ssh-ed25519 AAAAC3Nza demo@host"
PORT = MetadataPort(
    port_id="6a0f5b7e-1111-4222-8333-944445555666",
    mac_address="fa:16:3e:00:00:2a",
    network_id="7b1f5b7e-1111-4222-8333-944445555666",
    mtu=1450,
    tap="tap6a0f5b7e-11",
    fixed_ips=(
        {
            "ip_address": "10.0.0.5",
            "prefix_length": 24,
            "gateway_ip": "10.0.0.1",
            "dns_nameservers": ["9.9.9.9"],
            "host_routes": [{"destination": "10.9.0.0/16", "nexthop": "10.0.0.9"}],
            "dhcp": True,
        },
    ),
    floating_ips=("172.24.4.17",),
)
DOCUMENT = MetadataDocument(
    server_id="0e6cbd5a-4a3b-4c3c-9a34-1f0d7b1f6a11",
    name="web",
    hostname="web.novalocal",
    project_id="5c1f0e5b3e2f4d0c8f2a",
    availability_zone="nova",
    launch_index=0,
    reservation_id="r-4zfhbnqc",
    instance_type="m1.tiny",
    ami_id="ami-00000002",
    kernel_id=None,
    ramdisk_id=None,
    ec2_instance_id="i-0000002a",
    metadata={"role": "front"},
    public_keys={"demo": KEY},
    user_data=b"#!/bin/sh\necho hi\n",
    security_groups=("default", "web"),
    ports=(PORT,),
    random_seed=bytes(range(256)),
)


def with_changes(**changes: Any) -> MetadataDocument:
    return msgspec.structs.replace(DOCUMENT, **changes)


def get(path: str, document: MetadataDocument = DOCUMENT) -> str:
    body = render_path(document, path)
    assert body is not None, path
    return body.decode()


def test_the_root_lists_the_ec2_versions() -> None:
    expected = (
        "1.0\n2007-01-19\n2007-03-01\n2007-08-29\n2007-10-10\n2007-12-15\n2008-02-01\n2008-09-01\n2009-04-04\nlatest"
    )
    for path in ("", "/", "/ec2", "/ec2/"):
        assert get(path) == expected


def test_the_listing_of_the_newest_version_is_that_of_the_guides() -> None:
    expected = [
        "ami-id",
        "ami-launch-index",
        "ami-manifest-path",
        "block-device-mapping/",
        "hostname",
        "instance-action",
        "instance-id",
        "instance-type",
        "local-hostname",
        "local-ipv4",
        "placement/",
        "public-hostname",
        "public-ipv4",
        "public-keys/",
        "reservation-id",
        "security-groups",
    ]
    for path in ("/2009-04-04/meta-data", "/latest/meta-data/", "/ec2/latest/meta-data"):
        assert get(path).split("\n") == expected
    assert get("/latest") == "meta-data/\nuser-data"
    assert get("/latest", with_changes(user_data=None)) == "meta-data/"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("ami-id", "ami-00000002"),
        ("ami-launch-index", "0"),
        ("ami-manifest-path", "FIXME"),
        ("block-device-mapping/", "ami\nroot"),
        ("block-device-mapping/ami", "vda"),
        ("block-device-mapping/root", "/dev/vda"),
        ("hostname", "web.novalocal"),
        ("instance-action", "none"),
        ("instance-id", "i-0000002a"),
        ("instance-type", "m1.tiny"),
        ("local-hostname", "web.novalocal"),
        ("local-ipv4", "10.0.0.5"),
        ("placement/availability-zone", "nova"),
        ("public-hostname", "web.novalocal"),
        ("public-ipv4", "172.24.4.17"),
        ("public-keys/", "0=demo"),
        ("public-keys/0", "openssh-key"),
        ("public-keys/0/openssh-key", KEY),
        ("reservation-id", "r-4zfhbnqc"),
        ("security-groups", "default\nweb"),
    ],
)
def test_every_ec2_key_has_its_value(path: str, expected: str) -> None:
    assert get(f"/2009-04-04/meta-data/{path}") == expected


@pytest.mark.parametrize(
    ("version", "absent", "present"),
    [
        ("1.0", "local-hostname", "hostname"),
        ("2007-01-19", "instance-type", "public-ipv4"),
        ("2007-08-29", "block-device-mapping", "instance-type"),
        ("2007-12-15", "placement", "block-device-mapping"),
        ("2008-02-01", "instance-action", "placement"),
    ],
)
def test_older_ec2_versions_have_fewer_keys(version: str, absent: str, present: str) -> None:
    assert render_path(DOCUMENT, f"/{version}/meta-data/{absent}") is None
    assert render_path(DOCUMENT, f"/{version}/meta-data/{present}") is not None


def test_kernel_and_ramdisk_are_listed_when_the_image_has_them() -> None:
    assert render_path(DOCUMENT, "/latest/meta-data/kernel-id") is None
    document = with_changes(kernel_id="aki-1", ramdisk_id="ari-1")
    assert get("/latest/meta-data/kernel-id", document) == "aki-1"
    assert get("/latest/meta-data/ramdisk-id", document) == "ari-1"


def test_a_server_without_key_port_or_floating_ip_has_empty_values_and_no_keys() -> None:
    document = with_changes(public_keys={}, ports=(), security_groups=())
    assert "public-keys/" not in get("/latest/meta-data", document)
    for name in ("local-ipv4", "public-ipv4", "security-groups"):
        assert get(f"/latest/meta-data/{name}", document) == ""


def test_user_data_is_passed_on_unchanged_or_missing() -> None:
    document = with_changes(user_data=b"\x00\xff\n")
    for path in ("/latest/user-data", "/1.0/user-data", "/openstack/latest/user_data"):
        assert render_path(document, path) == b"\x00\xff\n"
        assert render_path(with_changes(user_data=None), path) is None


@pytest.mark.parametrize(
    "path",
    [
        "/2010-01-01",
        "/2009-04-04/meta-data/nothing",
        "/latest/meta-data/ami-id/deeper",
        "/latest/meta-data/public-keys/1",
        "/openstack/2099-01-01",
        "/openstack/latest/nothing",
        "/openstack/latest/meta_data.json/deeper",
        "/openstack/2012-08-10/network_data.json",
    ],
)
def test_what_does_not_exist_is_none(path: str) -> None:
    assert render_path(DOCUMENT, path) is None


def test_dots_in_a_path_lead_nowhere_else() -> None:
    assert get("/latest/../latest/meta-data/../meta-data/ami-id") == "ami-00000002"
    assert get("/../../latest/meta-data/ami-id") == "ami-00000002"


def test_the_openstack_tree_lists_versions_and_files() -> None:
    assert get("/openstack").split("\n") == [*OPENSTACK_VERSIONS, "latest"]
    assert get("/openstack/").split("\n")[0] == "2012-08-10"
    assert get("/openstack/2012-08-10") == "meta_data.json\nuser_data"
    assert get("/openstack/2013-04-04") == "meta_data.json\nuser_data\npassword"
    assert get("/openstack/latest/").split("\n") == [
        "meta_data.json",
        "user_data",
        "password",
        "vendor_data.json",
        "network_data.json",
        "vendor_data2.json",
    ]


def test_meta_data_json_has_everything_of_the_newest_version() -> None:
    assert json.loads(get("/openstack/latest/meta_data.json")) == {
        "uuid": DOCUMENT.server_id,
        "meta": {"role": "front"},
        "public_keys": {"demo": KEY},
        "keys": [{"name": "demo", "type": "ssh", "data": KEY}],
        "hostname": "web.novalocal",
        "name": "web",
        "launch_index": 0,
        "availability_zone": "nova",
        "random_seed": base64.b64encode(bytes(range(256))).decode(),
        "project_id": "5c1f0e5b3e2f4d0c8f2a",
        "devices": [],
        "dedicated_cpus": [],
    }


def test_devices_with_tags_are_found_by_what_the_guest_sees_of_them() -> None:
    devices = (
        TaggedDevice("nic", "front", mac_address="fa:16:3e:00:00:2a"),
        TaggedDevice("disk", "scratch", serial="ephemeral0", device="vdb"),
    )
    document = msgspec.structs.replace(DOCUMENT, devices=devices)
    unplaced = {"bus": "none", "address": "none"}
    assert openstack_meta_data(document, "2016-06-30")["devices"] == [
        {"type": "nic", **unplaced, "mac": "fa:16:3e:00:00:2a", "tags": ["front"]},
        {"type": "disk", **unplaced, "serial": "ephemeral0", "path": "/dev/vdb", "tags": ["scratch"]},
    ]
    assert "devices" not in openstack_meta_data(document, "2015-10-15")


def test_meta_data_json_of_the_oldest_version_has_what_that_one_had() -> None:
    found = json.loads(get("/openstack/2012-08-10/meta_data.json"))
    assert found.keys() == {
        "uuid",
        "meta",
        "public_keys",
        "hostname",
        "name",
        "launch_index",
        "availability_zone",
    }


def test_vendor_data_and_password_are_empty() -> None:
    assert json.loads(get("/openstack/latest/vendor_data.json")) == {}
    assert json.loads(get("/openstack/latest/vendor_data2.json")) == {"static": {}}
    assert get("/openstack/latest/password") == ""


def test_network_data_json_of_a_subnet_with_dhcp() -> None:
    assert json.loads(get("/openstack/latest/network_data.json")) == {
        "links": [
            {
                "id": "tap6a0f5b7e-11",
                "vif_id": PORT.port_id,
                "type": "bridge",
                "mtu": 1450,
                "ethernet_mac_address": "fa:16:3e:00:00:2a",
            }
        ],
        "networks": [
            {
                "id": "network0",
                "type": "ipv4_dhcp",
                "link": "tap6a0f5b7e-11",
                "network_id": PORT.network_id,
            }
        ],
        "services": [{"type": "dns", "address": "9.9.9.9"}],
    }


def test_network_data_json_of_subnets_without_dhcp_has_addresses_and_routes() -> None:
    four = {**PORT.fixed_ips[0], "dhcp": False}
    six = {
        "ip_address": "2001:db8::5",
        "prefix_length": 64,
        "gateway_ip": "2001:db8::1",
        "dns_nameservers": ["9.9.9.9", "2620:fe::fe"],
        "host_routes": [],
        "dhcp": False,
    }
    port = msgspec.structs.replace(PORT, fixed_ips=(four, six), link_type="ovs")
    found = json.loads(get("/openstack/latest/network_data.json", with_changes(ports=(port,))))
    dns = {"type": "dns", "address": "9.9.9.9"}
    dns6 = {"type": "dns", "address": "2620:fe::fe"}
    assert found["links"][0]["type"] == "ovs"
    assert found["networks"] == [
        {
            "id": "network0",
            "type": "ipv4",
            "link": "tap6a0f5b7e-11",
            "ip_address": "10.0.0.5",
            "netmask": "255.255.255.0",
            "routes": [
                {"network": "0.0.0.0", "netmask": "0.0.0.0", "gateway": "10.0.0.1"},
                {"network": "10.9.0.0", "netmask": "255.255.0.0", "gateway": "10.0.0.9"},
            ],
            "network_id": PORT.network_id,
            "services": [dns],
        },
        {
            "id": "network1",
            "type": "ipv6",
            "link": "tap6a0f5b7e-11",
            "ip_address": "2001:db8::5",
            "netmask": "ffff:ffff:ffff:ffff::",
            "routes": [{"network": "::", "netmask": "::", "gateway": "2001:db8::1"}],
            "network_id": PORT.network_id,
            "services": [dns, dns6],
        },
    ]
    assert found["services"] == [dns, dns6]


@pytest.mark.parametrize("mode", ["slaac", "dhcpv6-stateful", "dhcpv6-stateless"])
def test_network_data_json_says_how_an_ipv6_address_comes_about(mode: str) -> None:
    six = {
        "ip_address": "2001:db8::f816:3eff:fe00:2a",
        "prefix_length": 64,
        "gateway_ip": "2001:db8::1",
        "dns_nameservers": [],
        "host_routes": [{"destination": "2001:db8:9::/64", "nexthop": "2001:db8::9"}],
        "dhcp": True,
        "ipv6_address_mode": mode,
    }
    port = msgspec.structs.replace(PORT, fixed_ips=(six,))
    found = json.loads(get("/openstack/latest/network_data.json", with_changes(ports=(port,))))
    assert found["networks"] == [
        {
            "id": "network0",
            "type": f"ipv6_{mode}",
            "link": "tap6a0f5b7e-11",
            "ip_address": "2001:db8::f816:3eff:fe00:2a",
            "netmask": "ffff:ffff:ffff:ffff::",
            "routes": [
                {"network": "::", "netmask": "::", "gateway": "2001:db8::1"},
                {"network": "2001:db8:9::", "netmask": "ffff:ffff:ffff:ffff::", "gateway": "2001:db8::9"},
            ],
            "network_id": PORT.network_id,
            "services": [],
        }
    ]


def test_the_config_drive_has_both_trees_in_every_version() -> None:
    files = config_drive_files(DOCUMENT)
    for version in (*OPENSTACK_VERSIONS, "latest"):
        assert f"openstack/{version}/meta_data.json" in files
        assert f"openstack/{version}/password" not in files
    for version in (*EC2_VERSIONS, "latest"):
        assert f"ec2/{version}/meta-data.json" in files
        assert files[f"ec2/{version}/user-data"] == DOCUMENT.user_data
    assert files["openstack/latest/user_data"] == DOCUMENT.user_data
    for name in ("meta_data.json", "network_data.json", "vendor_data.json", "vendor_data2.json"):
        assert files[f"openstack/latest/{name}"] == render_path(DOCUMENT, f"/openstack/latest/{name}")
    ec2 = json.loads(files["ec2/latest/meta-data.json"])
    assert ec2["public-keys"] == {"0": {"openssh-key": KEY}}
    assert (ec2["ami-launch-index"], ec2["security-groups"]) == (0, ["default", "web"])


def test_the_random_seed_is_base64_as_cloud_init_decodes_it() -> None:
    found = json.loads(config_drive_files(DOCUMENT)["openstack/latest/meta_data.json"])
    assert base64.b64decode(found["random_seed"], validate=True) == DOCUMENT.random_seed


def test_the_admin_password_is_on_the_config_drive_alone() -> None:
    document = with_changes(admin_password="geheim")
    drive = json.loads(config_drive_files(document)["openstack/latest/meta_data.json"])
    assert drive["admin_pass"] == "geheim"
    assert "geheim" not in get("/openstack/latest/meta_data.json", document)


def test_without_user_data_the_config_drive_has_none() -> None:
    assert not [name for name in config_drive_files(with_changes(user_data=None)) if "user" in name]
