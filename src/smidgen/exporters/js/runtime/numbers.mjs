// Floating-point numbers from their bits.

const view = new DataView(new ArrayBuffer(4));

export function float32(bits) {
  view.setUint32(0, bits);
  return view.getFloat32(0);
}

export function float16(bits) {
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  const size = exponent ? (1 + fraction / 1024) * 2 ** (exponent - 15) : fraction * 2 ** -24;
  if (exponent === 31) return fraction ? NaN : bits >> 15 ? -Infinity : Infinity;
  return bits >> 15 ? -size : size;
}

export const coarse = (c) => (8 + (((c % 8) + 8) % 8)) * 2 ** (Math.floor(c / 8) - 24);
