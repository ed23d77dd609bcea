"""The layers of a `.smidgen` file for `second_decoder`: their bits, and the shapes of their tensors."""

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


def need(condition, what):
    if not condition:
        raise ValueError(what)


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
