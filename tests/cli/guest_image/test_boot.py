"""The built image boots, finds out who it is, and does what a cloud asks of a guest."""

import base64
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kilonova.cli.guest_image.build import ensure_guest_image
from tests.cli.guest_image.guest import Guest, started_guest

pytestmark = pytest.mark.root

USER_DATA = "#!/bin/sh\necho user-data says $(hostname)\ntouch /run/user-data-ran\n"
NO_METADATA_NETWORK = ["-nic", "none"]


def write_config_drive(directory: Path, public_key: str) -> Path:
    latest = directory / "drive/openstack/latest"
    latest.mkdir(parents=True)
    metadata = {"uuid": "6c1d1fd3", "hostname": "driven.example.org", "public_keys": {"mine": public_key + "\n"}}
    (latest / "meta_data.json").write_text(json.dumps(metadata))
    (latest / "user_data").write_text(USER_DATA)
    drive = directory / "config.iso"
    options = ["-quiet", "-J", "-r", "-V", "config-2", "-o", str(drive)]
    subprocess.run(["genisoimage", *options, str(directory / "drive")], check=True)
    return drive


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "someone", "-f", path], check=True)
    return path


METADATA_SERVICE = """
import json, sys
path = sys.stdin.readline().split()[1].removeprefix("/2009-04-04/")
while sys.stdin.readline().strip():
    pass
body = json.load(open(sys.argv[1])).get(path)
print("HTTP/1.0 404 Not Found\\r\\n\\r" if body is None else f"HTTP/1.0 200 OK\\r\\n\\r\\n{body}", flush=True)
"""


@pytest.fixture
def metadata_command(tmp_path: Path, key: Path) -> str:
    """A command that answers one request, in EC2's format, from its standard input."""
    answers = {
        "meta-data/instance-id": "i-00000042",
        "meta-data/hostname": "told.example.org",
        "meta-data/public-keys/": "0=mine",
        "meta-data/public-keys/0/openssh-key": key.with_suffix(".pub").read_text(),
        "user-data": USER_DATA,
    }
    (tmp_path / "answers.json").write_text(json.dumps(answers))
    (tmp_path / "metadata.py").write_text(METADATA_SERVICE)
    return f"{sys.executable} -S {tmp_path}/metadata.py {tmp_path}/answers.json"


def check_user_data_and_sudo(guest: Guest) -> None:
    assert guest.run("ls /run/user-data-ran") == "/run/user-data-ran"
    assert guest.run("sudo id -u") == "0"
    assert guest.run("sudo -u demo -- id -un") == "demo"


def check_what_its_user_may(guest: Guest) -> None:
    as_demo = "sudo -u demo sh -c"
    assert guest.run(f"{as_demo} 'ping -c1 -w5 -s56 127.0.0.1' | grep -c ' 0% packet loss'") == "1"
    who, refusal = guest.run(f"{as_demo} 'id -un; touch /etc/demo 2>&1'").splitlines()
    assert (who, refusal) == ("demo", "touch: /etc/demo: Permission denied")


def check_that_its_agent_sets_passwords(guest: Guest) -> None:
    asked = {"username": "demo", "password": base64.b64encode(b"new: $1 \\ word").decode(), "crypted": False}
    assert guest.ask_agent({"execute": "guest-set-user-password", "arguments": asked}) == {"return": {}}
    guest.log_out()
    guest.log_in("new: $1 \\ word")
    nobody = {"execute": "guest-set-user-password", "arguments": {**asked, "username": "de"}}
    assert "failed to set user password" in str(guest.ask_agent(nobody)["error"])
    assert guest.run("sudo stat -c %a:%u /etc/shadow") == "640:0"


def root_size_mib(guest: Guest) -> int:
    return int(guest.run("df -m / | awk 'NR == 2 { print $2 }'"))


def test_guest_reads_a_config_drive_grows_its_root_and_takes_a_disk_while_it_runs(
    tmp_path: Path, key: Path, demo_guest_image: Path
) -> None:
    public_key = key.with_suffix(".pub").read_text().strip()
    drive = write_config_drive(tmp_path, public_key)
    extra = tmp_path / "extra.raw"
    with extra.open("wb") as file:
        file.truncate(64 << 20)
    arguments = ["-machine", "pc", *NO_METADATA_NETWORK]
    arguments += ["-drive", f"file={drive},if=virtio,format=raw,readonly=on"]
    with started_guest(tmp_path, demo_guest_image, arguments) as guest:
        guest.log_in()
        assert "datasource: configdrive instance-id: 6c1d1fd3 hostname: driven" in guest.text
        assert "user-data says driven" in guest.text
        check_user_data_and_sudo(guest)
        check_that_its_agent_sets_passwords(guest)
        as_demo = "sudo -u demo sh -c 'PATH=$PATH:/usr/sbin:/sbin"
        drive_device = guest.run(f"{as_demo}; blkid -L config-2 -o device'")
        assert guest.run(f"sudo mount {drive_device} /mnt && ls /mnt && sudo umount /mnt") == "openstack"
        assert root_size_mib(guest) > 900
        assert guest.run("sudo cat /home/demo/.ssh/authorized_keys /root/.ssh/authorized_keys") == "\n".join(
            [public_key] * 2
        )

        node = {"driver": "raw", "node-name": "extra", "file": {"driver": "file", "filename": str(extra)}}
        device = {"driver": "virtio-blk-pci", "id": "extra", "drive": "extra", "serial": "volume-42"}
        guest.command_monitor(
            {"execute": "blockdev-add", "arguments": node}, {"execute": "device_add", "arguments": device}
        )
        assert guest.run(
            "for i in 1 2 3 4 5; do [ -b /dev/vdc ] && break; sleep 1; done; cat /sys/block/vdc/serial"
        ) == ("volume-42")
        assert guest.run("sudo mkfs.ext4 -q /dev/vdc && sudo mount -t ext4 /dev/vdc /mnt && echo mounted") == "mounted"

        guest.command_monitor({"execute": "system_powerdown"})
        assert guest.process.wait(20) == 0


def test_guest_on_q35_reads_the_metadata_service_and_lets_its_key_in_over_ssh(
    tmp_path: Path, key: Path, metadata_command: str, demo_guest_image: Path
) -> None:
    network = "user,id=net,net=169.254.169.0/24,dhcpstart=169.254.169.100,restrict=on"
    network += f",guestfwd=tcp:169.254.169.254:80-cmd:{metadata_command},hostfwd=tcp:127.0.0.1:0-:22"
    arguments = ["-machine", "q35", "-netdev", network, "-device", "virtio-net-pci,netdev=net"]
    with started_guest(tmp_path, demo_guest_image, arguments) as guest:
        guest.log_in()
        assert "datasource: ec2 instance-id: i-00000042 hostname: told" in guest.text
        check_user_data_and_sudo(guest)
        check_what_its_user_may(guest)
        address = "http://169.254.169.254/2009-04-04/meta-data/instance-id"
        assert guest.run(f"sudo -u demo curl -sS {address}") == "i-00000042"
        assert "169.254.169.100/24" in guest.run("ip -4 addr show eth0")
        port = forwarded_port(guest)
        options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR", "BatchMode=yes"]
        ssh = ["ssh", "-F", "none", "-i", str(key), "-p", str(port), *(f"-o{option}" for option in options)]
        answer = subprocess.run([*ssh, "demo@127.0.0.1", "hostname; sudo id -u"], capture_output=True, text=True)
        assert (answer.stdout, answer.stderr) == ("told\n0\n", "")
        without_key = [*ssh, "-oPubkeyAuthentication=no", "demo@127.0.0.1", "id"]
        refused = subprocess.run(without_key, capture_output=True, text=True)
        assert (refused.returncode, "Permission denied (publickey)" in refused.stderr) == (255, True)


def forwarded_port(guest: Guest) -> int:
    """The loopback port that the kernel chose for QEMU's forward to the guest's ssh."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        listing = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True).stdout
        for line in listing.splitlines():
            if f"pid={guest.process.pid}," in line and "127.0.0.1:" in line:
                return int(line.split()[3].rpartition(":")[2])
    raise AssertionError("QEMU listens on no port")


def test_guest_boots_from_kernel_and_ramdisk_onto_a_root_disk_without_partitions(
    tmp_path: Path, demo_guest_image: Path
) -> None:
    directory = ensure_guest_image(demo_guest_image.parent, with_kernel_and_ramdisk=True).parent
    arguments = ["-kernel", f"{directory}/demo-guest.vmlinuz", "-initrd", f"{directory}/demo-guest.initrd"]
    arguments += ["-append", "console=ttyS0", *NO_METADATA_NETWORK]
    with started_guest(tmp_path, directory / "demo-guest.ext4.qcow2", arguments) as guest:
        guest.log_in()
        assert root_size_mib(guest) > 900
        assert guest.run("awk '$2 == \"/\" { print $1 }' /proc/mounts") == "/dev/vda"
