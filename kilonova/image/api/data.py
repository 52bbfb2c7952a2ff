"""/v2/images/{image_id}/file: data in and out, as it flows."""

import asyncio
import re

from starlette.responses import Response, StreamingResponse

from kilonova.image import images, quotas, uploads
from kilonova.image.api.access import ImageRequest, fetch, viewer_of
from kilonova.image.errors import ImageDataMissing, ImageTooLarge, RangeNotSatisfiable
from kilonova.image.tables import ImageRow
from kilonova.image.views.images import STORE_ID
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
    store_id = request.headers.get("x-image-meta-store", STORE_ID)
    if store_id != STORE_ID:
        raise BadRequest(f"There is no store {store_id!r}; the only one is {STORE_ID!r}.")
    announced = _size(request, "x-openstack-image-size")
    length = _size(request, "content-length")
    if max(announced or 0, length or 0) > request.service.max_image_bytes:
        raise ImageTooLarge(f"An image has at most {request.service.max_image_bytes} bytes.")
    await asyncio.to_thread(uploads.require_room, request.service.store, max(announced or 0, length or 0))
    async with request.service.database.transaction() as tx:
        # Again: what the data is looked at as must be what the record says from now on.
        record = await fetch(tx, request)
        allowance = await quotas.allowance_of(tx, record.row.owner, request.service.limits)
        allowance.require(max(announced or 0, length or 0))
        row = await images.begin_saving(tx, record.row, request.service.clock.now())
    await uploads.take_in(request.service, row, request.stream(), announced)
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
    return await _streamed(request, row, start, end, 200 if part is None else 206, headers)


async def _streamed(
    request: ImageRequest, row: ImageRow, start: int, end: int, status: int, headers: dict[str, str]
) -> Response:
    if request.method == "HEAD" or start == end:
        return Response(status_code=status, headers=headers)
    try:
        chunks = await request.service.store.read(row.file_name, start, end - start)
    except FileNotFoundError as error:
        # Deleted since it was looked up, or lost by the store.
        raise ImageDataMissing(f"The data of image {row.id} is not in the store.") from error
    return StreamingResponse(chunks, status_code=status, headers=headers)


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
