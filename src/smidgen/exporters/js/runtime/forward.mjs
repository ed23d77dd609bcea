// The forward pass, a step of the plan at a time.

function activate(values, { slope = 1, ceiling = Infinity }) {
  for (let i = 0; i < values.length; i++) {
    if (values[i] < 0) values[i] *= slope;
    else if (values[i] > ceiling) values[i] = ceiling;
  }
  return values;
}

// The input with zeros around each channel, so that every window lies within; itself where every window does.
function padded(plan, input) {
  const [channels, height, width] = plan.input;
  const { kernel, stride } = plan.layer;
  const [, rows, columns] = plan.shape;
  const high = Math.max(height, (rows - 1) * stride[0] + kernel[0]);
  const wide = Math.max(width, (columns - 1) * stride[1] + kernel[1]);
  if (high === height && wide === width) return { values: input, high, wide };
  const values = new Float32Array(channels * high * wide);
  for (let c = 0; c < channels; c++)
    for (let y = 0; y < height; y++) {
      const from = (c * height + y) * width;
      values.set(input.subarray(from, from + width), (c * high + y + plan.top) * wide + plan.left);
    }
  return { values, high, wide };
}

// Where the inputs of a window lie, counted from its first, in the order of the weights.
function tapsOf(channels, [ky, kx], high, wide) {
  const taps = new Int32Array(channels * ky * kx);
  for (let k = 0; k < taps.length; k++) {
    const [c, j] = [Math.floor(k / (ky * kx)), Math.floor(k / kx) % ky];
    taps[k] = (c * high + j) * wide + (k % kx);
  }
  return taps;
}

function one(out, to, bias, weight, first, values, from, taps) {
  let sum = bias;
  for (let k = 0; k < taps.length; k++) sum += weight[first + k] * values[from + taps[k]];
  out[to] = sum;
}

// Four outputs side by side share the reading of each weight, which halves the time.
function four(out, to, bias, weight, first, values, from, taps, step) {
  let a = bias;
  let b = bias;
  let c = bias;
  let d = bias;
  for (let k = 0; k < taps.length; k++) {
    const w = weight[first + k];
    const at = from + taps[k];
    a += w * values[at];
    b += w * values[at + step];
    c += w * values[at + 2 * step];
    d += w * values[at + 3 * step];
  }
  out[to] = a;
  out[to + 1] = b;
  out[to + 2] = c;
  out[to + 3] = d;
}

function convolve(plan, input) {
  const { layer, shape } = plan;
  const [outs, rows, columns] = shape;
  const [sy, sx] = layer.stride;
  const [weight, biases] = plan.values;
  const own = layer.kind === "depthwise";
  const { values, high, wide } = padded(plan, input);
  const taps = (plan.taps ??= tapsOf(own ? 1 : plan.input[0], layer.kernel, high, wide));
  const out = new Float32Array(outs * rows * columns);
  for (let o = 0; o < outs; o++) {
    const bias = biases ? biases[o] : 0;
    const first = (own ? o % (layer.shared ?? outs) : o) * taps.length;
    for (let y = 0; y < rows; y++) {
      const from = ((own ? o * high : 0) + y * sy) * wide;
      const to = (o * rows + y) * columns;
      let x = 0;
      for (; x + 4 <= columns; x += 4) four(out, to + x, bias, weight, first, values, from + x * sx, taps, sx);
      for (; x < columns; x++) one(out, to + x, bias, weight, first, values, from + x * sx, taps);
    }
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

// The mean or the largest value of a window that begins at `from`.
function pooled(input, from, width, ky, kx, isMean) {
  let found = isMean ? 0 : -Infinity;
  for (let j = 0; j < ky; j++)
    for (let i = 0; i < kx; i++) {
      const value = input[from + j * width + i];
      if (isMean) found += value;
      else if (value > found) found = value;
    }
  return isMean ? found / (ky * kx) : found;
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
      for (let x = 0; x < columns; x++, to++)
        out[to] = pooled(input, (c * height + y * sy) * width + x * sx, width, ky, kx, kind !== "maxpool");
  return out;
}

function byChannel(plan, input, change) {
  const size = input.length / plan.shape[0];
  return activate(input.map((value, i) => change(value, Math.floor(i / size))), plan.layer);
}

export function step(plan, inputs) {
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
