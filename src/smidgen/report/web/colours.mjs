// Colours of numbers: blue above zero, orange below, the colour of a panel at zero.

const triple = (text) =>
  text.startsWith("#") ? [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16)) : text.split(" ").map(Number);

let inks;

export function readColours() {
  const style = getComputedStyle(document.documentElement);
  const read = (name) => triple(style.getPropertyValue(name).trim());
  inks = { zero: read("--panel"), above: read("--correct"), below: read("--wrong") };
}

// Writes the colour of a value to the pixels of an image from `to` on.
export function writeColour(value, most, pixels, to) {
  const share = most > 0 ? Math.min(1, Math.abs(value) / most) ** 0.7 : 0;
  const ink = value < 0 ? inks.below : inks.above;
  for (let at = 0; at < 3; at++) pixels[to + at] = inks.zero[at] + (ink[at] - inks.zero[at]) * share;
  pixels[to + 3] = 255;
}
