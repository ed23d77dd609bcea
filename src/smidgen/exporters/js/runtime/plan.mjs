// The plan: each step reads one or two earlier outputs, -1 is the input.

import { WEIGHTED } from "./layers.mjs";

export const product = (sizes) => sizes.reduce((a, b) => a * b, 1);

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

export function planOf(layers, shape, plans, input = -1) {
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
