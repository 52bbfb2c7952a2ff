"""What `inspection` accepts and refuses: files made by qemu-img, the same files tampered with, and noise."""

import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from kilonova.kit.disks.inspection import ImageRefused, Inspection, Inspector, inspect_file
from kilonova.kit.disks.inspection.signatures import formats_in_head

MIB = 1 << 20
QEMU_FORMATS = {
    "qcow2": ["-f", "qcow2"],
    "vmdk": ["-f", "vmdk"],
    "vdi": ["-f", "vdi"],
    "vhd": ["-f", "vpc", "-o", "force_size=on"],
    "vhdx": ["-f", "vhdx"],
    "ploop": ["-f", "parallels"],
    "raw": ["-f", "raw"],
}
FORMATS = ("raw", "ami", "aki", "ari", "qcow2", "vmdk", "vdi", "vhd", "vhdx", "iso", "ploop", "luks", "qed", "nonsense")


def qemu_img(*arguments: str | Path) -> None:
    subprocess.run(["qemu-img", *arguments], check=True, capture_output=True)


def create(path: Path, options: list[str], size: str = "40M") -> Path:
    qemu_img("create", "-q", *options, path, size)
    return path


def inspect_stream(content: bytes, disk_format: str, chunk_bytes: int) -> Inspection:
    inspector = Inspector(disk_format)
    for start in range(0, len(content), chunk_bytes):
        inspector.eat(content[start : start + chunk_bytes])
    return inspector.finish()


@pytest.mark.parametrize("disk_format", QEMU_FORMATS)
def test_a_file_of_qemu_img_is_recognized_with_its_virtual_size(tmp_path: Path, disk_format: str) -> None:
    path = create(tmp_path / "image", QEMU_FORMATS[disk_format])
    expected = Inspection(disk_format, 40 * MIB)
    assert inspect_file(path, disk_format) == expected
    content = path.read_bytes()
    for chunk_bytes in (len(content), 100_003, 4096):
        assert inspect_stream(content, disk_format, chunk_bytes) == expected


@pytest.mark.parametrize("subformat", ["monolithicSparse", "streamOptimized"])
def test_self_contained_vmdk_is_accepted(tmp_path: Path, subformat: str) -> None:
    raw = create(tmp_path / "raw", ["-f", "raw"], "5M")
    qemu_img("convert", "-f", "raw", "-O", "vmdk", "-o", f"subformat={subformat}", raw, tmp_path / "image")
    assert inspect_file(tmp_path / "image", "vmdk") == Inspection("vmdk", 5 * MIB)


@pytest.mark.parametrize("subformat", ["monolithicFlat", "twoGbMaxExtentSparse", "twoGbMaxExtentFlat"])
def test_vmdk_whose_data_is_in_other_files_is_refused(tmp_path: Path, subformat: str) -> None:
    path = create(tmp_path / "image.vmdk", ["-f", "vmdk", "-o", f"subformat={subformat}"])
    with pytest.raises(ImageRefused):
        inspect_file(path, "vmdk")


def test_vhd_of_fixed_size_is_known_by_its_last_sector(tmp_path: Path) -> None:
    path = create(tmp_path / "image", ["-f", "vpc", "-o", "subformat=fixed,force_size=on"])
    assert inspect_file(path, "vhd") == Inspection("vhd", 40 * MIB)
    assert inspect_stream(path.read_bytes(), "vhd", 65_537) == Inspection("vhd", 40 * MIB)


@pytest.mark.parametrize("version", ["0.10", "1.1"])
def test_both_versions_of_qcow2_are_accepted(tmp_path: Path, version: str) -> None:
    path = create(tmp_path / "image", ["-f", "qcow2", "-o", f"compat={version}"])
    assert inspect_file(path, "qcow2") == Inspection("qcow2", 40 * MIB)


def test_qcow2_with_zstd_and_extended_l2_is_accepted(tmp_path: Path) -> None:
    path = create(tmp_path / "image", ["-f", "qcow2", "-o", "compression_type=zstd,extended_l2=on"])
    assert inspect_file(path, "qcow2") == Inspection("qcow2", 40 * MIB)


def test_qcow2_with_a_backing_file_is_refused(tmp_path: Path) -> None:
    create(tmp_path / "secret", ["-f", "raw"])
    path = create(tmp_path / "image", ["-f", "qcow2", "-F", "raw", "-b", str(tmp_path / "secret")])
    with pytest.raises(ImageRefused, match="has a backing file"):
        inspect_file(path, "qcow2")


def test_qcow2_with_an_external_data_file_is_refused(tmp_path: Path) -> None:
    path = create(tmp_path / "image", ["-f", "qcow2", "-o", f"data_file={tmp_path / 'data'},data_file_raw=on"])
    with pytest.raises(ImageRefused, match="keeps its data in another file"):
        inspect_file(path, "qcow2")


def test_qcow2_that_names_a_data_file_without_the_feature_bit_is_refused(tmp_path: Path) -> None:
    path = create(tmp_path / "image", ["-f", "qcow2", "-o", f"data_file={tmp_path / 'data'},data_file_raw=on"])
    content = bytearray(path.read_bytes())
    content[72:80] = bytes(8)
    with pytest.raises(ImageRefused, match="names a file"):
        inspect_stream(bytes(content), "qcow2", 4096)


def test_qcow2_with_unknown_incompatible_features_is_refused(tmp_path: Path) -> None:
    content = bytearray(create(tmp_path / "image", ["-f", "qcow2"]).read_bytes())
    content[72:80] = struct.pack(">Q", 1 << 9)
    with pytest.raises(ImageRefused, match="unknown incompatible features"):
        inspect_stream(bytes(content), "qcow2", 4096)


def test_vmdk_that_pretends_to_be_a_bare_descriptor_is_refused(tmp_path: Path) -> None:
    content = bytearray(create(tmp_path / "image", ["-f", "vmdk"]).read_bytes())
    content[12:20] = bytes(8)
    with pytest.raises(ImageRefused, match="no capacity"):
        inspect_stream(bytes(content), "vmdk", 4096)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'SPARSE "image"', b'FLAT "/etc/sh"'),
        (b'createType="monolithicSparse"', b'createType="monolithicFlat" \n'),
        (b"parentCID=ffffffff", b"parentCID=12345678"),
        (b"# The Disk Data Base", b'parentFileNameHint="'),
    ],
)
def test_vmdk_with_a_foreign_extent_or_a_parent_is_refused(tmp_path: Path, old: bytes, new: bytes) -> None:
    content = create(tmp_path / "image", ["-f", "vmdk"]).read_bytes()
    assert old in content
    with pytest.raises(ImageRefused):
        inspect_stream(content.replace(old, new.ljust(len(old)), 1), "vmdk", 4096)


def test_a_differencing_vdi_is_refused(tmp_path: Path) -> None:
    content = bytearray(create(tmp_path / "image", ["-f", "vdi"]).read_bytes())
    content[0x4C:0x50] = struct.pack("<I", 4)
    with pytest.raises(ImageRefused, match="difference"):
        inspect_stream(bytes(content), "vdi", 4096)


def test_a_differencing_vhd_is_refused(tmp_path: Path) -> None:
    content = bytearray(create(tmp_path / "image", ["-f", "vpc"]).read_bytes())
    content[60:64] = struct.pack(">I", 4)
    with pytest.raises(ImageRefused, match="difference"):
        inspect_stream(bytes(content), "vhd", 4096)


def test_a_differencing_vhdx_is_refused(tmp_path: Path) -> None:
    content = bytearray(create(tmp_path / "image", ["-f", "vhdx"]).read_bytes())
    item = bytes.fromhex("3767a1ca36fa434db3b633f0aa44e76b")
    entry = content.index(item)
    region = content.index(b"metadata")
    (offset,) = struct.unpack_from("<I", content, entry + 16)
    struct.pack_into("<I", content, region + offset + 4, 2)
    with pytest.raises(ImageRefused, match="difference"):
        inspect_stream(bytes(content), "vhdx", 100_000)


@pytest.mark.parametrize("declared", ["raw", "ami", "vmdk", "iso"])
def test_content_other_than_declared_is_refused_and_both_are_named(tmp_path: Path, declared: str) -> None:
    path = create(tmp_path / "image", ["-f", "qcow2"])
    with pytest.raises(ImageRefused, match=f"declared as {declared}, but its content is qcow2"):
        inspect_file(path, declared)


def test_an_upload_of_the_wrong_format_is_refused_after_its_first_64_kib(tmp_path: Path) -> None:
    inspector = Inspector("qcow2")
    with pytest.raises(ImageRefused):
        inspector.eat(bytes(65536))


def test_an_iso_image_is_recognized(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/file").write_text("content")
    path = tmp_path / "image.iso"
    subprocess.run(["genisoimage", "-quiet", "-o", path, tmp_path / "tree"], check=True, capture_output=True)
    assert inspect_file(path, "iso") == Inspection("iso", path.stat().st_size)
    with pytest.raises(ImageRefused, match="content is iso"):
        inspect_file(path, "raw")


@pytest.mark.parametrize("declared", ["raw", "luks", "qcow2"])
def test_a_luks_container_is_refused(declared: str) -> None:
    header = b"LUKS\xba\xbe\0\1".ljust(4096, b"\0")
    with pytest.raises(ImageRefused, match=r"content is luks|luks are not taken"):
        inspect_stream(header + bytes(MIB), declared, 5000)


def test_a_raw_disk_with_a_partition_table_is_raw() -> None:
    sector = bytearray(512)
    sector[510:512] = b"\x55\xaa"
    gpt = bytes(sector) + b"EFI PART".ljust(512, b"\0") + bytes(MIB)
    assert inspect_stream(gpt, "raw", 1000) == Inspection("raw", len(gpt))
    assert inspect_stream(gpt, "ami", 1000) == Inspection("raw", len(gpt))


@pytest.mark.parametrize("declared", ["aki", "ari"])
def test_kernels_and_ramdisks_are_taken_unless_they_look_like_a_disk(declared: str) -> None:
    kernel = bytearray(100_000)
    kernel[510:518] = b"\x55\xaa\xeb\x6aHdrS"
    assert inspect_stream(bytes(kernel), declared, 7000) == Inspection(declared, None)
    for disk in (b"QFI\xfb" + bytes(100_000), b"# Disk DescriptorFile\n", bytes(100_000) + b"conectix" + bytes(504)):
        with pytest.raises(ImageRefused, match=f"declared as {declared}, but its content is"):
            inspect_stream(disk, declared, 7000)


def test_a_truncated_image_is_refused(tmp_path: Path) -> None:
    for disk_format, keep in (("qcow2", 40), ("vmdk", 300), ("vdi", 100), ("vhdx", 200_000), ("ploop", 20)):
        content = create(tmp_path / disk_format, QEMU_FORMATS[disk_format]).read_bytes()[:keep]
        with pytest.raises(ImageRefused):
            inspect_stream(content, disk_format, 4096)


def test_an_impossible_size_is_refused(tmp_path: Path) -> None:
    content = bytearray(create(tmp_path / "image", ["-f", "qcow2"]).read_bytes())
    content[24:32] = b"\xff" * 6 + b"\xfe\0"
    with pytest.raises(ImageRefused, match="impossible size"):
        inspect_stream(bytes(content), "qcow2", 4096)


def test_memory_stays_constant_over_a_large_upload() -> None:
    inspector = Inspector("raw")
    chunk = bytes(4 * MIB)
    for _ in range(64):
        inspector.eat(chunk)
    kept = len(inspector._head) + len(inspector._tail) + sum(len(w.content) for w in inspector._windows)
    assert kept <= 256 << 10
    assert inspector.finish() == Inspection("raw", 256 * MIB)


MAGICS = st.sampled_from(
    [
        b"",
        b"QFI\xfb\0\0\0\3",
        b"KDMV",
        b"COWD",
        b"conectix",
        b"vhdxfile",
        b"LUKS\xba\xbe\0\1",
        b"WithoutFreeSpace",
        bytes(64) + b"\x7f\x10\xda\xbe",
    ]
)


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(
    magic=MAGICS,
    noise=st.binary(max_size=2000),
    padding=st.sampled_from([0, 70_000, 400_000]),
    disk_format=st.sampled_from(FORMATS),
    chunk_bytes=st.sampled_from([1000, 65_536, 1 << 20]),
)
@example(magic=b"", noise=b"", padding=0, disk_format="raw", chunk_bytes=1000)
@example(magic=b"", noise=b"QED\x00", padding=0, disk_format="qed", chunk_bytes=1000)
def test_noise_is_accepted_or_refused_but_never_breaks_anything(
    magic: bytes, noise: bytes, padding: int, disk_format: str, chunk_bytes: int
) -> None:
    content = magic + noise + bytes(padding)
    try:
        found = inspect_stream(content, disk_format, chunk_bytes)
    except ImageRefused as refusal:
        assert refusal.reason.endswith(".")
    else:
        assert found.format == disk_format or (disk_format == "ami" and found.format == "raw")
        if disk_format in ("raw", "ami"):
            assert set(formats_in_head(content[:65536])) <= {"mbr", "gpt"}


@pytest.fixture(scope="module")
def vhdx_and_vmdk(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    directory = tmp_path_factory.mktemp("images")
    formats = {name: QEMU_FORMATS[name] for name in ("vhdx", "vmdk", "qcow2", "vdi", "vhd")}
    return {name: create(directory / name, options, "1M").read_bytes()[: 4 * MIB] for name, options in formats.items()}


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_real_image_with_some_bytes_changed_never_breaks_anything(
    vhdx_and_vmdk: dict[str, bytes], data: st.DataObject
) -> None:
    disk_format = data.draw(st.sampled_from(sorted(vhdx_and_vmdk)))
    content = bytearray(vhdx_and_vmdk[disk_format])
    areas = [0, 512, 192 << 10, 2 * MIB, 2 * MIB + (64 << 10), 3 * MIB]
    for _ in range(data.draw(st.integers(1, 6))):
        start = data.draw(st.sampled_from(areas)) + data.draw(st.integers(0, 600))
        patch = data.draw(st.binary(min_size=1, max_size=9))
        content[start : start + len(patch)] = patch
    try:
        inspect_stream(bytes(content), disk_format, 1 << 20)
    except ImageRefused as refusal:
        assert refusal.reason.endswith(".")
