"""A small baseline JPEG encoder (ITU-T T.81): three colours, none of them
subsampled, with the example tables of the standard's annex K."""

import math
import struct

ZIGZAG = sorted(
    range(64),
    key=lambda i: (i // 8 + i % 8,
                   i // 8 if (i // 8 + i % 8) % 2 else i % 8))

LUMA_STEPS = [
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55,
    14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62,
    18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
]
CHROMA_STEPS = [
    17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99,
    24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99, 99, 99, 99,
] + [99] * 32

# Huffman tables: how many codes of each length 1..16, and their symbols.
DC_COUNTS = [0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0]
DC_SYMBOLS = list(range(12))
AC_COUNTS = [0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125]
AC_SYMBOLS = list(bytes.fromhex(
    "01020300041105122131410613516107227114328191a1082342b1c11552d1f0"
    "2433627282090a161718191a25262728292a3435363738393a43444546474849"
    "4a535455565758595a636465666768696a737475767778797a83848586878889"
    "8a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5"
    "c6c7c8c9cad2d3d4d5d6d7d8d9dae1e2e3e4e5e6e7e8e9eaf1f2f3f4f5f6f7f8"
    "f9fa"))

# The one-dimensional cosine transform as whole numbers (times 2^12), so that
# every machine rounds alike.
COSINES = [[round(4096 * math.cos((2 * x + 1) * u * math.pi / 16) / 2
                  * (math.sqrt(0.5) if u == 0 else 1))
            for x in range(8)] for u in range(8)]


def steps_for(quality, table):
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    return [min(255, max(1, (s * scale + 50) // 100)) for s in table]


def codes_for(counts, symbols):
    """symbol -> (code, length)"""
    codes = {}
    code = 0
    symbol = iter(symbols)
    for length, count in enumerate(counts, 1):
        for _ in range(count):
            codes[next(symbol)] = (code, length)
            code += 1
        code <<= 1
    return codes


def transform(block):
    """Forward DCT of 64 numbers, times 2^24."""
    rows = []
    for y in range(0, 64, 8):
        a, b, c, d, e, f, g, h = block[y:y + 8]
        rows.append([k[0] * a + k[1] * b + k[2] * c + k[3] * d + k[4] * e
                     + k[5] * f + k[6] * g + k[7] * h for k in COSINES])
    columns = list(zip(*rows))
    return [k[0] * a + k[1] * b + k[2] * c + k[3] * d + k[4] * e
            + k[5] * f + k[6] * g + k[7] * h
            for k in COSINES for a, b, c, d, e, f, g, h in columns]


class Bits:
    def __init__(self):
        self.bytes = bytearray()
        self.value = 0
        self.count = 0

    def put(self, value, count):
        self.value = self.value << count | value
        self.count += count
        while self.count >= 8:
            self.count -= 8
            byte = self.value >> self.count & 255
            self.bytes.append(byte)
            if byte == 255:
                self.bytes.append(0)  # so that it is not taken for a marker
        self.value &= (1 << self.count) - 1

    def finish(self):
        if self.count:
            self.put((1 << 8 - self.count) - 1, 8 - self.count)
        return bytes(self.bytes)


def put_number(bits, value, code, length):
    """A Huffman code, then the bits of the number it announces."""
    size = abs(value).bit_length()
    if value < 0:
        value += (1 << size) - 1
    bits.put(code << size | value, length + size)


def put_block(bits, block, steps, before, dc_codes, ac_codes):
    """Encode 64 samples; returns the DC value, which the next one needs."""
    raw = transform(block)
    values = []
    for place in ZIGZAG:
        step = steps[place] << 24
        value = raw[place]
        half = step // 2
        values.append((value + half) // step if value >= 0
                      else -((half - value) // step))

    difference = values[0] - before
    put_number(bits, difference, *dc_codes[abs(difference).bit_length()])
    zeros = 0
    for value in values[1:]:
        if value == 0:
            zeros += 1
            continue
        while zeros > 15:
            bits.put(*ac_codes[0xF0])
            zeros -= 16
        symbol = zeros << 4 | abs(value).bit_length()
        put_number(bits, value, *ac_codes[symbol])
        zeros = 0
    if zeros:
        bits.put(*ac_codes[0])
    return values[0]


def segment(marker, payload):
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def encode(width, height, pixels, quality):
    """JPEG bytes of `pixels`: rows of (red, green, blue), 0..255.  Width and
    height are multiples of 8."""
    planes = [[], [], []]
    for row in pixels:
        luma, blue, red = [], [], []
        for r, g, b in row:
            luma.append((19595 * r + 38470 * g + 7471 * b >> 16) - 128)
            blue.append(-11059 * r - 21709 * g + 32768 * b >> 16)
            red.append(32768 * r - 27439 * g - 5329 * b >> 16)
        for plane, line in zip(planes, (luma, blue, red)):
            plane.append(line)

    steps = [steps_for(quality, t) for t in (LUMA_STEPS, CHROMA_STEPS)]
    dc_codes = codes_for(DC_COUNTS, DC_SYMBOLS)
    ac_codes = codes_for(AC_COUNTS, AC_SYMBOLS)
    bits = Bits()
    before = [0, 0, 0]
    for y in range(0, height, 8):
        for x in range(0, width, 8):
            for i, plane in enumerate(planes):
                block = [v for line in plane[y:y + 8] for v in line[x:x + 8]]
                before[i] = put_block(bits, block, steps[min(i, 1)], before[i],
                                      dc_codes, ac_codes)

    frame = struct.pack(">BHHB", 8, height, width, 3)
    scan = b"\3"
    for i in range(3):
        frame += bytes([i + 1, 0x11, min(i, 1)])
        scan += bytes([i + 1, 0])
    out = b"\xff\xd8"
    out += segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0")
    for i in range(2):
        out += segment(0xDB, bytes([i]) + bytes(steps[i][p] for p in ZIGZAG))
    out += segment(0xC0, frame)
    out += segment(0xC4, b"\x00" + bytes(DC_COUNTS + DC_SYMBOLS))
    out += segment(0xC4, b"\x10" + bytes(AC_COUNTS + AC_SYMBOLS))
    out += segment(0xDA, scan + b"\0\x3f\0")
    return out + bits.finish() + b"\xff\xd9"
