"""The image service's faults."""

from kilonova.kit.errors import BadRequest, Conflict, Fault, Forbidden, Gone, NotFound, ServiceUnavailable, TooLarge


class ImageNotFound(NotFound):
    def __init__(self, image_id: str) -> None:
        super().__init__(f"Image {image_id} was not found.")


class ImageDataMissing(NotFound):
    """The record is there, the data is not."""


class MemberNotFound(NotFound):
    pass


class TagNotFound(NotFound):
    pass


class ImageExists(Conflict):
    pass


class MemberExists(Conflict):
    pass


class NoSuchProperty(Conflict):
    """A change of a property that the image does not have."""


class WrongStatus(Conflict):
    """What was asked for is not possible in the image's present status."""


class ReadOnlyField(Forbidden):
    pass


class ImageProtected(Forbidden):
    pass


class TooMany(TooLarge):
    """More tags, properties or members than an image may have."""


class OverLimit(TooLarge):
    """A project has as many images, or as large ones, as it may have."""


class ImageTooLarge(TooLarge):
    pass


class RefusedData(BadRequest):
    """The data is not what the image is said to be, or would reach outside itself."""


class ImageGone(Gone):
    """The image was deleted while its data arrived."""


class UploadLost(ServiceUnavailable):
    """Somebody removed the file of an upload before it was whole."""


class RangeNotSatisfiable(Fault):
    status = 416
    title = "Requested Range Not Satisfiable"
