#!/usr/bin/python3
"""packet_watch.py INTERFACE: a line for each IP packet that leaves by it: PROTOCOL DESTINATION PORT HEX-OF-PAYLOAD."""
import socket
import sys

ALL = 0x0003
OUTGOING = 4


def parse(frame):
    kind = frame[12:14]
    if kind == b"\x08\x00":
        ip = frame[14:]
        protocol, to, rest = ip[9], socket.inet_ntop(socket.AF_INET, ip[16:20]), ip[(ip[0] & 15) * 4:]
    elif kind == b"\x86\xdd":
        ip = frame[14:]
        protocol, to, rest = ip[6], socket.inet_ntop(socket.AF_INET6, ip[24:40]), ip[40:]
    else:
        return None
    if protocol == socket.IPPROTO_UDP:
        return "udp", to, int.from_bytes(rest[2:4], "big"), rest[8:]
    if protocol == socket.IPPROTO_TCP:
        return "tcp", to, int.from_bytes(rest[2:4], "big"), rest[(rest[12] >> 4) * 4:]
    return str(protocol), to, 0, rest


with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL)) as s:
    s.bind((sys.argv[1], 0))
    print("ready", flush=True)
    while True:
        frame, origin = s.recvfrom(65536)
        found = parse(frame) if origin[2] == OUTGOING else None
        if found:
            print(*found[:3], found[3].hex(), flush=True)
