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

// Adds a row of inputs times a weight to a row of sums. A loop as plain as this one is what JavaScript runs fast.
function addRow(sums, weight, values, from, stride) {
  if (stride === 1) for (let x = 0; x < sums.length; x++) sums[x] += weight * values[from + x];
  else for (let x = 0, at = from; x < sums.length; x++, at += stride) sums[x] += weight * values[at];
}

// The same for three rows, in the same order: a sum is read and written once for three products.
function addThreeRows(sums, a, b, c, values, f, g, h, stride) {
  for (let x = 0, at = 0; x < sums.length; x++, at += stride)
    sums[x] = sums[x] + a * values[f + at] + b * values[g + at] + c * values[h + at];
}

function addTaps(sums, weight, first, values, from, taps, stride) {
  let k = 0;
  for (; k + 3 <= taps.length; k += 3) {
    const [f, g, h] = [from + taps[k], from + taps[k + 1], from + taps[k + 2]];
    addThreeRows(sums, weight[first + k], weight[first + k + 1], weight[first + k + 2], values, f, g, h, stride);
  }
  for (; k < taps.length; k++) addRow(sums, weight[first + k], values, from + taps[k], stride);
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
  const sums = (plan.sums ??= new Float64Array(columns));
  for (let o = 0; o < outs; o++) {
    const first = (own ? o % (layer.shared ?? outs) : o) * taps.length;
    for (let y = 0; y < rows; y++) {
      const from = ((own ? o * high : 0) + y * sy) * wide;
      sums.fill(biases ? biases[o] : 0);
      addTaps(sums, weight, first, values, from, taps, sx);
      out.set(sums, (o * rows + y) * columns);
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

function largerRow(largest, values, from, stride) {
  for (let x = 0, at = from; x < largest.length; x++, at += stride)
    if (values[at] > largest[x]) largest[x] = values[at];
}

function pool(plan, input) {
  const [channels, height, width] = plan.input;
  const { kernel, stride, kind } = plan.layer;
  const [ky, kx] = kernel ?? [height, width];
  const [sy, sx] = kernel ? stride : [1, 1];
  const [, rows, columns] = plan.shape;
  const out = new Float32Array(channels * rows * columns);
  const row = (plan.sums ??= new Float64Array(columns));
  const isMean = kind !== "maxpool";
  for (let c = 0; c < channels; c++)
    for (let y = 0; y < rows; y++) {
      const from = (c * height + y * sy) * width;
      row.fill(isMean ? 0 : -Infinity);
      for (let j = 0; j < ky; j++)
        for (let i = 0; i < kx; i++)
          if (isMean) addRow(row, 1, input, from + j * width + i, sx);
          else largerRow(row, input, from + j * width + i, sx);
      const to = (c * rows + y) * columns;
      for (let x = 0; x < columns; x++) out[to + x] = isMean ? row[x] / (ky * kx) : row[x];
    }
  return out;
}

function prelu({ values: [slopes], shape }, input) {
  const size = input.length / shape[0];
  const out = Float32Array.from(input);
  for (let c = 0, i = 0; c < shape[0]; c++)
    for (const end = (c + 1) * size; i < end; i++) if (out[i] < 0) out[i] *= slopes[c];
  return out;
}

function batchnorm({ values: [weight, bias, mean, variance], shape, layer }, input) {
  const size = input.length / shape[0];
  const out = new Float32Array(input.length);
  for (let c = 0, i = 0; c < shape[0]; c++) {
    const root = Math.sqrt(variance[c] + 0.001);
    for (const end = (c + 1) * size; i < end; i++) out[i] = ((input[i] - mean[c]) * weight[c]) / root + bias[c];
  }
  return activate(out, layer);
}

function add(plan, input, shortcut) {
  const out = new Float32Array(input.length);
  for (let i = 0; i < out.length; i++) out[i] = input[i] + shortcut[i];
  return activate(out, plan.layer);
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
      return prelu(plan, input);
    case "batchnorm":
      return batchnorm(plan, input);
    case "dropout":
      return input;
    case "crelu":
      return Float32Array.from({ length: 2 * input.length }, (_, i) =>
        Math.max(0, i < input.length ? input[i] : -input[i - input.length]),
      );
    case "add":
      return add(plan, input, shortcut);
    default:
      return convolve(plan, input);
  }
}
