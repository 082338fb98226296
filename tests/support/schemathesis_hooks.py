"""What schemathesis can't write by itself."""

import schemathesis


@schemathesis.serializer("application/x-protobuf")
def protobuf(_, value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()
