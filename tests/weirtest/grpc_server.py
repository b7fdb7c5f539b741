"""A gRPC server of python3-grpcio with methods of all four kinds. Messages are plain bytes."""
import time
from concurrent import futures

import grpc

from . import ports


class Handler(grpc.GenericRpcHandler):
    def __init__(self, owner):
        self.owner = owner

    def service(self, details):
        kind = details.method.rsplit('/', 1)[1]
        make = {'Unary': (grpc.unary_unary_rpc_method_handler, self.unary),
                'Fail': (grpc.unary_unary_rpc_method_handler, self.fail),
                'Slow': (grpc.unary_unary_rpc_method_handler, self.slow),
                'Down': (grpc.unary_stream_rpc_method_handler, self.down),
                'Up': (grpc.stream_unary_rpc_method_handler, self.up),
                'Check': (grpc.unary_unary_rpc_method_handler, self.check) if self.owner.health is not None else None,
                'Both': (grpc.stream_stream_rpc_method_handler, self.both)}.get(kind)
        return make and make[0](make[1])

    def note(self, context):
        self.owner.calls.append(dict(context.invocation_metadata()))
        context.add_callback(lambda: self.owner.ended.append(context.code()))
        context.send_initial_metadata((('x-initial', 'one'),))
        context.set_trailing_metadata((('x-trailing', 'two'), ('x-bytes-bin', b'\x00\xff')))

    def unary(self, message, context):
        self.note(context)
        return message[::-1]

    def fail(self, message, context):
        self.note(context)
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, 'not now: ü')

    def slow(self, message, context):
        self.note(context)
        while context.is_active():
            time.sleep(0.02)
        self.owner.cancelled += 1
        return b''

    def check(self, message, context):
        """The health checking protocol: .health maps the name of a service to its status."""
        self.owner.checks.append(message)
        name = message[2:].decode()
        if name not in self.owner.health:
            context.abort(grpc.StatusCode.NOT_FOUND, 'no such service')
        return bytes([8, self.owner.health[name]])

    def down(self, message, context):
        self.note(context)
        count, size = (int(n) for n in message.split())
        for i in range(count):
            yield (b'%d' % i).ljust(size, b'.')

    def up(self, messages, context):
        self.note(context)
        return b'%d' % sum(len(m) for m in messages)

    def both(self, messages, context):
        self.note(context)
        for m in messages:
            yield m.upper()


class GrpcServer:
    def __init__(self):
        self.calls, self.ended, self.cancelled = [], [], 0
        self.health, self.checks = None, []
        self.port = ports.take()
        large = [('grpc.max_receive_message_length', 1 << 26), ('grpc.max_send_message_length', 1 << 26),
                 ('grpc.so_reuseport', 0)]
        self.server = grpc.server(futures.ThreadPoolExecutor(8), handlers=(Handler(self),), options=large)
        assert self.server.add_insecure_port(f'127.0.0.1:{self.port}') == self.port
        self.server.start()

    def stop(self):
        self.server.stop(0).wait()
        ports.give(self.port)


LARGE = [('grpc.max_receive_message_length', 1 << 26), ('grpc.max_send_message_length', 1 << 26),
         ('grpc.use_local_subchannel_pool', 1), ('grpc.enable_retries', 0), ('grpc.enable_http_proxy', 0)]


def channel(port):
    return grpc.insecure_channel(f'127.0.0.1:{port}', options=LARGE)
