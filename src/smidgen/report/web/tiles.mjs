// Draws maps of numbers as tiles that fill a box.

import { colourOf } from "./colours.mjs";

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

// One picture below the other, a pixel a number.
function painted(values, tiles, height, width) {
  const most = values.reduce((so, value) => Math.max(so, Math.abs(value)), 0);
  const image = new ImageData(width, height * tiles);
  values.forEach((value, at) => image.data.set([...colourOf(value, most), 255], 4 * at));
  const canvas = Object.assign(document.createElement("canvas"), { width, height: height * tiles });
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

// Draws tiles as large as the width of the canvas's box and `room` allow.
export function drawTiles(canvas, room, values, tiles, height, width) {
  const { zoom, columns } = arranged(tiles, height, width, canvas.parentNode.clientWidth, room);
  const [across, down] = [width * zoom + GAP, height * zoom + GAP];
  const sharp = window.devicePixelRatio > 1 ? 2 : 1;
  const [wide, high] = [columns * across - GAP, Math.ceil(tiles / columns) * down - GAP];
  Object.assign(canvas, { width: Math.max(1, wide * sharp), height: Math.max(1, high * sharp) });
  Object.assign(canvas.style, { width: `${wide}px`, height: `${high}px` });
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.scale(sharp, sharp);
  const source = painted(values, tiles, height, width);
  for (let tile = 0; tile < tiles; tile++) {
    const [x, y] = [(tile % columns) * across, Math.floor(tile / columns) * down];
    context.drawImage(source, 0, tile * height, width, height, x, y, width * zoom, height * zoom);
  }
}
