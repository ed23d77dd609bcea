"""A second decoder of `.smidgen` files, in plain Python without imports from the package.

    decode(content) -> {"input": (channels, height, width), "layers": [...], "names": [...], "tensors": [...]}

It is written from docs/reference/file-format.md alone, which shows that the document is complete. A tensor is a list
of the bits of its float32 values. Wrong files raise ValueError.
"""

import struct

from second_decoder_layers import need, read_layers, tensor_shapes

LEARN = (0, 1, 6)


def crc16(data):
    crc = 0xFFFF
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ (0x1021 if crc & 0x8000 else 0)) & 0xFFFF
    return crc.to_bytes(2, "big")


def crc32(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xEDB88320 if crc & 1 else 0)
    return (crc ^ 0xFFFFFFFF).to_bytes(4, "big")


class Model:
    def __init__(self, p, n, frozen=False):
        self.p, self.n, self.frozen = p, n, frozen

    def learn(self, bit):
        if self.frozen:
            return
        rate = 65536 // (self.n + 2)
        if bit:
            self.p += (2**22 - self.p) // 64 * rate // 1024
        else:
            self.p -= self.p // 64 * rate // 1024
        self.n = min(self.n + 1, 1022)


class Stream:
    def __init__(self, data, version):
        self.data, self.place = data, 0
        self.code = 0
        for _ in range(4):
            self.code = self.code * 256 + self.next()
        need(self.code != 0xFFFFFFFF, "four bytes of ones")
        self.range = 0xFFFFFFFF
        self.half = Model(2**21, 0, frozen=True)
        self.flags = {}
        self.version = version

    def next(self):
        need(self.place < len(self.data) + 4, "past the end")
        byte = self.data[self.place] if self.place < len(self.data) else 0
        self.place += 1
        return byte

    def decide(self, model):
        bound = self.range // 65536 * (model.p // 64)
        bit = int(self.code < bound)
        if bit:
            self.range = bound
        else:
            self.code -= bound
            self.range -= bound
        model.learn(bit)
        while self.range < 2**24:
            self.code = self.code * 256 + self.next()
            self.range *= 256
        return bit

    def number(self, k):
        value = 0
        for _ in range(k):
            value = 2 * value + self.decide(self.half)
        return value

    def exp_golomb(self, k):
        w = k
        while self.number(1):
            w += 1
            need(w < 100, "a number without end")
        return 2**w + self.number(w) - 2**k

    def flag(self, name):
        return self.decide(self.flags.setdefault(name, Model(3 * 2**20, 2)))


def unzigzag(v):
    return v // 2 if v % 2 == 0 else -(v + 1) // 2


# --- tensors ---------------------------------------------------------------------------------


def coarse_step(c):
    return (8 + c % 8) * 2.0 ** (c // 8 - 24)


def float32(bits):
    return struct.unpack(">f", struct.pack(">I", bits))[0]


def float32_bits(value):
    """Of a double that is a product of two float32: exact, so packing it rounds once."""
    return struct.unpack(">I", struct.pack(">f", value))[0]


def read_grid(s, previous, rows):
    if previous and s.flag("same grid"):
        return previous["grid"]
    if s.flag("one step"):
        last = previous and previous["grid"].get("code")
        code = s.number(8) if last is None else last + unzigzag(s.exp_golomb(2))
        return {"steps": [coarse_step(code)], "code": code}
    kind = s.number(2)
    if kind == 0:
        return {"steps": [float32(s.number(32))], "code": None}
    if kind == 1:
        return {"steps": read_steps(s, rows), "code": None}
    if kind == 2:
        k, z = 1 + s.exp_golomb(3), s.exp_golomb(3)
        if s.number(1):
            entries = [struct.unpack(">e", s.number(16).to_bytes(2, "big"))[0] for _ in range(k)]
            return {"entries": [float32_bits(entry) for entry in entries], "zero": z, "code": None}
        return {"entries": [s.number(32) for _ in range(k)], "zero": z, "code": None}
    return {"full": True, "code": None}


def read_steps(s, rows):
    if not s.number(1):
        return [float32(s.number(32)) for _ in range(rows)]
    codes = [s.number(8)]
    while len(codes) < rows:
        codes.append(codes[-1] + unzigzag(s.exp_golomb(2)))
    return [coarse_step(code) for code in codes]


def fresh_models():
    models = {("zero", b): Model(3 * 2**20, 4) for b in range(6)}
    models |= {("sign", previous): Model(2**21, 4) for previous in range(3)}
    models |= {("octave", b, e): Model(2**21, 4) for b in range(6) for e in range(19)}
    return models | {("mantissa", e, m): Model(3 * 2**19, 4) for e in range(1, 20) for m in range(1, 8)}


def read_level(s, models, b, sign, has_sign=True):
    if not s.decide(models["zero", b]):
        return 0
    negative = has_sign and s.decide(models["sign", sign])
    e = 0
    while e < 19 and s.decide(models["octave", b, e]):
        e += 1
    m = 1
    for d in range(e):
        m = 2 * m + (s.decide(models["mantissa", e, m]) if d < 3 else s.number(1))
    return -m if negative else m


def read_neighbours(s, models, rows, columns):
    levels, left, above, level = [], 0, [0] * columns, 0
    for at in range(rows * columns):
        column = at % columns
        a = left // 4 + above[column]
        b = sum(least <= a for least in (1, 8, 20, 40, 80))
        level = read_level(s, models, b, 0 if level == 0 else 1 if level > 0 else 2)
        levels.append(level)
        left = left + 16 * abs(level) - left // 4
        above[column] = above[column] + 2 * abs(level) - above[column] // 8
    return levels


def read_table(s):
    lengths = [s.number(4) for _ in range(s.exp_golomb(4))]
    need(0 < sum(2.0**-length for length in lengths if length) <= 1, "no Huffman code")
    codes, code, last = {}, -1, 0
    for length, symbol in sorted((length, symbol) for symbol, length in enumerate(lengths) if length):
        code = (code + 1) << (length - last)
        codes[format(code, f"0{length}b")] = symbol
        last = length
    return codes


def read_symbol(s, codes):
    bits = ""
    while bits not in codes:
        need(len(bits) < 15, "no such code")
        bits += str(s.number(1))
    return codes[bits]


def read_huffman(s, count):
    lowest = unzigzag(s.exp_golomb(3))
    codes = read_table(s)
    return [lowest + read_symbol(s, codes) for _ in range(count)]


def read_gaps(s, size):
    levels, count, at = [0] * size, s.exp_golomb(8), -1
    if count:
        s.number(3)
        codes = read_table(s)
        gaps = [read_symbol(s, codes) for _ in range(count)]
        for gap, level in zip(gaps, read_huffman(s, count), strict=True):
            at += gap + 1
            need(at < size, "a gap past the end")
            levels[at] = level
    return levels


def read_static(s, size):
    octaves, models = s.number(5), fresh_models()
    need(octaves <= 20, "too many octaves")
    stored = [("zero", 0), ("sign", 0)] + [("octave", 0, e) for e in range(min(octaves, 19))]
    stored += [("mantissa", e, m) for e in range(1, octaves) for m in range(1, 2 ** min(e, 3))]
    for name in stored:
        models[name] = Model((2 * s.number(8) + 1) * 2**13, 0, frozen=True)
    return [read_level(s, models, 0, 0) for _ in range(size)]


def read_levels(s, coder, models, rows, columns):
    size = rows * columns
    if coder == 0:
        return [read_level(s, models, 0, 0) for _ in range(size)]
    if coder == 1:
        return read_neighbours(s, models, rows, columns)
    if coder == 2:
        lowest, width = unzigzag(s.exp_golomb(3)), s.number(5)
        return [lowest + s.number(width) for _ in range(size)]
    if coder == 3:
        return read_huffman(s, size)
    if coder == 4:
        return read_gaps(s, size)
    if coder == 5:
        return read_static(s, size)
    need(coder == 6, "unknown coder")
    levels = [unzigzag(s.exp_golomb(3))]
    while len(levels) < size:
        levels.append(levels[-1] + read_level(s, models, 0, 0, has_sign=False))
    return levels


def read_tensor(s, previous, shape):
    """(how it was stored, the bits of its values)."""
    rows = shape[0] if len(shape) > 1 else 1
    size = 1
    for axis in shape:
        size *= axis
    grid = read_grid(s, previous, rows)
    if "full" in grid:
        return {"grid": grid, "coder": None, "models": None}, [s.number(32) for _ in range(size)]
    coder = previous["coder"] if previous and s.flag("same coder") else s.number(3)
    need(coder is not None, "the coder of a tensor that has none")
    continues = coder in LEARN and previous and previous["coder"] in LEARN and s.flag("continues")
    models = previous["models"] if continues else fresh_models()
    levels = read_levels(s, coder, models, rows, size // rows)
    if "entries" in grid:
        bits = [grid["entries"][grid["zero"] + level] for level in levels]
    else:
        steps = grid["steps"]
        per_row = [steps[at // (size // rows)] if len(steps) > 1 else steps[0] for at in range(size)]
        bits = [float32_bits(level * step) for level, step in zip(levels, per_row, strict=True)]
    return {"grid": grid, "coder": coder, "models": models}, bits


def read_meaning(s, channels):
    meaning = {"kind": "image-bytes", "offset": [0.0] * channels, "scale": [1.0] * channels}
    if s.version == 1 or not s.number(1):
        return meaning
    meaning["kind"] = ("vector", "signal", "image-floats", "unstated")[s.number(2)]
    if meaning["kind"] == "unstated":
        return meaning
    if meaning["kind"] == "signal":
        meaning["axes"] = ("time-channels", "channels-time")[s.number(1)]
    if s.number(1):
        read_scales(s, channels, meaning)
    if meaning["kind"] == "image-floats":
        meaning["range"] = ((0, 1), (-1, 1), (0, 255), None)[s.number(2)]
    elif s.number(1):
        meaning["reach"] = 1 + s.exp_golomb(2)
    return meaning


def read_scales(s, channels, meaning):
    count = 1 if channels == 1 or s.number(1) else channels
    exponent, offsets, scales = 0, [], []
    for _ in range(count):
        if s.number(1):
            offset, scale = (struct.unpack(">f", struct.pack(">I", s.number(32)))[0] for _ in range(2))
        else:
            if not s.flag("same scale"):
                exponent += unzigzag(1 + s.exp_golomb(1))
            steps = 0 if s.flag("no offset") else unzigzag(1 + s.exp_golomb(2))
            offset, scale = steps / 2 * 2.0**-exponent, 2.0**exponent
        offsets.append(offset)
        scales.append(scale)
    times = channels // count
    meaning["offset"], meaning["scale"] = offsets * times, scales * times


def decode(content):
    need(len(content) >= 4 and content[0] == 0xB5 and content[1] % 16 in (1, 2), "not such a file")
    width = 2 if len(content) < 4096 else 4
    body = content[:-width]
    need((crc16 if width == 2 else crc32)(body) == content[-width:], "checksum")
    s = Stream(body[2:], content[1] % 16)
    channels, height = 1 + s.exp_golomb(0), 1 + s.exp_golomb(4)
    shape = (channels, height, height if s.flag("square") else 1 + s.exp_golomb(4))
    layers = read_layers(s)
    shapes, (outputs, _, _) = tensor_shapes(layers, shape)
    need(outputs > 1 or s.version > 1, "one output in version 1")
    classes = 2 if outputs == 1 else outputs
    names = [str(place) for place in range(classes)]
    if s.number(1):
        names = [bytes(s.number(8) for _ in range(s.exp_golomb(3))).decode() for _ in range(classes)]
    meaning = read_meaning(s, channels)
    tensors, last, any_last = [], {}, None
    for kind, axes, _ in shapes:
        any_last, bits = read_tensor(s, last.get(kind, any_last), axes)
        last[kind] = any_last
        tensors.append(bits)
    need(s.place >= len(body) - 2, "bytes left over")
    return {"input": shape, "layers": layers, "names": names, "meaning": meaning, "tensors": tensors}
