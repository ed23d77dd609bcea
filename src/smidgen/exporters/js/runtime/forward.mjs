// The forward pass, a step of the plan at a time. A step keeps its memory and writes to it again at the next input.

const memory = (plan, name, size, Kind = Float32Array) => (plan[name] ??= new Kind(size));

// Applies the activation in place. A factor is looked up by the bit of the sign: a branch on it cannot be predicted.
function activate(values, { slope = 1, ceiling = Infinity }) {
  const bits = new Int32Array(values.buffer, values.byteOffset, values.length);
  const factors = Float64Array.of(1, slope);
  if (slope !== 1) for (let i = 0; i < values.length; i++) values[i] *= factors[bits[i] >>> 31];
  if (ceiling < Infinity) for (let i = 0; i < values.length; i++) values[i] = Math.min(values[i], ceiling);
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
  const values = memory(plan, "padded", channels * high * wide);
  for (let c = 0, from = 0; c < channels; c++)
    for (let y = 0; y < height; y++) {
      const to = (c * high + y + plan.top) * wide + plan.left;
      for (let x = 0; x < width; x++) values[to + x] = input[from++];
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

// Adds the input at `from` of every window of a channel, times a weight, to the sums. Loops as plain as these are what
// JavaScript runs fast; to take typed arrays apart by patterns is slow. `down` and `right` are the steps from an output
// to the one below and to the next.
function addTap(sums, columns, weight, values, from, down, right) {
  for (let to = 0, row = from; to < sums.length; row += down)
    for (let x = 0, at = row; x < columns; x++, at += right) sums[to++] += weight * values[at];
}

// The same for three inputs, in the same order: a sum is read and written once for three products.
function addThreeTaps(sums, columns, weights, k, values, from, taps, t, down, right) {
  const [a, b, c] = [weights[k], weights[k + 1], weights[k + 2]];
  const [f, g, h] = [taps[t], taps[t + 1], taps[t + 2]];
  for (let to = 0, row = from; to < sums.length; row += down)
    for (let x = 0, at = row; x < columns; x++, at += right, to++)
      sums[to] = sums[to] + a * values[f + at] + b * values[g + at] + c * values[h + at];
}

// The same for a kernel of 3x3, the most frequent one; `wide` is from a row of the input to the one below.
function addNineTaps(sums, columns, weights, k, values, from, wide, down, right) {
  const [a, b, c] = [weights[k], weights[k + 1], weights[k + 2]];
  const [d, e, f] = [weights[k + 3], weights[k + 4], weights[k + 5]];
  const [g, h, i] = [weights[k + 6], weights[k + 7], weights[k + 8]];
  for (let to = 0, row = from; to < sums.length; row += down)
    for (let x = 0, p = row, q = p + wide, r = q + wide; x < columns; x++, p += right, q += right, r += right) {
      let sum = sums[to] + a * values[p] + b * values[p + 1] + c * values[p + 2];
      sum = sum + d * values[q] + e * values[q + 1] + f * values[q + 2];
      sums[to++] = sum + g * values[r] + h * values[r + 1] + i * values[r + 2];
    }
}

// Adds all that the windows of the inputs at `from` hold, times the weights from `first` on.
function addWindows(plan, sums, first, values, from, wide) {
  const { kernel, stride } = plan.layer;
  const [weights] = plan.values;
  const { taps } = plan;
  const [down, right] = [stride[0] * wide, stride[1]];
  const columns = down === plan.shape[2] * right ? sums.length : plan.shape[2];
  let t = 0;
  if (kernel[0] === 3 && kernel[1] === 3)
    for (; t < taps.length; t += 9)
      addNineTaps(sums, columns, weights, first + t, values, from + taps[t], wide, down, right);
  for (; t + 3 <= taps.length; t += 3)
    addThreeTaps(sums, columns, weights, first + t, values, from, taps, t, down, right);
  for (; t < taps.length; t++) addTap(sums, columns, weights[first + t], values, from + taps[t], down, right);
}

function convolve(plan, input) {
  const { layer, shape } = plan;
  const [outs, rows, columns] = shape;
  const [, biases] = plan.values;
  const own = layer.kind === "depthwise";
  const { values, high, wide } = padded(plan, input);
  const { length } = (plan.taps ??= tapsOf(own ? 1 : plan.input[0], layer.kernel, high, wide));
  const out = memory(plan, "out", outs * rows * columns);
  const sums = memory(plan, "sums", rows * columns, Float64Array);
  for (let o = 0; o < outs; o++) {
    sums.fill(biases ? biases[o] : 0);
    addWindows(plan, sums, (own ? o % (layer.shared ?? outs) : o) * length, values, own ? o * high * wide : 0, wide);
    out.set(sums, o * sums.length);
  }
  return activate(out, layer);
}

function dense(plan, input) {
  const [weight, bias] = plan.values;
  const out = memory(plan, "out", plan.layer.out);
  for (let o = 0; o < out.length; o++) {
    let sum = bias ? bias[o] : 0;
    for (let i = 0, at = o * input.length; i < input.length; i++) sum += weight[at + i] * input[i];
    out[o] = sum;
  }
  return activate(out, plan.layer);
}

function addLarger(largest, columns, values, from, down, right) {
  for (let to = 0, row = from; to < largest.length; row += down)
    for (let x = 0, at = row; x < columns; x++, at += right, to++) largest[to] = Math.max(largest[to], values[at]);
}

// The sum of each window of 2x2, the most frequent one.
function sumFours(sums, columns, values, from, width, down, right) {
  for (let to = 0, row = from; to < sums.length; row += down)
    for (let x = 0, p = row, q = p + width; x < columns; x++, p += right, q += right)
      sums[to++] = values[p] + values[p + 1] + values[q] + values[q + 1];
}

function poolChannel(found, columns, isMean, values, from, width, [ky, kx], [down, right]) {
  if (isMean && ky === 2 && kx === 2) return sumFours(found, columns, values, from, width, down * width, right);
  found.fill(isMean ? 0 : -Infinity);
  for (let k = 0; k < ky * kx; k++) {
    const first = from + Math.floor(k / kx) * width + (k % kx);
    if (isMean) addTap(found, columns, 1, values, first, down * width, right);
    else addLarger(found, columns, values, first, down * width, right);
  }
}

function pool(plan, input) {
  const [channels, height, width] = plan.input;
  const { kernel = [height, width], stride = kernel, kind } = plan.layer;
  const [, rows, columns] = plan.shape;
  const out = memory(plan, "out", channels * rows * columns);
  const found = memory(plan, "sums", rows * columns, Float64Array);
  const isMean = kind !== "maxpool";
  for (let c = 0; c < channels; c++) {
    poolChannel(found, columns, isMean, input, c * height * width, width, kernel, stride);
    if (isMean) for (let i = 0; i < found.length; i++) found[i] /= kernel[0] * kernel[1];
    out.set(found, c * found.length);
  }
  return out;
}

function prelu(plan, input) {
  const [slopes] = plan.values;
  const out = memory(plan, "out", input.length);
  const size = input.length / slopes.length;
  out.set(input);
  slopes.forEach((slope, c) => activate(out.subarray(c * size, (c + 1) * size), { slope }));
  return out;
}

function batchnorm(plan, input) {
  const [weight, bias, mean, variance] = plan.values;
  const out = memory(plan, "out", input.length);
  const size = input.length / weight.length;
  for (let c = 0, i = 0; c < weight.length; c++) {
    const root = Math.sqrt(variance[c] + 0.001);
    for (const end = (c + 1) * size; i < end; i++) out[i] = ((input[i] - mean[c]) * weight[c]) / root + bias[c];
  }
  return activate(out, plan.layer);
}

function crelu(plan, input) {
  const out = memory(plan, "out", 2 * input.length);
  for (let i = 0; i < input.length; i++) {
    out[i] = Math.max(0, input[i]);
    out[input.length + i] = Math.max(0, -input[i]);
  }
  return out;
}

function add(plan, input, shortcut) {
  const out = memory(plan, "out", input.length);
  for (let i = 0; i < out.length; i++) out[i] = input[i] + shortcut[i];
  return activate(out, plan.layer);
}

const RUN = {
  dense,
  maxpool: pool,
  avgpool: pool,
  globalavgpool: pool,
  prelu,
  batchnorm,
  dropout: (plan, input) => input,
  crelu,
  add,
};

export const step = (plan, inputs) => (RUN[plan.layer.kind] ?? convolve)(plan, ...inputs);
