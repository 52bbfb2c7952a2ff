"""Servers whose image names a kernel, which is booted without a boot loader."""

from typing import Any

import pytest

from kilonova.compute.servers import specs
from tests.compute.api.test_server_create import create

MISSING = "0b6c9f0e-0000-4000-8000-000000000000"


@pytest.fixture
async def ready(nova: Any) -> Any:
    """A flavor and a host; `base` is the least a request needs but for an image."""
    await nova.flavor(id="1")
    await nova.register_host()
    nova.base = {"name": "web", "flavorRef": "1", "networks": "none"}
    return nova


async def part(ready: Any, kind: str, by: str = "admin", **fields: Any) -> str:
    """The id of an image that is a kernel (aki) or a ramdisk (ari)."""
    image_id = str(await ready.image(by, upload=False, disk_format=kind, container_format=kind, **fields))
    headers = {"content-type": "application/octet-stream"}
    response = await (await ready.imaging(by)).put(f"/v2/images/{image_id}/file", content=b"code", headers=headers)
    assert response.status_code == 204, response.text
    return image_id


async def test_the_kernel_and_the_ramdisk_reach_the_host_and_are_shown(ready: Any) -> None:
    kernel, ramdisk = await part(ready, "aki"), await part(ready, "ari")
    image = await ready.image(kernel_id=kernel, ramdisk_id=ramdisk, os_command_line="quiet")
    server = await ready.server((await create(ready, imageRef=image))["server"]["id"])
    spec = specs.server_spec(server, specs.PlannedPorts())
    assert spec.kernel is not None and spec.ramdisk is not None
    assert (spec.kernel.id, spec.kernel.disk_format, spec.ramdisk.id) == (kernel, "aki", ramdisk)
    document = spec.metadata_document
    assert (document.kernel_id, document.ramdisk_id) == (f"aki-{kernel[:8]}", f"ari-{ramdisk[:8]}")
    shown = (await ready.call("GET", f"/servers/{server.id}", by="admin"))["server"]
    assert shown["OS-EXT-SRV-ATTR:kernel_id"] == kernel
    assert shown["OS-EXT-SRV-ATTR:ramdisk_id"] == ramdisk


async def test_a_rescued_server_boots_the_kernel_of_what_it_is_rescued_with(ready: Any) -> None:
    own, other = await part(ready, "aki"), await part(ready, "aki")
    image, plain = await ready.image(kernel_id=own), await ready.image()
    helping = await ready.image(kernel_id=other)
    made = await ready.server((await create(ready, imageRef=image))["server"]["id"])
    for rescue_image, kernel in ((helping, other), (plain, None)):
        server = await ready.insert_server(image=made.image)
        body = {"rescue": {"rescue_image_ref": rescue_image}}
        await ready.call("POST", f"/servers/{server.id}/action", 200, json=body)
        spec = specs.server_spec(await ready.server(server.id), specs.PlannedPorts())
        assert (spec.kernel.id if spec.kernel else None) == kernel


async def test_kernels_that_cannot_be_booted_are_refused(ready: Any) -> None:
    kernel, disk = await part(ready, "aki"), await ready.image(disk_format="qcow2")
    foreign = await part(ready, "aki", by="other", visibility="private")
    for properties, sentence in (
        ({"kernel_id": MISSING}, f"Image {MISSING} could not be found."),
        ({"kernel_id": foreign}, f"Image {foreign} could not be found."),
        ({"kernel_id": "vmlinuz"}, "kernel_id is the UUID of an image, got 'vmlinuz'"),
        ({"kernel_id": disk}, f"Image {disk} cannot be booted as a kernel: its disk format is qcow2"),
        ({"ramdisk_id": kernel}, "a ramdisk is nothing without a kernel"),
    ):
        server = {**ready.base, "imageRef": await ready.image(**properties)}
        assert sentence in await ready.refused("POST", "/servers", 400, json={"server": server})
    told = await ready.refused("POST", "/servers", 400, json={"server": {**ready.base, "imageRef": kernel}})
    assert "is a kernel or a ramdisk" in told


async def test_an_image_that_names_no_kernel_boots_from_its_disk(ready: Any) -> None:
    image = await ready.image(kernel_id="none", ramdisk_id="")
    server = await ready.server((await create(ready, imageRef=image))["server"]["id"])
    assert specs.server_spec(server, specs.PlannedPorts()).kernel is None
