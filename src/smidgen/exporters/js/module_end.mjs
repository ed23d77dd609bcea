const network = open(Uint8Array.from(atob(FILE), (c) => c.charCodeAt(0)));
export const shape = network.shape;
export const labels = network.labels;
export const classify = network.classify;
export const outputs = network.outputs;
export default classify;
