// The levels of a tensor, by each coder.

import { HALF, fail, model } from "./stream.mjs";

const grid = (rows, columns, make) => Array.from({ length: rows }, () => Array.from({ length: columns }, make));

export const freshModels = () => ({
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

export function readLevels(s, coder, models, rows, columns) {
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

export const ADAPTIVE = [0, 1, 6];
