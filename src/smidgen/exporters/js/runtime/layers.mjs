// The layers as the file says them.

import { fail } from "./stream.mjs";

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
export const WEIGHTED = ["conv", "pointwise", "depthwise", "dense"];
const WITH_SLOPE = [...WEIGHTED, "batchnorm", "residual"];

export function readLayers(s, order = 2) {
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
