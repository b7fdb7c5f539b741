"""A scripted DNS server over UDP and TCP on one port of loopback.

    dns = DnsServer({'a.test': ['127.0.0.1', '::1'], 'b.test': [('CNAME', 'a.test')], 'c.test': 'SERVFAIL',
                     '_http._tcp.d.test': [('SRV', 1, 5, 8080, 'a.test')]}, ttl=1)

.records may be changed at any time. .queries lists (name, type) as they came. A function as value is called with (name, type)
and gives a list, a word, or bytes: a whole message, sent with the id of the query. Words: NXDOMAIN, SERVFAIL, REFUSED, DROP,
TRUNCATE (over UDP; over TCP the records of .behind).
"""
import ipaddress
import socket
import struct
import threading

from . import ports

TYPES = {'A': 1, 'CNAME': 5, 'SOA': 6, 'AAAA': 28, 'SRV': 33}
_CODES = {'NXDOMAIN': 3, 'SERVFAIL': 2, 'REFUSED': 5, 'FORMERR': 1}


def encode_name(name):
    return b''.join(bytes([len(p)]) + p.encode() for p in name.rstrip('.').split('.') if p) + b'\0'


def _data(kind, values):
    if kind == 'SRV':
        return struct.pack('>HHH', *values[:3]) + encode_name(values[3])
    if kind == 'CNAME':
        return encode_name(values[0])
    return ipaddress.ip_address(values[0]).packed


def record(name, kind, values, ttl):
    data = _data(kind, values)
    return encode_name(name) + struct.pack('>HHIH', TYPES[kind], 1, ttl, len(data)) + data


def _typed(value):
    if isinstance(value, tuple):
        return value[0], value[1:]
    return ('AAAA' if ':' in value else 'A'), (value,)


class DnsServer:
    def __init__(self, records=None, ttl=1):
        self.records, self.ttl, self.behind = dict(records or {}), ttl, {}
        self.queries, self.tcp_queries = [], []
        self.port = ports.take()
        self.address = f'127.0.0.1:{self.port}'
        self.udp = self.tcp = None
        self.start()

    def start(self):
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.udp.bind(('127.0.0.1', self.port))
        self.tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.tcp.bind(('127.0.0.1', self.port))
        self.tcp.listen(64)
        threading.Thread(target=self.serve_udp, args=(self.udp,), daemon=True).start()
        threading.Thread(target=self.serve_tcp, args=(self.tcp,), daemon=True).start()

    def stop(self):
        """From here on queries are refused by the kernel; start() begins again."""
        for s in (self.udp, self.tcp):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()

    def close(self):
        self.stop()
        ports.give(self.port)

    def serve_udp(self, sock):
        while True:
            try:
                query, peer = sock.recvfrom(4096)
            except OSError:
                return
            answer = self.answer(query, self.queries, False)
            if answer is not None:
                try:
                    sock.sendto(answer, peer)
                except OSError:
                    pass

    def serve_tcp(self, sock):
        while True:
            try:
                c, _ = sock.accept()
            except OSError:
                return
            with c:
                c.settimeout(5)
                try:
                    n = struct.unpack('>H', c.recv(2, socket.MSG_WAITALL))[0]
                    answer = self.answer(c.recv(n, socket.MSG_WAITALL), self.tcp_queries, True)
                    if answer is not None:
                        c.sendall(struct.pack('>H', len(answer)) + answer)
                except (OSError, struct.error, IndexError):    # who asks has gone
                    pass

    def answer(self, query, log, tcp):
        if len(query) < 17:
            return None
        at, labels = 12, []
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode('latin-1'))
            at += 1 + query[at]
        kind = struct.unpack('>H', query[at + 1:at + 3])[0]
        question, name = query[12:at + 5], '.'.join(labels).lower()
        word = next((k for k, v in TYPES.items() if v == kind), str(kind))
        log.append((name, word))
        value = (self.behind if tcp and name in self.behind else self.records).get(name, 'NXDOMAIN')
        if callable(value):
            value = value(name, word)
        if isinstance(value, bytes):
            return query[:2] + value[2:]
        if value == 'DROP':
            return None
        if value == 'TRUNCATE':
            return query[:2] + struct.pack('>HHHHH', 0x8380, 1, 0, 0, 0) + question
        if isinstance(value, str):
            return query[:2] + struct.pack('>HHHHH', 0x8180 | _CODES[value], 1, 0, 0, 0) + question
        answers = self.find(name, value, word)
        return query[:2] + struct.pack('>HHHHH', 0x8180, 1, len(answers), 0, 0) + question + b''.join(answers)

    def find(self, name, values, word):
        found = []
        for value in values:
            kind, data = _typed(value)
            if kind == 'CNAME':
                found.append(record(name, kind, data, self.ttl))
                further = self.records.get(data[0], [])
                found += self.find(data[0], further if isinstance(further, list) else [], word)
            elif kind == word:
                found.append(record(name, kind, data, self.ttl))
        return found

    def count(self, name):
        return sum(n == name for n, _ in self.queries)
