// Tensors: a grid and the levels on it.

import { ADAPTIVE, freshModels, readLevels } from "./levels.mjs";
import { coarse, float16, float32 } from "./numbers.mjs";
import { product } from "./plan.mjs";
import { fail } from "./stream.mjs";

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

// A repeated layer has the tensors of its first round.
function shareTensors(plans) {
  for (const plan of plans) if (plan.source !== undefined) plan.values = plans[plan.source].values;
}

export function readTensors(s, plans) {
  const last = {};
  let any;
  for (const plan of plans) {
    if (plan.source !== undefined) continue;
    plan.values = plan.tensors.map(([shape, kind]) => {
      any = last[kind] = readTensor(s, last[kind] ?? any, shape);
      return any.values;
    });
  }
  shareTensors(plans);
}

export function takeTensors(given, plans) {
  const left = [...given];
  for (const plan of plans)
    if (plan.source === undefined) plan.values = plan.tensors.map(([shape]) => taken(left.shift(), product(shape)));
  if (left.length) fail("tensors are left over");
  shareTensors(plans);
}

function taken(values, size) {
  if (values?.length !== size) fail(`a tensor of ${values?.length} values, not ${size}`);
  return values;
}
