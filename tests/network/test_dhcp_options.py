"""DHCP options of ports: what is refused would not have been sent."""

import re
import shutil
import subprocess

import pytest

from kilonova.network import dhcp_options
from kilonova.network.errors import InvalidInput

REFUSED = [
    ("nonsense", "x", 4, "is not known for IPv4"),
    ("0", "x", 4, "is not known for IPv4"),
    ("256", "x", 4, "is not known for IPv4"),
    ("bootfile-name\ntag:x", "x", 4, "is not known for IPv4"),
    ("bootfile-url", "x", 4, "is not known for IPv4"),
    ("bootfile-name", "x", 6, "is not known for IPv6"),
    ("bootfile-name", "x\noption:router,10.0.0.9", 4, "cannot be sent"),
    ("bootfile-name", "x #y", 4, "cannot be sent"),
    ("bootfile-name", "#y", 4, "cannot be sent"),
    ("bootfile-name", '"x"', 4, "cannot be sent"),
    ("67", "x\\", 4, "cannot be sent"),
    ("67", "é", 4, "cannot be sent"),
    ("mtu", "large", 4, "is a number"),
    ("router", "10.0.0.1,x", 4, "is IPv4 addresses"),
    ("router", "fd00::1", 4, "is IPv4 addresses"),
    ("dns-server", "10.0.0.1", 6, "is IPv6 addresses"),
]
TAKEN = [
    ("bootfile-name", "http://boot.example/a#b", 4),
    ("server-ip-address", "10.0.0.9", 4),
    ("mtu", "1400", 4),
    ("150", "10.0.0.9", 4),
    ("dns-server", "[fd00::1],[fd00::2]", 6),
    ("bootfile-url", "tftp://[fd00::1]/x", 6),
]


@pytest.mark.parametrize(("name", "value", "version", "sentence"), REFUSED)
def test_what_would_not_be_sent_is_refused(name: str, value: str, version: int, sentence: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(sentence)):
        dhcp_options.check(name, value, version)


@pytest.mark.parametrize(("name", "value", "version"), TAKEN)
def test_what_is_taken_the_server_takes(name: str, value: str, version: int) -> None:
    dhcp_options.check(name, value, version)
    if not (dnsmasq := shutil.which("dnsmasq")):
        pytest.skip("needs dnsmasq")
    option = name if name.isdecimal() else f"option{'6' if version == 6 else ''}:{name}"
    command = [dnsmasq, "--test", "--conf-file=/dev/null", f"--dhcp-option={option},{value}"]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize(("topic", "version"), [("dhcp", 4), ("dhcp6", 6)])
def test_the_names_are_the_server_s(topic: str, version: int) -> None:
    if not (dnsmasq := shutil.which("dnsmasq")):
        pytest.skip("needs dnsmasq")
    told = subprocess.run([dnsmasq, "--help", topic], capture_output=True, text=True, check=True).stdout
    assert set(re.findall(r"^ *\d+ (\S+)$", told, re.MULTILINE)) == dhcp_options.KNOWN[version]
