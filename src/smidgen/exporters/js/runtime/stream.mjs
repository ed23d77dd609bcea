// The stream of decisions: a binary range decoder.

export const HALF = 2 ** 21;

export const fail = (what) => {
  throw new Error(`not a smidgen file that this program reads: ${what}`);
};

export const unzigzag = (v) => (v % 2 ? -(v + 1) / 2 : v / 2);

export const model = (p, n, frozen = false) => ({ p, n, frozen });

export class Stream {
  constructor(bytes, version) {
    this.bytes = bytes;
    this.version = version;
    this.place = 0;
    this.code = 0;
    this.range = 0xffffffff;
    this.flags = {};
    this.even = model(HALF, 0, true);
    for (let i = 0; i < 4; i++) this.code = this.code * 256 + this.next();
    if (this.code === 0xffffffff) fail("four bytes of ones");
  }

  next() {
    if (this.place >= this.bytes.length + 4) fail("it ends too early");
    const at = this.place++;
    return at < this.bytes.length ? this.bytes[at] : 0;
  }

  decide(m) {
    const bound = Math.floor(this.range / 65536) * Math.floor(m.p / 64);
    const bit = this.code < bound ? 1 : 0;
    if (bit) this.range = bound;
    else {
      this.code -= bound;
      this.range -= bound;
    }
    if (!m.frozen) {
      const rate = Math.floor(65536 / (m.n + 2));
      if (bit) m.p += Math.floor((Math.floor((2 * HALF - m.p) / 64) * rate) / 1024);
      else m.p -= Math.floor((Math.floor(m.p / 64) * rate) / 1024);
      m.n = Math.min(m.n + 1, 1022);
    }
    while (this.range < 2 ** 24) {
      this.code = this.code * 256 + this.next();
      this.range *= 256;
    }
    return bit;
  }

  uint(bits) {
    let value = 0;
    for (let i = 0; i < bits; i++) value = 2 * value + this.decide(this.even);
    return value;
  }

  golomb(order) {
    let width = order;
    while (this.uint(1)) if (++width > 99) fail("a number without end");
    return 2 ** width + this.uint(width) - 2 ** order;
  }

  signed(order) {
    return unzigzag(this.golomb(order));
  }

  flag(name) {
    return this.decide((this.flags[name] ??= model(3 * 2 ** 20, 2)));
  }
}
