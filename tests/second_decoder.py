"""A second decoder of `.smidgen` files, in plain Python without imports from the package.

    decode(content) -> {"input": (channels, height, width), "layers": [...], "names": [...], "tensors": [...]}

It is written from docs/reference/file-format.md alone, which shows that the document is complete. A tensor is a list
of the bits of its float32 values. Wrong files raise ValueError.
"""

import struct

KINDS = {
    "00": "conv",
    "010": "pointwise",
    "011": "depthwise",
    "100": "maxpool",
    "101": "dense",
    "11000": "avgpool",
    "11001": "globalavgpool",
    "11010": "batchnorm",
    "11011": "prelu",
    "11100": "repeat",
    "11101": "dropout",
    "11110": "residual",
    "11111": "crelu",
}


LEARN = (0, 1, 6)


def need(condition, what):
    if not condition:
        raise ValueError(what)


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


# --- layers ----------------------------------------------------------------------------------


def read_layers(s, k=2):
    return [read_layer(s) for _ in range(s.exp_golomb(k))]


def read_layer(s):
    bits = ""
    while bits not in KINDS:
        bits += str(s.number(1))
    need(s.version == 2 or bits < "11110", "unknown kind")
    layer = {"kind": KINDS[bits]}
    if layer["kind"] in ("conv", "pointwise", "dense"):
        layer["out"] = 1 + s.exp_golomb(2)
    if layer["kind"] in ("conv", "depthwise"):
        layer["kernel"] = read_kernel(s)
        layer["same"] = not s.flag("valid")
    if layer["kind"] == "depthwise" and s.version == 2 and not s.flag("own kernels"):
        layer["shared"] = 1 + s.exp_golomb(1)
    if layer["kind"] in ("conv", "depthwise", "pointwise"):
        layer["stride"] = (1, 1)
        if s.version == 2 and not s.flag("unit stride"):
            layer["stride"] = (2, 2) if s.flag("stride two") else pair(s, 0)
    if layer["kind"] in ("maxpool", "avgpool"):
        read_pool(s, layer)
    if layer["kind"] == "residual":
        layer["layers"] = read_layers(s)
        need(layer["layers"], "a residual of nothing")
        layer["shortcut"] = read_layers(s, 0)
    if layer["kind"] in ("conv", "pointwise", "depthwise", "dense"):
        layer["bias"] = bool(s.flag("bias"))
    if layer["kind"] in ("conv", "pointwise", "depthwise", "dense", "batchnorm", "residual"):
        read_slope(s, layer)
    if layer["kind"] == "dropout":
        layer["rate"] = fraction(s)
    if layer["kind"] == "repeat":
        layer["times"] = 1 + s.exp_golomb(1)
        layer["layers"] = read_layers(s)
    return layer


def pair(s, k):
    return (1 + s.exp_golomb(k), 1 + s.exp_golomb(k))


def read_kernel(s):
    if s.flag("three by three"):
        return (3, 3)
    return (s.number(3), s.number(3)) if s.version == 1 else pair(s, 1)


def read_pool(s, layer):
    layer["window"] = (2, 2)
    if not s.flag("two"):
        side = 1 + s.exp_golomb(2)
        layer["window"] = (side, side if s.version == 1 else 1 + s.exp_golomb(2))
    layer["stride"] = layer["window"]
    if s.version == 2 and not s.flag("disjoint"):
        layer["stride"] = pair(s, 0)


def read_slope(s, layer):
    layer["slope"] = 0.0 if s.flag("relu") else 1.0 if s.flag("linear") else None
    if layer["slope"] is None:
        layer["relu6"] = s.version == 2 and bool(s.flag("relu6"))
        layer["slope"] = 0.0 if layer["relu6"] else fraction(s)


def fraction(s):
    digits = s.exp_golomb(3)
    return digits / 10 ** s.exp_golomb(0)


def tensor_shapes(layers, shape):
    """[("weight" or "other", [axes], of a batch norm?)] of a list of layers, and the shape that comes out."""
    shapes = []
    for layer in layers:
        if layer["kind"] == "repeat":
            for turn in range(layer["times"]):
                inner, shape = tensor_shapes(layer["layers"], shape)
                shapes += inner if turn == 0 else [tensor for tensor in inner if tensor[2]]
        elif layer["kind"] == "residual":
            block, after = tensor_shapes(layer["layers"], shape)
            beside, shape = tensor_shapes(layer["shortcut"], shape)
            need(after == shape, "a sum of two shapes")
            shapes += block + beside
        else:
            own, shape = place(layer, shape)
            shapes += own
    return shapes, shape


def place(layer, shape):
    channels, height, width = shape
    kind = layer["kind"]
    if kind in ("conv", "depthwise"):
        ky, kx = layer["kernel"]
        out = layer.get("out", channels)
        weight = [out, channels if kind == "conv" else 1, ky, kx]
        if kind == "depthwise":
            weight[0] = layer.get("shared", channels)
        sizes = steps((height, width), (1, 1) if layer["same"] else (ky, kx), layer["stride"])
        return with_bias(layer, weight, out), (out, *sizes)
    if kind == "pointwise":
        sizes = steps((height, width), (1, 1), layer["stride"])
        return with_bias(layer, [layer["out"], channels, 1, 1], layer["out"]), (layer["out"], *sizes)
    if kind == "dense":
        return with_bias(layer, [layer["out"], channels * height * width], layer["out"]), (layer["out"], 1, 1)
    if kind in ("maxpool", "avgpool"):
        return [], (channels, *steps((height, width), layer["window"], layer["stride"]))
    if kind == "crelu":
        return [], (2 * channels, height, width)
    if kind == "globalavgpool":
        return [], (channels, 1, 1)
    if kind == "batchnorm":
        return [("weight", [channels], True)] + [("other", [channels], True)] * 3, shape
    return ([("weight", [channels], False)] if kind == "prelu" else []), shape


def steps(sizes, window, stride):
    return [(size - k) // step + 1 for size, k, step in zip(sizes, window, stride, strict=True)]


def with_bias(layer, weight, out):
    return [("weight", weight, False)] + ([("other", [out], False)] if layer["bias"] else [])


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
    shapes, (classes, _, _) = tensor_shapes(layers, shape)
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
