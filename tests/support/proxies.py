"""Real proxies in front of a front door: nginx and haproxy, on loopback, without a word about them on the machine's own ports."""

import subprocess
from pathlib import Path

from .ports import free_port
from .waiting import wait_until

_NGINX = """daemon off; master_process off; worker_processes 1; pid {home}/nginx.pid; error_log {home}/nginx.log error;
events {{ worker_connections 512; }}
http {{
  access_log off; client_body_temp_path {home}/body; proxy_temp_path {home}/proxy; fastcgi_temp_path {home}/f; uwsgi_temp_path {home}/u; scgi_temp_path {home}/s;
  client_header_timeout 3s; client_body_timeout 3s;
  upstream door {{ server 127.0.0.1:{behind}; keepalive 8; }}
  server {{ listen 127.0.0.1:{port};
    location / {{ proxy_pass http://door; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_request_buffering off; proxy_read_timeout 8s; }} }}
}}
"""
_HAPROXY = """global
  maxconn 500
defaults
  mode http
  timeout connect 5s
  timeout client 3s
  timeout server 8s
  timeout http-request 3s
  option http-keep-alive
frontend in
  bind 127.0.0.1:{port}
  default_backend door
backend door
  http-reuse always
  server door 127.0.0.1:{behind}
"""


class Proxy:
    """One of "nginx" and "haproxy", in front of the port `behind`; keeps its connections to it open between requests."""

    def __init__(self, kind: str, behind: int, home: Path):
        self.kind, self.home, self.port = kind, home, free_port()
        home.mkdir(parents=True, exist_ok=True)
        config = home / f"{kind}.conf"
        config.write_text((_NGINX if kind == "nginx" else _HAPROXY).format(home=home, behind=behind, port=self.port))
        self._command = ["/usr/sbin/nginx", "-c", str(config)] if kind == "nginx" else ["/usr/sbin/haproxy", "-db", "-f", str(config)]

    def __enter__(self) -> "Proxy":
        with (self.home / f"{self.kind}.out").open("wb") as out:
            self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        wait_until(f"{self.kind} listens", lambda: self._listens(), 15)
        return self

    def _listens(self) -> bool:
        assert self._process.poll() is None, (self.home / f"{self.kind}.out").read_text()
        from .raw_http import ask, request

        try:
            return ask(self.port, request("GET", "/livez")).status == 200
        except OSError:
            return False

    def __exit__(self, *_) -> None:
        self._process.terminate()
        self._process.wait(10)
