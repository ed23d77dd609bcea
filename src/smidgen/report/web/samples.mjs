// Test samples to begin with, and the wrongly classified images, which are buttons.

import { byId, bytesOf } from "./elements.mjs";
import { classText, page } from "./page.mjs";

const valuesOf = ({ values }) => {
  const bytes = bytesOf(values);
  return page.input.kind === "image-bytes" ? bytes : new Float32Array(bytes.buffer);
};

// The pixels of an image of the page, in the order channel, row, column.
function pixelsOf(image) {
  const [channels, height, width] = page.input.shape;
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  const { data } = context.getImageData(0, 0, width, height);
  return Uint8Array.from({ length: channels * height * width }, (_, at) => {
    const [c, pixel] = [Math.floor(at / (height * width)), at % (height * width)];
    return data[4 * pixel + c];
  });
}

// `load` is told the values of a sample and a sentence about it.
export function offerSamples(load) {
  const select = byId("sample");
  const choose = () => {
    const sample = page.samples[+select.value];
    if (sample) load(valuesOf(sample), `True class: ${classText(sample.label)}.`);
  };
  const by = (step) => () => {
    const last = page.samples.length - 1;
    select.value = String((+select.value || 0) + step < 0 ? last : ((+select.value || 0) + step) % (last + 1));
    choose();
  };
  select?.addEventListener("change", choose);
  byId("sample-before")?.addEventListener("click", by(-1));
  byId("sample-after")?.addEventListener("click", by(1));
  for (const button of document.querySelectorAll("[data-truth]"))
    button.addEventListener("click", () => {
      load(pixelsOf(button.querySelector("img")), `True class: ${button.dataset.truth}.`);
      byId("try").scrollIntoView({ behavior: "auto", block: "start" });
      byId("pad").focus({ preventScroll: true });
    });
  if (page.samples.length) {
    select.value = "0";
    choose();
  }
}
