// What the page holds. `makeRuntime` is the program of the exports, as a function whose text a worker can take.

import { byId, bytesOf, floatsOf } from "./elements.mjs";

export const open = makeRuntime();
export const page = JSON.parse(byId("page-data").textContent);
export const [winner] = page.networks;
export const file = page.networks.find((network) => "bytes" in network.sizes);
export const isPicture = Math.min(...page.input.shape.slice(1)) > 1;

// Opens a network once; null where its weights were left out of the page.
export function opened(network) {
  network.opened ??= network.tensors && open(bytesOf(network.about), network.tensors.map(floatsOf));
  return network.opened;
}

export const classText = (index) => page.classes[index];
