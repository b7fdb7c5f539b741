"""Back ends of the chaos in a process of their own: good ones that always answer, and moody ones that do what back ends do on
bad days. /b/N is N bytes of a known pattern, /up the length of what came, /ws an echo. A line "calm" on standard input makes the moody
ones good, "moody" moody again.

    backends.py SEED GOOD_PORT,.. MOODY_PORT,..
"""
import asyncio
import random
import re
import socket
import struct
import sys

PATTERN = random.Random(7).randbytes(65521)
MOODS = ['good'] * 40 + [ 'refuse', 'reset', 'reset after head', 'cut', 'reset in body', 'stall', 'garbage', 'drip', 'error',
         'early', 'close behind', 'close idle', 'half head', 'two lengths', 'bad chunk', 'no length', 'head drip', 'huge head', 'switch',
         'stall in body', 'extra bytes', '100', 'early reset']


def pattern(n):
    return (PATTERN * (n // len(PATTERN) + 1))[:n]


def reset(w):
    s = w.get_extra_info('socket') if not w.is_closing() else None
    if s is not None and s.fileno() >= 0:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    w.transport.abort()


class Gone(Exception):
    pass


class Back:
    def __init__(self, port, seed, moody):
        self.port, self.rng, self.may, self.moody = port, random.Random(f'{seed}/{port}'), moody, moody
        self.writers = set()

    async def run(self):
        while True:
            server = await asyncio.start_server(self.serve, '127.0.0.1', self.port, backlog=1024)
            while True:
                await asyncio.sleep(0.5 + self.rng.random())
                if self.moody and self.rng.random() < 0.2:
                    break
            server.close()
            if self.rng.random() < 0.5:
                for w in list(self.writers):
                    reset(w)
            await asyncio.sleep(self.rng.random())

    async def serve(self, r, w):
        self.writers.add(w)
        try:
            while await self.one(r, w):
                pass
        except (OSError, Gone, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            pass
        finally:
            self.writers.discard(w)
            w.close()

    async def body(self, r, head):
        if m := re.search(rb'(?i)\r\ncontent-length: *(\d+)', head):
            return await r.readexactly(int(m[1]))
        if not re.search(rb'(?i)\r\ntransfer-encoding: *chunked', head):
            return b''
        data = b''
        while True:
            size = int((await r.readuntil(b'\r\n')).split(b';')[0], 16)
            data += (await r.readexactly(size + 2))[:-2]
            if size == 0:
                return data

    async def one(self, r, w):
        if self.moody and self.rng.random() < 0.08:
            return reset(w) if self.rng.random() < 0.5 else False
        head = await r.readuntil(b'\r\n\r\n')
        mood = self.rng.choice(MOODS) if self.moody else 'good'
        if mood == 'refuse':
            return False
        if mood == 'reset':
            return reset(w)
        target = head.split(b' ', 2)[1].decode('latin-1')
        head_only = head.startswith(b'HEAD ')
        if self.moody and 'f=' in target:
            mood = re.search(r'f=([\w+]+)', target)[1].replace('+', ' ')
        if mood == 'early':
            w.write(b'HTTP/1.1 413 X\r\nContent-Length: 5\r\n\r\nearly')
            await w.drain()
            return False
        if mood == 'early reset':
            w.write(b'HTTP/1.1 200 X\r\nContent-Length: 500\r\n\r\nearly')
            return reset(w)
        body = await self.body(r, head)
        if re.search(rb'(?i)\r\nupgrade: *websocket', head) and mood in ('good', 'drip'):
            return await self.echo(r, w)
        if '/up' in target:
            answer = str(len(body)).encode()
        elif m := re.search(r'/b/(\d+)', target):
            answer = pattern(int(m[1]))
            if m := re.search(rb'(?i)\r\nrange: *bytes=(\d+)-(\d*)\r', head):
                return await self.ranged(w, answer, int(m[1]), m[2])
        elif '/ssi' in target:
            answer = b'<!--#include virtual="/g/b/100" --><!--#include virtual="/n" -->[<!--#echo var="request_method" -->]'
        else:
            answer = b'ok'
        return await self.answer(r, w, mood, target, answer, head_only)

    async def ranged(self, w, answer, first, last):
        last = min(int(last) if last else len(answer), len(answer) - 1)
        if first >= len(answer):
            w.write(b'HTTP/1.1 416 X\r\nContent-Range: bytes */%d\r\nContent-Length: 0\r\n\r\n' % len(answer))
        else:
            w.write(b'HTTP/1.1 206 X\r\nContent-Range: bytes %d-%d/%d\r\nETag: "x"\r\nContent-Length: %d\r\n\r\n'
                    % (first, last, len(answer), last - first + 1) + answer[first:last + 1])
        await w.drain()
        return True

    async def answer(self, r, w, mood, target, answer, head_only):
        rng = self.rng
        kind = b'text/html' if '/ssi' in target else b'text/plain'
        head = b'HTTP/1.1 200 OK\r\nContent-Type: %s\r\nCache-Control: max-age=1\r\nSet-Cookie: s=%d\r\n' % (kind, self.port)
        if 'c=1' in target:
            head += b'Transfer-Encoding: chunked\r\n\r\n'
            size = rng.choice([17, 1000, 70000])
            pieces = [answer[i:i + size] for i in range(0, len(answer), size)]
            whole = b''.join(b'%x\r\n%s\r\n' % (len(piece), piece) for piece in pieces) + b'0\r\n\r\n'
        else:
            head += b'Content-Length: %d\r\n\r\n' % len(answer)
            whole = answer
        if head_only:
            whole = b''
        if mood == 'reset after head':
            return reset(w)
        if mood == 'stall':
            await asyncio.sleep(rng.choice([0.3, 5]))
        elif mood == 'garbage':
            w.write(rng.randbytes(rng.choice([3, 300, 30000])))
            await w.drain()
            return False
        elif mood in ('cut', 'reset in body', 'stall in body'):
            w.write((head + whole)[:rng.randrange(len(head) + len(whole))])
            await w.drain()
            if mood == 'stall in body':
                await asyncio.sleep(5)
            return reset(w) if mood == 'reset in body' else False
        elif mood == 'error':
            w.write(b'HTTP/1.1 %s X\r\nContent-Length: 1\r\n\r\ne' % rng.choice([b'500', b'503', b'404', b'000', b'999']))
            await w.drain()
            return True
        elif mood == 'half head':
            w.write(head[:rng.randrange(1, len(head) - 2)])
            await w.drain()
            return False
        elif mood == 'two lengths':
            head = head[:-2] + b'Content-Length: 5\r\n\r\n'
        elif mood == 'bad chunk':
            w.write(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\nzz\r\n')
            await w.drain()
            return rng.random() < 0.5
        elif mood == 'no length':
            w.write(b'HTTP/1.1 200 OK\r\n\r\n' + answer)
            await w.drain()
            return False
        elif mood == 'huge head':
            w.write(b'HTTP/1.1 200 OK\r\nX-Huge: ' + b'h' * rng.choice([5000, 200000]) + b'\r\nContent-Length: 1\r\n\r\nh')
            await w.drain()
            return True
        elif mood == 'switch':
            w.write(b'HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n')
            await w.drain()
            return rng.random() < 0.5
        elif mood == 'extra bytes':
            whole += b'HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nEVIL'
        elif mood == '100':
            head = b'HTTP/1.1 100 Continue\r\n\r\n' * 3 + b'HTTP/1.1 103 E\r\nLink: </x>\r\n\r\n' + head
        data = head + whole
        if mood in ('drip', 'head drip'):
            size = 1 if mood == 'head drip' else max(1, len(data) // 20)
            stop = min(len(data), len(head) if mood == 'head drip' else len(data))
            for i in range(0, stop, size):
                w.write(data[i:min(i + size, stop)])
                await w.drain()
                await asyncio.sleep(0.002)
            data = data[stop:]
        w.write(data)
        await w.drain()
        if mood == 'close idle':
            await asyncio.sleep(rng.random() / 5)
            return False
        return mood not in ('close behind', 'extra bytes')

    async def echo(self, r, w):
        w.write(b'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n')
        while data := await r.read(65536):
            if self.moody and self.rng.random() < 0.05:
                return reset(w) if self.rng.random() < 0.5 else False
            w.write(data)
            await w.drain()
        return False


async def main():
    seed, good, moody = sys.argv[1], [int(p) for p in sys.argv[2].split(',')], [int(p) for p in sys.argv[3].split(',')]
    backs = [Back(p, seed, False) for p in good] + [Back(p, seed, True) for p in moody]
    for b in backs:
        asyncio.ensure_future(b.run())
    reader = asyncio.StreamReader()
    await asyncio.get_event_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        for b in backs:
            b.moody = b.may and line.strip() == b'moody'
        print('ok', flush=True)


if __name__ == '__main__':
    asyncio.get_event_loop_policy().get_event_loop().run_until_complete(main())
