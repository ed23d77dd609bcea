/** What the network says of one input. */
export interface Answer {
  /** The name of the most probable class. */
  label: string;
  /** Its index in `labels`. */
  index: number;
  /** The probability of each class, in the order of `labels`. */
  scores: number[];
}

/** Channels, height and width of the input. */
export declare const shape: [number, number, number];

/** The names of the classes. */
export declare const labels: string[];

/** Classifies one input: its values in the order channel, row, column, in the units of the training data. */
export declare function classify(values: ArrayLike<number>): Answer;

/** The output of each layer for one input, with repeats written out. */
export declare function outputs(values: ArrayLike<number>): Float32Array[];

export default classify;
