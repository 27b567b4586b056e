import asyncio
import shutil
import ssl
import subprocess
import sys

import aiohttp
import pytest

from gen.engines.certificates import Late, put_off

LOOK = "import gen.engines.transport, aiohttp.connector as c; print(type(c._SSL_CONTEXT_VERIFIED).__name__)"


def test_the_engines_read_no_certificates_as_they_are_imported():
    done = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "Late"


def test_what_is_put_off_is_read_when_it_is_wanted():
    with put_off():
        context = ssl.create_default_context()
    now = ssl.create_default_context()
    assert type(context) is Late
    assert type(now) is ssl.SSLContext
    assert (context.verify_mode, context.check_hostname, context.options) == (
        now.verify_mode, now.check_hostname, now.options
    )  # fmt: skip
    assert context.get_ca_certs() == now.get_ca_certs()
    assert type(context) is ssl.SSLContext


async def _asked(served: ssl.SSLContext, context: ssl.SSLContext) -> bytes:
    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=served)
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    try:
        async with aiohttp.ClientSession() as session, session.get(url, ssl=context) as response:
            return await response.read()
    finally:
        server.close()


@pytest.mark.skipif(not shutil.which("openssl"), reason="makes a certificate with openssl")
def test_https_is_verified_by_certificates_that_were_put_off(tmp_path, monkeypatch):
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    named = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(key), "-out", str(cert), *named]
    subprocess.run(made, check=True, capture_output=True)
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(cert, key)
    with put_off():
        strange, known = ssl.create_default_context(), ssl.create_default_context()
    with pytest.raises(aiohttp.ClientConnectorCertificateError):
        asyncio.run(_asked(served, strange))
    monkeypatch.setenv("SSL_CERT_FILE", str(cert))
    assert asyncio.run(_asked(served, known)) == b"hi"
