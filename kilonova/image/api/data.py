"""/v2/images/{image_id}/file: data in and out, as it flows."""

import re

from starlette.responses import Response, StreamingResponse

from kilonova.image import leases, quotas, recovery, uploads
from kilonova.image.api.access import ImageRequest, fetch, viewer_of
from kilonova.image.errors import ImageDataMissing, ImageTooLarge, RangeNotSatisfiable
from kilonova.image.images import ImageRecord
from kilonova.image.stores.interface import DataMissing
from kilonova.kit.errors import BadRequest, Forbidden, UnsupportedMediaType
from kilonova.kit.http.bounds import MAX_INT64
from kilonova.kit.http.queries import whole_number
from kilonova.kit.http.routes import Reply

OCTETS = "application/octet-stream"


async def upload(request: ImageRequest) -> Reply:
    async with request.service.database.reading() as tx:
        record = await fetch(tx, request)
    content_type = request.headers.get("content-type", "").partition(";")[0].strip()
    if content_type != OCTETS:
        raise UnsupportedMediaType(f"Image data is sent as {OCTETS}, not as {content_type or 'nothing'}.")
    stores = request.service.stores
    store_id = request.headers.get("x-image-meta-store", request.service.store.id)
    if store_id not in stores:
        raise BadRequest(f"There is no store {store_id!r}; there is {', '.join(stores)}.")
    store = stores[store_id]
    announced = _size(request, "x-openstack-image-size")
    length = _size(request, "content-length")
    if max(announced or 0, length or 0) > request.service.max_image_bytes:
        raise ImageTooLarge(f"An image has at most {request.service.max_image_bytes} bytes.")
    await store.require_room(max(announced or 0, length or 0))
    if record.row.status == "saving":
        await recovery.give_up_lapsed(request.service)
    async with request.service.database.transaction() as tx:
        # Again: what the data is looked at as must be what the record says from now on.
        record = await fetch(tx, request)
        allowance = await quotas.allowance_of(tx, record.row.owner, request.service.limits)
        allowance.require(max(announced or 0, length or 0))
        now = request.service.clock.now()
        upload = await leases.begin(tx, record.row, store.id, now, now + request.service.upload_lease)
    await uploads.take_in(request.service, record.row, upload, request.stream(), announced)
    return Reply(None, status=204)


def _size(request: ImageRequest, header: str) -> int | None:
    text = request.headers.get(header)
    if text is None:
        return None
    return whole_number(header, text, most=MAX_INT64)


async def download(request: ImageRequest) -> Response:
    async with request.service.database.reading() as tx:
        record = await fetch(tx, request)
    row = record.row
    if row.status == "deactivated" and not viewer_of(request).is_admin:
        raise Forbidden(f"Image {row.id} is deactivated: its data cannot be downloaded.")
    if row.status not in ("active", "deactivated") or row.size_bytes is None:
        return Response(status_code=204)
    # Data never changes, so its hash tells one version from another.
    etag = f'"{row.hash_value}"' if row.hash_value is not None else None
    part = _part(request, row.size_bytes, etag)
    start, end = part or (0, row.size_bytes)
    headers = {"Content-Type": OCTETS, "Content-Length": str(end - start), "Accept-Ranges": "bytes"}
    if etag is not None:
        headers["ETag"] = etag
    if part is not None:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{row.size_bytes}"
    elif row.checksum is not None:
        headers["Content-MD5"] = row.checksum
    return await _streamed(request, record, (start, end), 200 if part is None else 206, headers)


async def _streamed(
    request: ImageRequest, record: ImageRecord, part: tuple[int, int], status: int, headers: dict[str, str]
) -> Response:
    start, end = part
    if request.method == "HEAD" or start == end:
        return Response(status_code=status, headers=headers)
    stores = request.service.stores
    for location in record.locations:
        if location.store not in stores:
            continue
        try:
            chunks = await stores[location.store].read(location.name, start, end - start)
        except DataMissing:
            # Deleted since it was looked up, or lost by the store.
            continue
        return StreamingResponse(chunks, status_code=status, headers=headers)
    raise ImageDataMissing(f"The data of image {record.row.id} is not in the store.")


def _part(request: ImageRequest, size: int, etag: str | None) -> tuple[int, int] | None:
    """First byte of the range that is asked for and the one after its last; None: all of it. Raises
    RangeNotSatisfiable.

    Source: RFC 9110, section 14. Where a unit is not known, several ranges are asked for at once, or the caller has a
    part of other data (If-Range), all of it is the answer.
    """
    text = request.headers.get("range")
    if text is None or request.method != "GET":
        return None
    condition = request.headers.get("if-range")
    if condition is not None and condition.strip() != etag:
        return None
    unit, equals, ranges = text.partition("=")
    if not equals or unit.strip().lower() != "bytes" or "," in ranges:
        return None
    match = re.fullmatch(r"\s*(\d*)-(\d*)\s*", ranges, re.ASCII)
    if match is None or match.groups() == ("", ""):
        raise _not_satisfiable(text, size)
    # More digits than any size has mean its end, and reading them would take the square of their number.
    first, last = (digits if len(digits) < 20 else "9" * 20 for digits in match.groups())
    if not first:
        start, end = max(size - int(last), 0), size
    else:
        start, end = int(first), min(int(last) + 1, size) if last else size
    if start >= end:
        raise _not_satisfiable(text, size)
    return start, end


def _not_satisfiable(text: str, size: int) -> RangeNotSatisfiable:
    return RangeNotSatisfiable(
        f"The range {text[:64]!r} is not within the image's {size} bytes.", headers={"Content-Range": f"bytes */{size}"}
    )
