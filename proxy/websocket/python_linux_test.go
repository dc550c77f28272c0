package websocket_test

import (
	"os/exec"
	"testing"

	"alicorn/proxy/proxytest"
)

// websocketsClient checks an echo server with Debian's websockets.
const websocketsClient = `
import asyncio, random, ssl, sys
import websockets

async def main(port, secure):
    context = None
    if secure:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    url = ("wss" if secure else "ws") + "://127.0.0.1:" + port
    for compression in (None, "deflate"):
        async with websockets.connect(url, ssl=context, compression=compression, subprotocols=["chat"], max_size=None, max_queue=4) as ws:
            assert ws.subprotocol == "chat", ws.subprotocol
            assert bool(ws.extensions) == (compression is not None), ws.extensions
            rnd = random.Random(1)
            for size in (0, 1, 125, 126, 1000, 65535, 65536, 1000000):
                for message in ("ä" * (size // 2), rnd.randbytes(size), b"abc" * (size // 3)):
                    await ws.send(message)
                    assert await ws.recv() == message, size
                    parts = [message[i:i + size // 3 + 1] for i in range(0, size, size // 3 + 1)] or [message]
                    await ws.send(parts)
                    assert await ws.recv() == message[:0].join(parts), size
            await (await ws.ping(b"are you there"))
            many = [str(i) for i in range(500)]
            async def send():
                for m in many:
                    await ws.send(m)
            sending = asyncio.create_task(send())
            assert [await ws.recv() for _ in many] == many
            await sending
            await ws.close(4001, "bye")
            assert (ws.close_code, ws.close_reason) == (4001, ""), (ws.close_code, ws.close_reason)

asyncio.run(main(sys.argv[1], sys.argv[2] == "true"))
`

func TestPythonsWebsocketsWorks(t *testing.T) {
	proxytest.InAllWays(t, func(t *testing.T, secure, goroutines bool) {
		t.Parallel()
		s := start(t, secure, goroutines, "", nil)
		out, err := exec.Command("/usr/bin/python3", "-c", websocketsClient, port(s), map[bool]string{true: "true", false: "false"}[secure]).CombinedOutput()
		if err != nil {
			t.Errorf("%v: %s", err, out)
		}
	})
}
