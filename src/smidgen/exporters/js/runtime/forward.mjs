// The forward pass, a step of the plan at a time.

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
