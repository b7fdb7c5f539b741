"""The cases of the benchmark: one row each, in the order of the report."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    name: str        # what --case takes
    title: str       # what the report says
    conns: int       # connections of the load
    path: str = "/200"
    length: int = 200       # of the body that must come back
    kind: str = "get"       # load.lua's KIND, "idle", "reload", tls.c's "full" and "resumed", or "h2=STREAMS": h2load with as many on each
    listener: str = "PROXY"  # which of a server's listeners is asked
    log: str = ""           # name of the access log that must have grown


CASES = (
    Case("200-c1", "200 B, 1 connection", 1),
    Case("200-c64", "200 B, 64 connections", 64),
    Case("200-c512", "200 B, 512 connections", 512),
    Case("browser", "200 B, browser-sized request head", 64, kind="browser"),
    Case("post-1k", "POST 1 KiB", 64, kind="post=1024"),
    Case("64k", "64 KiB response", 64, "/65536", 65536),
    Case("10m", "10 MiB response", 8, "/10485760", 10485760),
    Case("upload-1m", "1 MiB upload", 16, kind="post=1048576"),
    Case("close", "200 B, new connection per request", 64, kind="close"),
    Case("log", "200 B, access log on", 64, listener="LOG", log="access.log"),
    Case("log-buffered", "200 B, access log buffered", 64, listener="LOGBUF", log="access_buffered.log"),
    Case("static-1k", "file of 1 KiB", 64, "/1k.bin", 1024, listener="STATIC"),
    Case("static-1m", "file of 1 MiB", 16, "/1m.bin", 1 << 20, listener="STATIC"),
    Case("cache-1k", "cache hit, 1 KiB", 64, "/1024", 1024, listener="CACHE"),
    Case("cache-1m", "cache hit, 1 MiB", 16, "/1048576", 1 << 20, listener="CACHE"),
    Case("tls-200", "TLS 1.3, 200 B", 64, listener="TLS"),
    Case("tls-64k", "TLS 1.3, 64 KiB response", 64, "/65536", 65536, listener="TLS"),
    Case("tls-10m", "TLS 1.3, 10 MiB response", 8, "/10485760", 10485760, listener="TLS"),
    Case("tls-full", "TLS 1.3, full handshake (ECDSA) and 200 B", 1, kind="full", listener="TLS"),
    Case("tls-resumed", "TLS 1.3, resumed handshake and 200 B", 1, kind="resumed", listener="TLS"),
    Case("tls-idle", "idle TLS connections", 0, kind="idle", listener="TLS"),
    Case("h2-200", "HTTP/2: 200 B, 10 connections of 100 streams", 10, kind="h2=100", listener="H2"),
    Case("h2-1k", "HTTP/2: file of 1 KiB, 10 connections of 100 streams", 10, "/1k.bin", 1024, kind="h2=100", listener="H2STATIC"),
    Case("h2-64k", "HTTP/2: file of 64 KiB, 10 connections of 100 streams", 10, "/64k.bin", 1 << 16, kind="h2=100",
         listener="H2STATIC"),
    Case("h2tls-200", "HTTP/2 over TLS 1.3: 200 B, 10 connections of 100 streams", 10, kind="h2=100", listener="H2TLS"),
    Case("h2tls-64k", "HTTP/2 over TLS 1.3: 64 KiB response, 10 connections of 100 streams", 10, "/65536", 65536, kind="h2=100",
         listener="H2TLS"),
    Case("h2tls-file", "HTTP/2 over TLS 1.3: file of 64 KiB, 10 connections of 100 streams", 10, "/64k.bin", 1 << 16, kind="h2=100",
         listener="H2TLSSTATIC"),
    Case("reload", "200 B, 64 connections, 2,000 servers", 64, kind="reload"),
    Case("idle", "idle keep-alive connections", 0, kind="idle"),
)

STATIC_FILES = {c.path[1:]: c.length for c in CASES if c.listener.endswith("STATIC")}
