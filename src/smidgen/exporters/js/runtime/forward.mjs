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

// Adds the input at `from` of every window of a channel, times a weight, to the sums. Loops as plain as these are what
// JavaScript runs fast. `steps` are from an output to the one below and to the next.
function addTap(sums, columns, weight, values, from, [down, right]) {
  for (let to = 0, row = from; to < sums.length; row += down)
    for (let x = 0, at = row; x < columns; x++, at += right) sums[to++] += weight * values[at];
}

// The same for three inputs, in the same order: a sum is read and written once for three products.
function addThreeTaps(sums, columns, [a, b, c], values, [f, g, h], [down, right]) {
  for (let to = 0, row = 0; to < sums.length; row += down)
    for (let x = 0, at = row; x < columns; x++, at += right, to++)
      sums[to] = sums[to] + a * values[f + at] + b * values[g + at] + c * values[h + at];
}

function convolve(plan, input) {
  const { layer, shape } = plan;
  const [outs, rows, columns] = shape;
  const [weight, biases] = plan.values;
  const own = layer.kind === "depthwise";
  const { values, high, wide } = padded(plan, input);
  const taps = (plan.taps ??= tapsOf(own ? 1 : plan.input[0], layer.kernel, high, wide));
  const steps = [layer.stride[0] * wide, layer.stride[1]];
  const out = new Float32Array(outs * rows * columns);
  const sums = (plan.sums ??= new Float64Array(rows * columns));
  for (let o = 0; o < outs; o++) {
    const first = (own ? o % (layer.shared ?? outs) : o) * taps.length;
    const from = own ? o * high * wide : 0;
    sums.fill(biases ? biases[o] : 0);
    let k = 0;
    for (; k + 3 <= taps.length; k += 3) {
      const places = [from + taps[k], from + taps[k + 1], from + taps[k + 2]];
      addThreeTaps(sums, columns, weight.subarray(first + k, first + k + 3), values, places, steps);
    }
    for (; k < taps.length; k++) addTap(sums, columns, weight[first + k], values, from + taps[k], steps);
    out.set(sums, o * sums.length);
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

function addLarger(largest, columns, values, from, [down, right]) {
  for (let to = 0, row = from; to < largest.length; row += down)
    for (let x = 0, at = row; x < columns; x++, at += right, to++)
      if (values[at] > largest[to]) largest[to] = values[at];
}

function pool(plan, input) {
  const [channels, height, width] = plan.input;
  const { kernel, stride, kind } = plan.layer;
  const [ky, kx] = kernel ?? [height, width];
  const [, rows, columns] = plan.shape;
  const steps = kernel ? [stride[0] * width, stride[1]] : [width, 1];
  const out = new Float32Array(channels * rows * columns);
  const found = (plan.sums ??= new Float64Array(rows * columns));
  const isMean = kind !== "maxpool";
  for (let c = 0; c < channels; c++) {
    found.fill(isMean ? 0 : -Infinity);
    for (let k = 0; k < ky * kx; k++) {
      const from = (c * height + Math.floor(k / kx)) * width + (k % kx);
      if (isMean) addTap(found, columns, 1, input, from, steps);
      else addLarger(found, columns, input, from, steps);
    }
    if (isMean) for (let i = 0; i < found.length; i++) found[i] /= ky * kx;
    out.set(found, c * found.length);
  }
  return out;
}

function prelu({ values: [slopes], shape }, input) {
  const size = input.length / shape[0];
  const out = new Float32Array(input.length);
  for (let c = 0, i = 0; c < shape[0]; c++) {
    const slope = slopes[c];
    for (const end = (c + 1) * size; i < end; i++) out[i] = input[i] < 0 ? input[i] * slope : input[i];
  }
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
