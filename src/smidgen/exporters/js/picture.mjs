// What is drawn, as a picture of numbers: { channels, height, width, values } in the order channel, row, column.

export const blank = (channels, height, width, value = 0) => ({
  channels,
  height,
  width,
  values: new Float64Array(channels * height * width).fill(value),
});

// Paints a stroke from one point to another; `paint` has a value a channel. Edges are mixed by how much they are covered.
export function stroke(picture, [x0, y0], [x1, y1], radius, paint) {
  const { channels, height, width, values } = picture;
  const reach = radius + 1;
  const [dx, dy] = [x1 - x0, y1 - y0];
  const long = dx * dx + dy * dy;
  for (let y = Math.max(0, Math.floor(Math.min(y0, y1) - reach)); y < Math.min(height, Math.max(y0, y1) + reach); y++)
    for (let x = Math.max(0, Math.floor(Math.min(x0, x1) - reach)); x < Math.min(width, Math.max(x0, x1) + reach); x++) {
      const [px, py] = [x + 0.5 - x0, y + 0.5 - y0];
      const along = long ? Math.min(1, Math.max(0, (px * dx + py * dy) / long)) : 0;
      const covered = Math.min(1, radius + 0.5 - Math.hypot(px - along * dx, py - along * dy));
      if (covered <= 0) continue;
      for (let c = 0, at = y * width + x; c < channels; c++, at += height * width) {
        const mixed = values[at] + (paint[c] - values[at]) * covered;
        values[at] = paint[c] > values[at] ? Math.max(values[at], mixed) : Math.min(values[at], mixed);
      }
    }
}

// How much of each of `length` places each of `count` equal stretches of them covers: [stretch, place, share] and so on.
function sharesOf(length, count) {
  const scale = length / count;
  const shares = [];
  for (let t = 0; t < count; t++) {
    const [begin, end] = [t * scale, (t + 1) * scale];
    for (let i = Math.floor(begin); i < Math.min(length, end); i++)
      shares.push(t, i, (Math.min(i + 1, end) - Math.max(i, begin)) / scale);
  }
  return shares;
}

// Adds up `count` lines of numbers, `apart` from each other, with their shares. Numbers of a line are `step` apart.
function stretch(from, to, shares, [step, count, apartFrom, apartTo]) {
  for (let at = 0; at < shares.length; at += 3) {
    let [i, j] = [shares[at + 1] * step[0], shares[at] * step[1]];
    for (let line = 0; line < count; line++, i += apartFrom, j += apartTo) to[j] += shares[at + 2] * from[i];
  }
}

// A picture in another size: each pixel is the mean of the area that it covers.
export function resized({ channels, height, width, values }, rows, columns) {
  const narrow = blank(channels, height, columns);
  stretch(values, narrow.values, sharesOf(width, columns), [[1, 1], channels * height, width, columns]);
  const made = blank(channels, rows, columns);
  for (let c = 0; c < channels; c++) {
    const from = narrow.values.subarray(c * height * columns, (c + 1) * height * columns);
    const to = made.values.subarray(c * rows * columns, (c + 1) * rows * columns);
    stretch(from, to, sharesOf(height, rows), [[columns, columns], columns, 1, 1]);
  }
  return made;
}

// The part of a picture of one channel that has ink, above an eighth of the most; null if there is none.
function inked({ height, width, values }) {
  let [left, top, right, bottom] = [width, height, -1, -1];
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      if (values[y * width + x] > 32) {
        left = Math.min(left, x);
        right = Math.max(right, x);
        top = Math.min(top, y);
        bottom = Math.max(bottom, y);
      }
  if (right < 0) return null;
  const part = blank(1, bottom - top + 1, right - left + 1);
  for (let y = 0; y < part.height; y++)
    for (let x = 0; x < part.width; x++)
      part.values[y * part.width + x] = values[(top + y) * width + left + x];
  return part;
}

// As MNIST was made: what is drawn fills 20 of 28 pixels with its longer side, and its centre of mass is in the middle.
// Returns null where nothing is drawn.
export function centred(picture, side) {
  const found = inked(picture);
  if (!found) return null;
  const by = Math.round((20 / 28) * side) / Math.max(found.height, found.width);
  const small = resized(found, Math.max(1, Math.round(found.height * by)), Math.max(1, Math.round(found.width * by)));
  let [mass, x, y] = [0, 0, 0];
  small.values.forEach((value, i) => {
    mass += value;
    x += value * (i % small.width);
    y += value * Math.floor(i / small.width);
  });
  return moved(small, side, Math.round(side / 2 - x / mass), Math.round(side / 2 - y / mass));
}

function moved({ height, width, values }, side, left, top) {
  const made = blank(1, side, side);
  for (let y = Math.max(0, -top); y < Math.min(height, side - top); y++)
    for (let x = Math.max(0, -left); x < Math.min(width, side - left); x++)
      made.values[(y + top) * side + x + left] = values[y * width + x];
  return made;
}

export const asBytesOf = ({ values }) => Uint8Array.from(values, Math.round);

// Shows a picture on a canvas, in the canvas's size; `low` and `high` are the values that are black and white.
export function paintOn(canvas, { channels, height, width, values }, low = 0, high = 255) {
  const image = new ImageData(width, height);
  const size = height * width;
  for (let i = 0; i < size; i++) {
    for (let c = 0; c < 3; c++) {
      const value = channels === 3 ? values[c * size + i] : values[i];
      image.data[4 * i + c] = (255 * (value - low)) / (high - low);
    }
    image.data[4 * i + 3] = 255;
  }
  const isScaled = canvas.width !== width || canvas.height !== height;
  const small = isScaled ? Object.assign(document.createElement("canvas"), { width, height }) : canvas;
  small.getContext("2d").putImageData(image, 0, 0);
  if (!isScaled) return;
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(small, 0, 0, canvas.width, canvas.height);
}
