// Reads a .smidgen file and runs its network, in any JavaScript engine and without dependencies.
//
// Written from docs/reference/file-format.md; an export strips these comments and adds the bytes of a network.

// --- the stream of decisions -----------------------------------------------------------------

const HALF = 2 ** 21;

const fail = (what) => {
  throw new Error(`not a smidgen file that this program reads: ${what}`);
};

const unzigzag = (v) => (v % 2 ? -(v + 1) / 2 : v / 2);

const model = (p, n, frozen = false) => ({ p, n, frozen });

class Stream {
  constructor(bytes, version) {
    this.bytes = bytes;
    this.version = version;
    this.place = 0;
    this.code = 0;
    this.range = 0xffffffff;
    this.flags = {};
    this.even = model(HALF, 0, true);
    for (let i = 0; i < 4; i++) this.code = this.code * 256 + this.next();
    if (this.code === 0xffffffff) fail("four bytes of ones");
  }

  next() {
    if (this.place >= this.bytes.length + 4) fail("it ends too early");
    const at = this.place++;
    return at < this.bytes.length ? this.bytes[at] : 0;
  }

  decide(m) {
    const bound = Math.floor(this.range / 65536) * Math.floor(m.p / 64);
    const bit = this.code < bound ? 1 : 0;
    if (bit) this.range = bound;
    else {
      this.code -= bound;
      this.range -= bound;
    }
    if (!m.frozen) {
      const rate = Math.floor(65536 / (m.n + 2));
      if (bit) m.p += Math.floor((Math.floor((2 * HALF - m.p) / 64) * rate) / 1024);
      else m.p -= Math.floor((Math.floor(m.p / 64) * rate) / 1024);
      m.n = Math.min(m.n + 1, 1022);
    }
    while (this.range < 2 ** 24) {
      this.code = this.code * 256 + this.next();
      this.range *= 256;
    }
    return bit;
  }

  uint(bits) {
    let value = 0;
    for (let i = 0; i < bits; i++) value = 2 * value + this.decide(this.even);
    return value;
  }

  golomb(order) {
    let width = order;
    while (this.uint(1)) if (++width > 99) fail("a number without end");
    return 2 ** width + this.uint(width) - 2 ** order;
  }

  signed(order) {
    return unzigzag(this.golomb(order));
  }

  flag(name) {
    return this.decide((this.flags[name] ??= model(3 * 2 ** 20, 2)));
  }
}

// --- checksums -------------------------------------------------------------------------------

function crc16(bytes) {
  let crc = 0xffff;
  for (const byte of bytes) {
    crc ^= byte << 8;
    for (let i = 0; i < 8; i++) crc = ((crc << 1) ^ (crc & 0x8000 ? 0x1021 : 0)) & 0xffff;
  }
  return crc;
}

function crc32(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let i = 0; i < 8; i++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

function checkedBody(file) {
  const width = file.length < 4096 ? 2 : 4;
  const body = file.subarray(0, file.length - width);
  let sum = 0;
  for (const byte of file.subarray(file.length - width)) sum = sum * 256 + byte;
  if (file.length < 4 || sum !== (width === 2 ? crc16(body) : crc32(body))) fail("wrong checksum");
  return body;
}

// --- layers ----------------------------------------------------------------------------------

const KINDS = {
  "00": "conv",
  "010": "pointwise",
  "011": "depthwise",
  100: "maxpool",
  101: "dense",
  11000: "avgpool",
  11001: "globalavgpool",
  11010: "batchnorm",
  11011: "prelu",
  11100: "repeat",
  11101: "dropout",
  11110: "residual",
  11111: "crelu",
};
const WEIGHTED = ["conv", "pointwise", "depthwise", "dense"];
const WITH_SLOPE = [...WEIGHTED, "batchnorm", "residual"];

function readLayers(s, order = 2) {
  const layers = [];
  for (let left = s.golomb(order); left > 0; left--) layers.push(readLayer(s));
  return layers;
}

function readFraction(s) {
  const digits = s.golomb(3);
  return digits / 10 ** s.golomb(0);
}

function readActivation(s) {
  if (s.flag("relu")) return { slope: 0 };
  if (s.flag("linear")) return { slope: 1 };
  if (s.version > 1 && s.flag("relu6")) return { slope: 0, ceiling: 6 };
  return { slope: readFraction(s) };
}

const pair = (s, order) => [1 + s.golomb(order), 1 + s.golomb(order)];

function readKernel(s) {
  if (s.flag("three")) return [3, 3];
  return s.version > 1 ? pair(s, 1) : [s.uint(3), s.uint(3)];
}

function readStride(s) {
  if (s.version === 1 || s.flag("unit stride")) return [1, 1];
  return s.flag("stride two") ? [2, 2] : pair(s, 0);
}

function readPool(s, layer) {
  if (s.flag("two")) layer.kernel = [2, 2];
  else if (s.version > 1) layer.kernel = pair(s, 2);
  else layer.kernel = Array(2).fill(1 + s.golomb(2));
  layer.stride = s.version === 1 || s.flag("disjoint") ? layer.kernel : pair(s, 0);
}

function readLayer(s) {
  let bits = "";
  while (!(bits in KINDS)) {
    if (bits.length > 4) fail("unknown layer");
    bits += s.uint(1);
  }
  const kind = KINDS[bits];
  if (s.version === 1 && (kind === "residual" || kind === "crelu")) fail("unknown layer");
  const layer = { kind };
  const filters = ["conv", "pointwise", "depthwise"].includes(kind);
  if (["conv", "pointwise", "dense"].includes(kind)) layer.out = 1 + s.golomb(2);
  if (kind === "conv" || kind === "depthwise") {
    layer.kernel = readKernel(s);
    layer.same = !s.flag("valid");
  }
  if (kind === "pointwise") layer.kernel = [1, 1];
  if (kind === "depthwise" && s.version > 1 && !s.flag("own kernels")) layer.shared = 1 + s.golomb(1);
  if (filters) layer.stride = readStride(s);
  if (kind === "maxpool" || kind === "avgpool") readPool(s, layer);
  if (kind === "repeat") layer.times = 1 + s.golomb(1);
  if (kind === "repeat" || kind === "residual") layer.layers = readLayers(s);
  if (kind === "residual") layer.shortcut = readLayers(s, 0);
  if (kind === "dropout") layer.rate = readFraction(s);
  if (WEIGHTED.includes(kind)) layer.bias = !!s.flag("bias");
  return WITH_SLOPE.includes(kind) ? { ...layer, ...readActivation(s) } : layer;
}

// --- the plan: each step reads one or two earlier outputs, -1 is the input --------------------

const product = (sizes) => sizes.reduce((a, b) => a * b, 1);

// Output size and padding before, of one axis; "same" as TensorFlow defines it.
function axis(size, kernel, stride, same) {
  if (!same) return [Math.floor((size - kernel) / stride) + 1, 0];
  const out = Math.ceil(size / stride);
  return [out, Math.floor(Math.max((out - 1) * stride + kernel - size, 0) / 2)];
}

function outputOf(layer, shape) {
  const [channels, height, width] = shape;
  if (layer.kind === "dense") return { shape: [layer.out, 1, 1] };
  if (layer.kind === "globalavgpool") return { shape: [channels, 1, 1] };
  if (layer.kind === "crelu") return { shape: [2 * channels, height, width] };
  if (!layer.kernel) return { shape };
  const same = layer.same || layer.kind === "pointwise";
  const [rows, top] = axis(height, layer.kernel[0], layer.stride[0], same);
  const [columns, left] = axis(width, layer.kernel[1], layer.stride[1], same);
  return { shape: [layer.out ?? channels, rows, columns], top, left };
}

// The shapes of a layer's tensors, the weight first, by the kind that their coding depends on.
function tensorsOf(layer, shape) {
  const [channels] = shape;
  const kinds = (weight, others) => [[weight, "weight"], ...others.map((each) => [each, "other"])];
  if (layer.kind === "batchnorm") return kinds([channels], [[channels], [channels], [channels]]);
  if (layer.kind === "prelu") return kinds([channels], []);
  if (!WEIGHTED.includes(layer.kind)) return [];
  let weight = [layer.out, channels, ...(layer.kernel ?? [])];
  if (layer.kind === "dense") weight = [layer.out, product(shape)];
  if (layer.kind === "depthwise") weight = [layer.shared ?? channels, 1, ...layer.kernel];
  const out = layer.kind === "depthwise" ? channels : layer.out;
  return kinds(weight, layer.bias ? [[out]] : []);
}

function planRounds(layer, shape, plans, input) {
  const begin = plans.length;
  for (let round = 0; round < layer.times; round++) {
    const first = plans.length;
    [shape, input] = planOf(layer.layers, shape, plans, input);
    for (let at = first; round && at < plans.length; at++)
      if (plans[at].layer.kind !== "batchnorm") plans[at].source ??= begin + at - first;
  }
  return [shape, input];
}

function planResidual(layer, shape, plans, input) {
  const [made, block] = planOf(layer.layers, shape, plans, input);
  const [, shortcut] = planOf(layer.shortcut, shape, plans, input);
  plans.push({ layer: { ...layer, kind: "add" }, input: made, inputs: [block, shortcut], tensors: [], shape: made });
  return [made, plans.length - 1];
}

function planOf(layers, shape, plans, input = -1) {
  for (const layer of layers) {
    if (layer.kind === "repeat") [shape, input] = planRounds(layer, shape, plans, input);
    else if (layer.kind === "residual") [shape, input] = planResidual(layer, shape, plans, input);
    else {
      const made = outputOf(layer, shape);
      plans.push({ layer, input: shape, inputs: [input], tensors: tensorsOf(layer, shape), ...made });
      shape = made.shape;
      input = plans.length - 1;
    }
  }
  return [shape, input];
}

// --- tensors ---------------------------------------------------------------------------------

const view = new DataView(new ArrayBuffer(4));

function float32(bits) {
  view.setUint32(0, bits);
  return view.getFloat32(0);
}

function float16(bits) {
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  const size = exponent ? (1 + fraction / 1024) * 2 ** (exponent - 15) : fraction * 2 ** -24;
  if (exponent === 31) return fraction ? NaN : bits >> 15 ? -Infinity : Infinity;
  return bits >> 15 ? -size : size;
}

const coarse = (c) => (8 + (((c % 8) + 8) % 8)) * 2 ** (Math.floor(c / 8) - 24);

function readGrid(s, before, rows) {
  if (before && s.flag("same grid")) return before.grid;
  if (s.flag("one step")) {
    const last = before?.grid.code;
    const code = last === undefined ? s.uint(8) : last + s.signed(2);
    return { steps: [coarse(code)], code };
  }
  const kind = s.uint(2);
  if (kind === 0) return { steps: [float32(s.uint(32))] };
  if (kind === 1) return { steps: readSteps(s, rows) };
  if (kind === 3) return { full: true };
  const count = 1 + s.golomb(3);
  const zero = s.golomb(3);
  const half = s.uint(1);
  return { zero, entries: Array.from({ length: count }, () => (half ? float16(s.uint(16)) : float32(s.uint(32)))) };
}

function readSteps(s, rows) {
  if (!s.uint(1)) return Array.from({ length: rows }, () => float32(s.uint(32)));
  const codes = [s.uint(8)];
  while (codes.length < rows) codes.push(codes[codes.length - 1] + s.signed(2));
  return codes.map(coarse);
}

const grid = (rows, columns, make) => Array.from({ length: rows }, () => Array.from({ length: columns }, make));

const freshModels = () => ({
  zero: Array.from({ length: 6 }, () => model(3 * 2 ** 20, 4)),
  sign: Array.from({ length: 3 }, () => model(HALF, 4)),
  octave: grid(6, 19, () => model(HALF, 4)),
  mantissa: grid(20, 8, () => model(3 * 2 ** 19, 4)),
});

function readLevel(s, models, bucket, before, signed = true) {
  if (!s.decide(models.zero[bucket])) return 0;
  const negative = signed && s.decide(models.sign[before]);
  let octave = 0;
  while (octave < 19 && s.decide(models.octave[bucket][octave])) octave++;
  let size = 1;
  for (let d = 0; d < octave; d++) size = 2 * size + (d < 3 ? s.decide(models.mantissa[octave][size]) : s.uint(1));
  return negative ? -size : size;
}

function readNeighbours(s, models, rows, columns) {
  const levels = [];
  const above = new Array(columns).fill(0);
  let left = 0;
  let level = 0;
  for (let at = 0; at < rows * columns; at++) {
    const column = at % columns;
    const around = Math.floor(left / 4) + above[column];
    const bucket = [1, 8, 20, 40, 80].filter((least) => least <= around).length;
    level = readLevel(s, models, bucket, level === 0 ? 0 : level > 0 ? 1 : 2);
    levels.push(level);
    const size = Math.abs(level);
    left += 16 * size - Math.floor(left / 4);
    above[column] += 2 * size - Math.floor(above[column] / 8);
  }
  return levels;
}

function readTable(s) {
  const lengths = Array.from({ length: s.golomb(4) }, () => s.uint(4));
  const used = lengths.map((length, symbol) => [length, symbol]).filter(([length]) => length);
  used.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  const codes = {};
  let code = -1;
  let last = 0;
  for (const [length, symbol] of used) {
    code = (code + 1) * 2 ** (length - last);
    codes[code.toString(2).padStart(length, "0")] = symbol;
    last = length;
  }
  return codes;
}

function readSymbol(s, codes) {
  let bits = "";
  while (!(bits in codes)) {
    if (bits.length > 14) fail("no such code");
    bits += s.uint(1);
  }
  return codes[bits];
}

function readHuffman(s, count) {
  const lowest = s.signed(3);
  const codes = readTable(s);
  return Array.from({ length: count }, () => lowest + readSymbol(s, codes));
}

function readGaps(s, size) {
  const levels = new Array(size).fill(0);
  const count = s.golomb(8);
  if (!count) return levels;
  s.uint(3);
  const codes = readTable(s);
  const gaps = Array.from({ length: count }, () => readSymbol(s, codes));
  const found = readHuffman(s, count);
  let at = -1;
  gaps.forEach((gap, i) => {
    at += gap + 1;
    levels[at] = found[i];
  });
  if (at >= size) fail("a gap past the end");
  return levels;
}

function readStatic(s, size) {
  const octaves = s.uint(5);
  const models = freshModels();
  const frozen = () => model((2 * s.uint(8) + 1) * 2 ** 13, 0, true);
  models.zero[0] = frozen();
  models.sign[0] = frozen();
  for (let e = 0; e < Math.min(octaves, 19); e++) models.octave[0][e] = frozen();
  for (let e = 1; e < octaves; e++)
    for (let m = 1; m < 2 ** Math.min(e, 3); m++) models.mantissa[e][m] = frozen();
  return Array.from({ length: size }, () => readLevel(s, models, 0, 0));
}

function readRising(s, models, size) {
  const levels = [s.signed(3)];
  while (levels.length < size) levels.push(levels[levels.length - 1] + readLevel(s, models, 0, 0, false));
  return levels;
}

function readLevels(s, coder, models, rows, columns) {
  const size = rows * columns;
  const each = (read) => Array.from({ length: size }, read);
  if (coder === 0) return each(() => readLevel(s, models, 0, 0));
  if (coder === 1) return readNeighbours(s, models, rows, columns);
  if (coder === 2) {
    const lowest = s.signed(3);
    const width = s.uint(5);
    return each(() => lowest + s.uint(width));
  }
  if (coder === 3) return readHuffman(s, size);
  if (coder === 4) return readGaps(s, size);
  if (coder === 5) return readStatic(s, size);
  return coder === 6 ? readRising(s, models, size) : fail("unknown coder");
}

const ADAPTIVE = [0, 1, 6];

function readTensor(s, before, shape) {
  const rows = shape.length > 1 ? shape[0] : 1;
  const size = product(shape);
  const made = { grid: readGrid(s, before, rows), values: new Float32Array(size) };
  if (made.grid.full) {
    for (let i = 0; i < size; i++) made.values[i] = float32(s.uint(32));
    return made;
  }
  made.coder = before && s.flag("same coder") ? before.coder : s.uint(3);
  const adaptive = ADAPTIVE.includes(made.coder);
  const goesOn = adaptive && before && ADAPTIVE.includes(before.coder) && s.flag("continues");
  made.models = goesOn ? before.models : freshModels();
  const levels = readLevels(s, made.coder, made.models, rows, size / rows);
  const { entries, zero, steps } = made.grid;
  levels.forEach((level, i) => {
    const step = entries ? 1 : steps.length > 1 ? steps[Math.floor(i / (size / rows))] : steps[0];
    made.values[i] = entries ? entries[zero + level] : level * step;
  });
  return made;
}

function readTensors(s, plans) {
  const last = {};
  let any;
  for (const plan of plans) {
    if (plan.source !== undefined) continue;
    plan.values = plan.tensors.map(([shape, kind]) => {
      any = last[kind] = readTensor(s, last[kind] ?? any, shape);
      return any.values;
    });
  }
  for (const plan of plans) if (plan.source !== undefined) plan.values = plans[plan.source].values;
}

function readNames(s, classes) {
  const own = s.uint(1);
  return Array.from({ length: classes }, (_, index) => {
    if (!own) return String(index);
    const bytes = Array.from({ length: s.golomb(3) }, () => s.uint(8));
    return new TextDecoder().decode(new Uint8Array(bytes));
  });
}

// --- what the input means ---------------------------------------------------------------------

// One offset and scale after another; an exponent is coded by its difference to the one before.
function readPairs(s, count) {
  const scaleSame = model(3 * 2 ** 20, 2);
  const offsetNone = model(3 * 2 ** 20, 2);
  let exponent = 0;
  return Array.from({ length: count }, () => {
    if (s.uint(1)) return [float32(s.uint(32)), float32(s.uint(32))];
    if (!s.decide(scaleSame)) exponent += unzigzag(1 + s.golomb(1));
    const offset = s.decide(offsetNone) ? 0 : unzigzag(1 + s.golomb(2)) * 2 ** (-exponent - 1);
    return [offset, 2 ** exponent];
  });
}

// The kind of the input and the function from the user's value in a channel to the network's.
function readInput(s, channels) {
  if (s.version === 1 || !s.uint(1)) return { kind: "image-bytes", scaled: (value) => value / 255 };
  const kind = ["vector", "signal", "image-floats", "unknown"][s.uint(2)];
  if (kind === "unknown") return { kind, scaled: (value, c, bytes) => (bytes ? value / 255 : value) };
  // How the user's arrays are laid out, which does not matter here.
  if (kind === "signal") s.uint(1);
  let pairs = [[0, 1]];
  if (s.uint(1)) pairs = readPairs(s, channels > 1 && s.uint(1) ? 1 : channels);
  if (kind === "image-floats") s.uint(2);
  else if (s.uint(1)) s.golomb(2);
  const scaled = (value, c) => {
    const [offset, scale] = pairs[pairs.length > 1 ? c : 0];
    return (value - offset) * scale;
  };
  return { kind, scaled };
}

// --- running ---------------------------------------------------------------------------------

function activate(values, { slope = 1, ceiling = Infinity }) {
  for (let i = 0; i < values.length; i++) {
    if (values[i] < 0) values[i] *= slope;
    else if (values[i] > ceiling) values[i] = ceiling;
  }
  return values;
}

function convolve(plan, input) {
  const { layer, top, left } = plan;
  const [channels, height, width] = plan.input;
  const [outs, rows, columns] = plan.shape;
  const [ky, kx] = layer.kernel;
  const [sy, sx] = layer.stride;
  const [weight, bias] = plan.values;
  const own = layer.kind === "depthwise";
  const out = new Float32Array(outs * rows * columns);
  const sums = new Float64Array(columns);
  for (let o = 0; o < outs; o++)
    for (let y = 0; y < rows; y++) {
      sums.fill(bias ? bias[o] : 0);
      for (let c = own ? o : 0; c < (own ? o + 1 : channels); c++)
        for (let j = 0; j < ky; j++) {
          const row = y * sy + j - top;
          if (row < 0 || row >= height) continue;
          const from = (c * height + row) * width;
          const at = ((own ? o % (layer.shared ?? outs) : o * channels + c) * ky + j) * kx;
          for (let i = 0; i < kx; i++) {
            const w = weight[at + i];
            const shift = i - left;
            const first = Math.max(0, Math.ceil(-shift / sx));
            const end = Math.min(columns, Math.floor((width - 1 - shift) / sx) + 1);
            for (let x = first; x < end; x++) sums[x] += w * input[from + x * sx + shift];
          }
        }
      out.set(sums, (o * rows + y) * columns);
    }
  return activate(out, layer);
}

function dense(plan, input) {
  const [weight, bias] = plan.values;
  const out = new Float32Array(plan.layer.out);
  for (let o = 0; o < out.length; o++) {
    let sum = bias ? bias[o] : 0;
    for (let i = 0, at = o * input.length; i < input.length; i++) sum += weight[at + i] * input[i];
    out[o] = sum;
  }
  return activate(out, plan.layer);
}

function pool(plan, input) {
  const [channels, height, width] = plan.input;
  const { kernel, stride, kind } = plan.layer;
  const [ky, kx] = kernel ?? [height, width];
  const [sy, sx] = kernel ? stride : [1, 1];
  const [, rows, columns] = plan.shape;
  const out = new Float32Array(channels * rows * columns);
  for (let c = 0, to = 0; c < channels; c++)
    for (let y = 0; y < rows; y++)
      for (let x = 0; x < columns; x++, to++) {
        let most = -Infinity;
        let sum = 0;
        for (let j = 0; j < ky; j++)
          for (let i = 0; i < kx; i++) {
            const value = input[(c * height + y * sy + j) * width + x * sx + i];
            if (value > most) most = value;
            sum += value;
          }
        out[to] = kind === "maxpool" ? most : sum / (ky * kx);
      }
  return out;
}

function byChannel(plan, input, change) {
  const size = input.length / plan.shape[0];
  return activate(input.map((value, i) => change(value, Math.floor(i / size))), plan.layer);
}

function step(plan, inputs) {
  const [input, shortcut] = inputs;
  switch (plan.layer.kind) {
    case "dense":
      return dense(plan, input);
    case "maxpool":
    case "avgpool":
    case "globalavgpool":
      return pool(plan, input);
    case "prelu":
      return byChannel(plan, input, (value, c) => (value < 0 ? value * plan.values[0][c] : value));
    case "batchnorm": {
      const [weight, bias, mean, variance] = plan.values;
      return byChannel(plan, input, (v, c) => ((v - mean[c]) * weight[c]) / Math.sqrt(variance[c] + 0.001) + bias[c]);
    }
    case "dropout":
      return input;
    case "crelu":
      return Float32Array.from({ length: 2 * input.length }, (_, i) =>
        Math.max(0, i < input.length ? input[i] : -input[i - input.length]),
      );
    case "add":
      return activate(input.map((value, i) => value + shortcut[i]), plan.layer);
    default:
      return convolve(plan, input);
  }
}

// --- the network -----------------------------------------------------------------------------

// Reads the bytes of a .smidgen file. Returns its input shape (channels, height, width), its class names, its plan, and
// functions: `outputs(values)` gives the output of each step, `classify(values)` the class and its probabilities.
export function open(file) {
  const version = file[1] % 16;
  if (file[0] !== 0xb5 || (version !== 1 && version !== 2)) fail("wrong first bytes");
  const body = checkedBody(file);
  const s = new Stream(body.subarray(2), version);
  const channels = 1 + s.golomb(0);
  const height = 1 + s.golomb(4);
  const shape = [channels, height, s.flag("square") ? height : 1 + s.golomb(4)];
  const plans = [];
  const [[classes]] = planOf(readLayers(s), shape, plans);
  const labels = readNames(s, classes);
  const input = readInput(s, shape[0]);
  readTensors(s, plans);
  if (s.place < body.length - 2) fail("bytes are left over");

  function outputs(values) {
    if (values.length !== product(shape)) fail(`give ${product(shape)} values, not ${values.length}`);
    const size = shape[1] * shape[2];
    const bytes = values instanceof Uint8Array;
    const first = Float32Array.from(values, (value, i) => input.scaled(value, Math.floor(i / size), bytes));
    const made = [];
    for (const plan of plans) made.push(step(plan, plan.inputs.map((at) => (at < 0 ? first : made[at]))));
    return made;
  }

  function classify(values) {
    const logits = outputs(values).pop();
    const most = Math.max(...logits);
    const powers = Array.from(logits, (logit) => Math.exp(logit - most));
    const sum = powers.reduce((a, b) => a + b);
    const index = logits.indexOf(most);
    return { label: labels[index], index, scores: powers.map((power) => power / sum) };
  }

  return { shape, labels, kind: input.kind, plans, outputs, classify };
}
