"""An agent that lies: speaks escala.v1.Monitor/Send over grpcio with messages encoded by hand, so that it can say what our
own agent never would."""

import struct

import grpc


def _varint(value):
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def _bytes(field, data):
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def _double(field, value):
    return _varint(field << 3 | 1) + struct.pack("<d", value)


def report(instance, group, incarnation, sequence, **metrics):
    """A Report with one sample. metrics: cpu_percent=..., gauges={name: value}."""
    sample = _varint(1 << 3) + _varint(sequence)
    if "cpu_percent" in metrics:
        sample += _double(3, metrics["cpu_percent"])
    for name, value in metrics.get("gauges", {}).items():
        sample += _bytes(9, _bytes(1, name.encode()) + _double(2, value))
    return (_bytes(1, instance.encode()) + _bytes(2, group.encode()) + _varint(3 << 3) + _varint(incarnation)
            + _bytes(5, sample))


class Liar:
    def __init__(self, address):
        self.channel = grpc.insecure_channel(address)
        self.send_raw = self.channel.unary_unary("/escala.v1.Monitor/Send")

    def send(self, *arguments, **metrics):
        """The gRPC status code's name."""
        try:
            self.send_raw(report(*arguments, **metrics), timeout=5)
            return "OK"
        except grpc.RpcError as error:
            return error.code().name

    def close(self):
        self.channel.close()
