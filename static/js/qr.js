// @ts-check
/**
 * QR codes (ISO/IEC 18004): bytes, error correction level M, versions 1 to 10, which is enough for the
 * address of a page. Pure.
 */

/** By version: check bytes of a block, then the data bytes of each block. @type {[number, ...number[]][]} */
const BLOCKS = [
  [10, 16], [16, 28], [26, 44], [18, 32, 32], [24, 43, 43], [16, 27, 27, 27, 27], [18, 31, 31, 31, 31],
  [22, 38, 38, 39, 39], [22, 36, 36, 36, 37, 37], [26, 43, 43, 43, 43, 44],
];
/** By version: the middles of the alignment patterns. */
const MIDDLES = [[], [6, 18], [6, 22], [6, 26], [6, 30], [6, 34], [6, 22, 38], [6, 24, 42], [6, 26, 46], [6, 28, 50]];
/** From this version on a code names its version. */
const NAMED = 7;
/** From this version on the length takes two bytes. */
const LONG = 10;
const BYTE_MODE = 4;

/** Which modules a mask turns over. @type {((x: number, y: number) => boolean)[]} */
const MASKS = [
  (x, y) => (x + y) % 2 === 0,
  (_, y) => y % 2 === 0,
  (x) => x % 3 === 0,
  (x, y) => (x + y) % 3 === 0,
  (x, y) => (Math.floor(x / 3) + Math.floor(y / 2)) % 2 === 0,
  (x, y) => ((x * y) % 2) + ((x * y) % 3) === 0,
  (x, y) => (((x * y) % 2) + ((x * y) % 3)) % 2 === 0,
  (x, y) => (((x + y) % 2) + ((x * y) % 3)) % 2 === 0,
];

const sum = (/** @type {number[]} */ numbers) => numbers.reduce((one, other) => one + other, 0);

/** Product in GF(256) with the polynomial 0x11d. @param {number} a @param {number} b */
function times(a, b) {
  let product = 0;
  for (let bit = 7; bit >= 0; bit -= 1) {
    product = (product << 1) ^ ((product >> 7) * 0x11d);
    if ((b >> bit) & 1) product ^= a;
  }
  return product;
}

/** The Reed-Solomon check bytes of a block. @param {number[]} data @param {number} count */
function checks(data, count) {
  let generator = [1];
  for (let at = 0, root = 1; at < count; at += 1, root = times(root, 2)) {
    const longer = [...generator, 0];
    generator.forEach((factor, place) => (longer[place + 1] ^= times(factor, root)));
    generator = longer;
  }
  const rest = [...data, ...Array(count).fill(0)];
  data.forEach((_, at) => {
    const lead = rest[at];
    generator.forEach((factor, place) => (rest[at + place] ^= times(factor, lead)));
  });
  return rest.slice(data.length);
}

/** The smallest version that holds so many bytes. @param {number} length */
function versionFor(length) {
  const at = BLOCKS.findIndex(([, ...data], index) => length <= sum(data) - (index + 1 < LONG ? 2 : 3));
  if (at < 0) throw new RangeError(`${length} bytes are too many for a QR code of version ${BLOCKS.length}`);
  return at + 1;
}

/** Data and check bytes in the order in which they are drawn. @param {string} text @returns {{version: number, bytes: number[]}} */
function codewords(text) {
  const letters = Array.from(new TextEncoder().encode(text));
  const version = versionFor(letters.length);
  const [count, ...sizes] = BLOCKS[version - 1];
  const length = version < LONG ? [letters.length] : [letters.length >> 8, letters.length & 255];
  const half = [BYTE_MODE, ...[...length, ...letters].flatMap((byte) => [byte >> 4, byte & 15]), 0];
  /** @type {number[]} */
  const data = [];
  for (let at = 0; at < half.length; at += 2) data.push(half[at] * 16 + half[at + 1]);
  for (let pad = 0xec; data.length < sum(sizes); pad ^= 0xec ^ 0x11) data.push(pad);
  let begin = 0;
  const blocks = sizes.map((size) => data.slice(begin, (begin += size)));
  const bytes = [];
  for (let at = 0; at < sizes[sizes.length - 1]; at += 1) for (const block of blocks) if (at < block.length) bytes.push(block[at]);
  const ends = blocks.map((block) => checks(block, count));
  for (let at = 0; at < count; at += 1) for (const end of ends) bytes.push(end[at]);
  return { version, bytes };
}

/** Appends the remainder by a polynomial (BCH). @param {number} value @param {number} bits @param {number} polynomial */
function checked(value, bits, polynomial) {
  let rest = value;
  for (let at = 0; at < bits; at += 1) rest = (rest << 1) ^ ((rest >> (bits - 1)) * polynomial);
  return (value << bits) | rest;
}

class Field {
  /** @param {number} version */
  constructor(version) {
    this.size = 17 + version * 4;
    /** @type {(boolean|undefined)[][]} rows; a pattern's modules are defined */
    this.rows = Array.from({ length: this.size }, () => Array(this.size).fill(undefined));
    this.patterns(version);
  }

  /** @param {number} x @param {number} y @param {boolean} dark */
  set(x, y, dark) {
    if (this.rows[y] && x >= 0 && x < this.size) this.rows[y][x] = dark;
  }

  /** A square of rings around a middle. @param {number} x @param {number} y @param {number} reach @param {number[]} light */
  rings(x, y, reach, light) {
    for (let dy = -reach; dy <= reach; dy += 1) {
      for (let dx = -reach; dx <= reach; dx += 1) this.set(x + dx, y + dy, !light.includes(Math.max(Math.abs(dx), Math.abs(dy))));
    }
  }

  /** @param {number} version */
  patterns(version) {
    const far = this.size - 4;
    for (let at = 8; at < this.size - 8; at += 1) {
      this.set(at, 6, at % 2 === 0);
      this.set(6, at, at % 2 === 0);
    }
    const middles = MIDDLES[version - 1];
    const last = middles[middles.length - 1];
    for (const x of middles) for (const y of middles) if (!((x === 6 && (y === 6 || y === last)) || (x === last && y === 6))) this.rings(x, y, 2, [1]);
    for (const [x, y] of [[3, 3], [far, 3], [3, far]]) this.rings(x, y, 4, [2, 4]);
    this.format(0);
    if (version < NAMED) return;
    const named = checked(version, 12, 0x1f25);
    for (let at = 0; at < 18; at += 1) {
      const [a, b] = [this.size - 11 + (at % 3), Math.floor(at / 3)];
      this.set(a, b, Boolean((named >> at) & 1));
      this.set(b, a, Boolean((named >> at) & 1));
    }
  }

  /** Level M (0) and the mask, twice. @param {number} mask */
  format(mask) {
    const bits = checked(mask, 10, 0x537) ^ 0x5412;
    for (let at = 0; at < 15; at += 1) {
      const dark = Boolean((bits >> at) & 1);
      if (at < 8) this.set(8, at + (at > 5 ? 1 : 0), dark);
      else this.set(at === 8 ? 7 : 14 - at, 8, dark);
      if (at < 8) this.set(this.size - 1 - at, 8, dark);
      else this.set(8, this.size - 15 + at, dark);
    }
    this.set(8, this.size - 8, true);
  }

  /** Up and down in pairs of columns, from the right. @param {number[]} bytes @param {number} mask @returns {boolean[][]} */
  draw(bytes, mask) {
    this.format(mask);
    const drawn = this.rows.map((row) => row.map(Boolean));
    let bit = 0;
    for (let right = this.size - 1; right > 0; right -= right === 8 ? 3 : 2) {
      for (let step = 0; step < this.size; step += 1) {
        const y = ((right + 1) & 2) === 0 ? this.size - 1 - step : step;
        for (const x of [right, right - 1]) {
          if (this.rows[y][x] !== undefined) continue;
          drawn[y][x] = Boolean((bytes[bit >> 3] >> (7 - (bit & 7))) & 1) !== MASKS[mask](x, y);
          bit += 1;
        }
      }
    }
    return drawn;
  }
}

/** How hard a code is to read: long runs, blocks, and unevenness. @param {boolean[][]} rows */
function penalty(rows) {
  let points = 0;
  let dark = 0;
  const size = rows.length;
  const at = (/** @type {number} */ x, /** @type {number} */ y, /** @type {boolean} */ turned) => (turned ? rows[x][y] : rows[y][x]);
  for (const turned of [false, true]) {
    for (let y = 0; y < size; y += 1) {
      for (let x = 0, run = 0; x < size; x += 1) {
        run = x && at(x, y, turned) === at(x - 1, y, turned) ? run + 1 : 1;
        if (run >= 5) points += run === 5 ? 3 : 1;
      }
    }
  }
  for (let y = 0; y < size; y += 1) {
    for (let x = 0; x < size; x += 1) {
      dark += Number(rows[y][x]);
      if (x && y && new Set([rows[y][x], rows[y - 1][x], rows[y][x - 1], rows[y - 1][x - 1]]).size === 1) points += 3;
    }
  }
  return points + Math.floor(Math.abs((dark * 20) / (size * size) - 10)) * 10;
}

/**
 * The rows of a code, true for dark, without the quiet zone of 4 around it.
 *
 * @param {string} text at most 213 bytes @param {number} [mask] 0–7; the one that is easiest to read unless told
 * @returns {boolean[][]}
 * @throws {RangeError} for a longer text
 */
export function qrCode(text, mask) {
  const { version, bytes } = codewords(text);
  const field = new Field(version);
  if (mask !== undefined) return field.draw(bytes, mask);
  const drawn = MASKS.map((_, each) => field.draw(bytes, each));
  const points = drawn.map(penalty);
  return drawn[points.indexOf(Math.min(...points))];
}
