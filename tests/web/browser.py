"""A browser, and a go-between that writes down what the page asks and may change what it is answered."""
import email
import email.policy
import http.client
import json
import os
import shutil
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")


class Between:
    """Passes everything on to the server at `port`. `alter(method, path, headers)` may return (status, body) to answer
    itself, a function of (status, body) to change the server's answer, or "drop" to hang up."""

    def __init__(self, port):
        self.requests, self.alter = [], None
        between = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                between.answer(self, port)

            do_POST = do_GET

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, handler, port):
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        self.requests.append((handler.command, handler.path, dict(handler.headers), body))
        change = self.alter and self.alter(handler.command, handler.path, handler.headers)
        if change == "drop":
            handler.close_connection = True
            handler.connection.close()
            return
        if isinstance(change, tuple):
            status, headers, answer = change[0], {"Content-Type": "application/json"}, change[1]
        else:
            upstream = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            upstream.request(handler.command, handler.path, body or None,
                             {k: v for k, v in handler.headers.items() if k.lower() not in ("host", "connection")})
            response = upstream.getresponse()
            status, headers, answer = response.status, dict(response.getheaders()), response.read()
            upstream.close()
            if change:
                status, answer = change(status, answer)
        handler.send_response(status)
        for key, value in headers.items():
            if key.lower() not in ("content-length", "connection", "transfer-encoding", "date", "server"):
                handler.send_header(key, value)
        handler.send_header("Content-Length", str(len(answer)))
        handler.end_headers()
        handler.wfile.write(answer)

    def asked(self):
        """The questions so far: fields of a form (lists of text; `photo` as bytes), or JSON."""
        return [fields(headers, body) for method, path, headers, body in self.requests if path == "/v1/query"]


def fields(headers, body):
    kind = headers["Content-Type"]
    if not kind.startswith("multipart/form-data"):
        return json.loads(body)
    message = email.message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + body, policy=email.policy.HTTP)
    out = {}
    for part in message.iter_parts():
        key, value = part.get_param("name", header="content-disposition"), part.get_payload(decode=True)
        if key == "photo":
            out[key] = value
        else:
            out.setdefault(key, []).append(value.decode())
    return out


def error(status, message):
    return status, json.dumps({"error": {"code": "TEST", "message": message, "status": status}}).encode()


def edited(edit):
    """Changes the server's answer: edit(answer) may write to it."""
    def change(status, body):
        answer = json.loads(body)
        edit(answer)
        return status, json.dumps(answer).encode()
    return change


def start():
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    arguments = ["--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
                 "--no-first-run", "--force-color-profile=srgb"]
    if os.geteuid() == 0:
        arguments.append("--no-sandbox")
    for argument in arguments:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(options=options, service=Service(DRIVER))


def wait(condition, what, seconds=10):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"{what}: not within {seconds} s")
