"""What schemathesis can't write by itself."""

import schemathesis


@schemathesis.serializer("application/x-protobuf")
def protobuf(_, value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


@schemathesis.serializer("application/x-ndjson")
def lines(_, value: object) -> bytes:
    return str(value).encode(errors="surrogatepass")
