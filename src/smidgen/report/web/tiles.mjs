// Draws maps of numbers as tiles that fill a box.

import { writeColour } from "./colours.mjs";

const GAP = 2;
const MOST_ZOOM = 14;

// How many columns of tiles make them largest.
function arranged(tiles, height, width, wide, high) {
  let best = { zoom: 0, columns: 1 };
  for (let columns = 1; columns <= tiles; columns++) {
    const rows = Math.ceil(tiles / columns);
    const across = (wide - (columns - 1) * GAP) / (columns * width);
    const down = (high - (rows - 1) * GAP) / (rows * height);
    const zoom = Math.min(across, down, MOST_ZOOM);
    if (zoom > best.zoom) best = { zoom, columns };
  }
  return best.zoom >= 1 ? { ...best, zoom: Math.floor(best.zoom) } : best;
}

// The colour of each number as the pixel of an image.
function coloursOf(values) {
  let most = 0;
  for (let at = 0; at < values.length; at++) most = Math.max(most, Math.abs(values[at]));
  const pixels = new Uint8ClampedArray(4 * values.length);
  for (let at = 0; at < values.length; at++) writeColour(values[at], most, pixels, 4 * at);
  return new Uint32Array(pixels.buffer);
}

// Copies the pixels of a tile from `from` on to an image `wide` pixels wide, `scale` times as large.
function paintTile(image, wide, [left, top], colours, from, [height, width], scale) {
  const end = Math.min(wide, left + Math.max(1, Math.round(width * scale)));
  for (let y = 0; y < Math.max(1, Math.round(height * scale)); y++) {
    const row = from + Math.min(height - 1, Math.floor(y / scale)) * width;
    for (let x = left, to = (top + y) * wide; x < end; x++)
      image[to + x] = colours[row + Math.min(width - 1, Math.floor((x - left) / scale))];
  }
}

// Draws tiles as large as a box of `box` by `room` pixels allows.
export function drawTiles(canvas, [box, room], values, tiles, height, width) {
  const { zoom, columns } = arranged(tiles, height, width, box, room);
  const [across, down] = [width * zoom + GAP, height * zoom + GAP];
  const sharp = window.devicePixelRatio > 1 ? 2 : 1;
  const [wide, high] = [columns * across - GAP, Math.ceil(tiles / columns) * down - GAP];
  const sides = [wide, high].map((side) => Math.max(1, Math.floor(side * sharp)));
  [canvas.width, canvas.height] = sides;
  Object.assign(canvas.style, { width: `${wide}px`, height: `${high}px` });
  const image = new ImageData(...sides);
  const [pixels, colours] = [new Uint32Array(image.data.buffer), coloursOf(values)];
  for (let tile = 0; tile < tiles; tile++) {
    const place = [(tile % columns) * across, Math.floor(tile / columns) * down].map((side) => Math.floor(side * sharp));
    paintTile(pixels, sides[0], place, colours, tile * height * width, [height, width], zoom * sharp);
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}
