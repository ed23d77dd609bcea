// Colours of numbers: blue above zero, orange below, the colour of a panel at zero.

const triple = (text) =>
  text.startsWith("#") ? [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16)) : text.split(" ").map(Number);

let inks;

export function readColours() {
  const style = getComputedStyle(document.documentElement);
  const read = (name) => triple(style.getPropertyValue(name).trim());
  inks = { zero: read("--panel"), above: read("--correct"), below: read("--wrong") };
}

export function colourOf(value, most) {
  const share = most > 0 ? Math.min(1, Math.abs(value) / most) ** 0.7 : 0;
  const ink = value < 0 ? inks.below : inks.above;
  return inks.zero.map((from, at) => from + (ink[at] - from) * share);
}
