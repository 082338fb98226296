"""Requests that two readers could understand in two ways, or not at all. Each tries to carry a second one: CANARY."""

CANARY = b"POST /feedback?client_request_id=smuggled HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 19\r\n\r\n" b'{"is_correct":true}'
BODY = b'{"is_correct":true}'
HOST = b"Host: x\r\n"
JSON = b"Content-Type: application/json\r\n"
POST = b"POST /feedback?client_request_id=torture HTTP/1.1\r\n" + HOST + JSON
GET = b"GET /livez HTTP/1.1\r\n"


def _lengths() -> dict[str, bytes]:
    values = ["-1", "-19", "+19", "0x13", "19,19", "19, 19", "19,20", "19 19", "19;", "19.0", "1e1", "", " ", "abc", "19a", "a19", "\xb9", "１９", "'19'", '"19"', "19\x00", "\x0019",
              "19\x0b", "18446744073709551616", "18446744073709551635", "9223372036854775808", "99999999999999999999999999999999", "4294967315", "019x", "1_9", "0b10011", "=19",
              "19\r", "\t-0", "NaN", "infinity"]  # fmt: skip
    made = {f"length {value!r}": POST + b"Content-Length: " + value.encode() + b"\r\n\r\n" + BODY + CANARY for value in values}
    for first, second in (("19", "19"), ("19", "0"), ("0", "19"), ("19", "5000"), ("5", "19")):
        made[f"lengths {first} and {second}"] = POST + f"Content-Length: {first}\r\ncontent-length: {second}\r\n\r\n".encode() + BODY + CANARY
    made["lengths apart"] = POST + b"Content-Length: 0\r\nX-Between: 1\r\nCONTENT-LENGTH: 19\r\n\r\n" + BODY + CANARY
    made["length with space before colon"] = POST + b"Content-Length : 19\r\n\r\n" + BODY + CANARY
    made["length with tab before colon"] = POST + b"Content-Length\t: 19\r\n\r\n" + BODY + CANARY
    made["length folded"] = POST + b"Content-Length:\r\n 19\r\n\r\n" + BODY + CANARY
    made["length folded in two"] = POST + b"Content-Length: 1\r\n 9\r\n\r\n" + BODY + CANARY
    made["length with underscore"] = POST + b"Content_Length: 19\r\n\r\n" + CANARY
    made["length with NUL in its name"] = POST + b"Content-Length\x00: 19\r\n\r\n" + BODY + CANARY
    return made


def _codings() -> dict[str, bytes]:
    chunks = b"0\r\n\r\n" + CANARY
    values = ["xchunked", "chunkedx", "chunked, identity", "identity, chunked", "chunked, chunked", "chunked,", ",chunked", "chunked;q=1", "chunked; a=b", "gzip", "gzip, chunked",
              "deflate", "identity", '"chunked"', "'chunked'", "\x0bchunked", "\x0cchunked", "chunked\x00", "\x00chunked", "chun ked", "chunk", "cow", "", " ", "chunked\r", "\xa0chunked",
              "ch\xfcnked", "[chunked]", "chunked chunked", "chunked\x1f", "compress, chunked", "x-chunked"]  # fmt: skip
    made = {f"coding {value!r}": POST + b"Transfer-Encoding: " + value.encode("latin-1") + b"\r\n\r\n" + chunks for value in values}
    for name, lines in {
        "length, then coding": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "coding, then length": b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "coding and length 0": b"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
        "coding twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "coding, then another": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: cow\r\n",
        "another, then coding": b"Transfer-Encoding: cow\r\nTransfer-Encoding: chunked\r\n",
        "coding identity, then chunked": b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
        "coding with space before colon and length": b"Transfer-Encoding : chunked\r\nContent-Length: 5\r\n",
        "coding with tab before colon and length": b"Transfer-Encoding\t: chunked\r\nContent-Length: 5\r\n",
        "coding folded and length": b"Transfer-Encoding:\r\n chunked\r\nContent-Length: 5\r\n",
        "coding behind a bare line feed": b"X: y\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "coding behind a bare return": b"X: y\rTransfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "coding with a line feed at its end": b"Content-Length: 5\r\nTransfer-Encoding: chunked\n",
        "coding with NUL in its name": b"Transfer-Encoding\x00: chunked\r\nContent-Length: 5\r\n",
        "coding with leading space": b" Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "coding xchunked and length": b"Transfer-Encoding: xchunked\r\nContent-Length: 5\r\n",
        "coding and two lengths": b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\nContent-Length: 6\r\n",
    }.items():
        made[name] = POST + lines + b"\r\n" + chunks
    made["coding in HTTP/1.0"] = POST.replace(b"HTTP/1.1", b"HTTP/1.0") + b"Transfer-Encoding: chunked\r\n\r\n" + chunks
    made["coding and length in HTTP/1.0"] = POST.replace(b"HTTP/1.1", b"HTTP/1.0") + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n" + chunks
    return made


def _chunks() -> dict[str, bytes]:
    whole = b"13\r\n" + BODY + b"\r\n"
    bodies = {
        "size with a bare line feed": b"13\n" + BODY + b"\r\n0\r\n\r\n",
        "data with a bare line feed": b"13\r\n" + BODY + b"\n0\r\n\r\n",
        "last with bare line feeds": whole + b"0\n\n",
        "size -13": b"-13\r\n" + BODY + b"\r\n0\r\n\r\n",
        "size +13": b"+13\r\n" + BODY + b"\r\n0\r\n\r\n",
        "size 0x13": b"0x13\r\n" + BODY + b"\r\n0\r\n\r\n",
        "size with leading space": b" 13\r\n" + BODY + b"\r\n0\r\n\r\n",
        "size with leading tab": b"\t13\r\n" + BODY + b"\r\n0\r\n\r\n",
        "size g": b"g\r\n" + BODY + b"\r\n0\r\n\r\n",
        "size empty": b"\r\n" + BODY + b"\r\n0\r\n\r\n",
        "size ;": b";\r\n" + BODY + b"\r\n0\r\n\r\n",
        "size with NUL": b"13\x00\r\n" + BODY + b"\r\n0\r\n\r\n",
        "size of 64 bits": b"FFFFFFFFFFFFFFFF\r\n" + BODY + b"\r\n0\r\n\r\n",
        "size over 64 bits": b"10000000000000013\r\n" + BODY + b"\r\n0\r\n\r\n",
        "size negative of 64 bits": b"FFFFFFFFFFFFFFED\r\n" + BODY + b"\r\n0\r\n\r\n",
        "size of 63 bits": b"7FFFFFFFFFFFFFFF\r\n" + BODY + b"\r\n0\r\n\r\n",
        "size of 32 bits": b"100000013\r\n" + BODY + b"\r\n0\r\n\r\n",
        "size too small": b"12\r\n" + BODY + b"\r\n0\r\n\r\n",
        "size too large": b"14\r\n" + BODY + b"\r\n0\r\n\r\n",
        "data without an end": b"13\r\n" + BODY + b"0\r\n\r\n",
        "data ended by XX": b"13\r\n" + BODY + b"XX0\r\n\r\n",
        "data ended by a return": b"13\r\n" + BODY + b"\r0\r\n\r\n",
        "size ended by a return": b"13\r" + BODY + b"\r\n0\r\n\r\n",
        "size and words": b"13 bytes\r\n" + BODY + b"\r\n0\r\n\r\n",
        "extension with a bare line feed": b"13;a\nb\r\n" + BODY + b"\r\n0\r\n\r\n",
        "extension with a bare return": b"13;a\rb\r\n" + BODY + b"\r\n0\r\n\r\n",
        "extension with NUL": b"13;a\x00\r\n" + BODY + b"\r\n0\r\n\r\n",
        "extension": b"13;a=b\r\n" + BODY + b"\r\n0\r\n\r\n",
        "extension in quotes": b'13;a="b;c"\r\n' + BODY + b"\r\n0\r\n\r\n",
        "extension of 40 kB": b"13;" + b"a" * 40_000 + b"\r\n" + BODY + b"\r\n0\r\n\r\n",
        "last with an extension": whole + b"0;a=b\r\n\r\n",
        "last of many noughts": whole + b"000000\r\n\r\n",
        "last with words": whole + b"0 end\r\n\r\n",
        "trailer with a length": whole + b"0\r\nContent-Length: 5\r\n\r\n",
        "trailer with a coding": whole + b"0\r\nTransfer-Encoding: chunked\r\n\r\n",
        "trailer folded": whole + b"0\r\nX: a\r\n b\r\n\r\n",
        "trailer with a bare line feed": whole + b"0\r\nX: a\nY: b\r\n\r\n",
        "trailer with space before colon": whole + b"0\r\nX : a\r\n\r\n",
        "trailer without a colon": whole + b"0\r\nX\r\n\r\n",
        "trailers of 40 kB": whole + b"0\r\n" + b"X: " + b"a" * 40_000 + b"\r\n\r\n",
    }
    return {f"chunk: {name}": POST + b"Transfer-Encoding: chunked\r\n\r\n" + body + CANARY for name, body in bodies.items()}


def _lines() -> dict[str, bytes]:
    rest = b"\r\n" + HOST + b"\r\n"
    lines = ["GET  /livez HTTP/1.1", "GET /livez  HTTP/1.1", "GET\t/livez\tHTTP/1.1", "GET /livez", "GET", "", "GET /livez HTTP/1.2", "GET /livez HTTP/2.0", "GET /livez HTTP/0.9",
             "GET /livez HTTP/1.10", "GET /livez HTTP/11", "GET /livez http/1.1", "GET /livez HTTP/1.1 x", " GET /livez HTTP/1.1", "G\x00T /livez HTTP/1.1", "GET /li\x00vez HTTP/1.1",
             "GET /livez#x HTTP/1.1", "GET livez HTTP/1.1", "GET http:///livez HTTP/1.1", "GET ftp://x/livez HTTP/1.1", "CONNECT x:80 HTTP/1.1", "GET /li vez HTTP/1.1", "GET /livez\r HTTP/1.1",
             "G(T /livez HTTP/1.1", "GET\x0b/livez HTTP/1.1", "GET /livez HTTP/1.1\x00", "GET /livez XTTP/1.1", "GET /livez HTTP/", "GET /livez HTTP/a.b", "GET /livez HTTP/1.1\x0b", "get /livez HTTP/1.1",
             "GET: /livez HTTP/1.1", "POST * HTTP/1.1", "GET /\x7f HTTP/1.1", "GET \\livez HTTP/1.1", "PRI * HTTP/2.0"]  # fmt: skip
    made = {f"line {line!r}": line.encode("latin-1") + rest + CANARY for line in lines}
    made["line ended by a line feed"] = b"GET /livez HTTP/1.1\n" + HOST + b"\r\n" + CANARY
    made["all lines ended by line feeds"] = b"GET /livez HTTP/1.1\nHost: x\n\n" + CANARY
    made["all lines ended by returns"] = b"GET /livez HTTP/1.1\rHost: x\r\r" + CANARY
    made["method of 9000 bytes"] = b"G" * 9000 + b" /livez HTTP/1.1" + rest
    made["target of 20000 bytes"] = b"GET /" + b"a" * 20_000 + b" HTTP/1.1" + rest
    return made


def _fields() -> dict[str, bytes]:
    fields = ["X : a", "X\t: a", ": a", "X", " X: a", "X: a\r\n b", "X: a\r\n\tb", "X: a\rb", "X: a\x00b", "X\x00: a", "X\x01: a", "X\x7f: a", "X\xe9: a", "X(: a", "X\": a", "X@: a", "X[: a", "X{: a", "X/: a",
              "X=: a", "X,: a", "X;: a", "X Y: a", "X\\: a", "X: a\x01", "X: a\x7f", "X: a\nY: b", "Host: y", "Expect: 200-ok", "Expect: 100-continue, x", "X:\x00"]  # fmt: skip
    made = {f"field {field!r}": GET + HOST + field.encode("latin-1") + b"\r\n\r\n" + CANARY for field in fields}
    for host in ("", "a b", "a/b", "a\tb", "a@b", "a,b", "[::1", "a:b:c", "x:99999999", "a#b", "a?b", "\x01"):
        made[f"host {host!r}"] = GET + b"Host: " + host.encode() + b"\r\n\r\n" + CANARY
    made["no host"] = GET + b"\r\n" + CANARY
    made["first line of the header folded"] = GET + b" Host: x\r\n\r\n" + CANARY
    made["field of 40 kB"] = GET + HOST + b"X: " + b"a" * 40_000 + b"\r\n\r\n"
    made["2000 fields"] = GET + HOST + b"X: a\r\n" * 2000 + b"\r\n"
    made["NUL bytes only"] = b"\x00" * 64 + b"\r\n\r\n"
    made["TLS where plain HTTP is spoken"] = bytes.fromhex("16030100a5010000a10303") + b"\x00" * 80 + b"\r\n\r\n"
    return made


PAYLOADS: dict[str, bytes] = _lengths() | _codings() | _chunks() | _lines() | _fields()
