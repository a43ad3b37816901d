/*
The lines that the page holds: a ring of fixed size, and the height of each line.

A line has an id: ids are consecutive whole numbers; newer lines get higher ids, older pages negative ones, so an
id stays valid while lines come and go at both ends. Slot = id modulo the capacity. Most lines have the same height;
what a line is higher than that is kept in a Fenwick tree over the slots, so the position of any line and the line at
any position are found in O(log n), however many lines are expanded or wrapped.
*/
export class Rows<T> {
  readonly capacity: number;
  /** The id of the oldest line held; equal to `next` when empty. */
  first = 0;
  /** The id behind the newest line held. */
  next = 0;
  #slots: (T | undefined)[];
  #extra: Float64Array;
  #tree: Float64Array;
  #mask: number;

  /** `capacity` is a power of two. */
  constructor(capacity: number) {
    this.capacity = capacity;
    this.#mask = capacity - 1;
    this.#slots = new Array(capacity);
    this.#extra = new Float64Array(capacity);
    this.#tree = new Float64Array(capacity + 1);
  }

  get size(): number {
    return this.next - this.first;
  }

  get free(): number {
    return this.capacity - this.size;
  }

  get(id: number): T | undefined {
    return id >= this.first && id < this.next ? this.#slots[id & this.#mask] : undefined;
  }

  /** Add at the new end; the oldest line goes when the ring is full. */
  push(row: T): number {
    if (this.size === this.capacity) this.dropFirst(1);
    this.#slots[this.next & this.#mask] = row;
    return this.next++;
  }

  /** Add at the old end; false, and nothing happens, when the ring is full. */
  unshift(row: T): boolean {
    if (this.size === this.capacity) return false;
    this.first--;
    this.#slots[this.first & this.#mask] = row;
    return true;
  }

  /** Put lines in the place of one; newer lines get new ids. There must be room for them. */
  replace(id: number, rows: readonly T[]): void {
    const newer: T[] = [];
    for (let at = id + 1; at < this.next; at++) newer.push(this.get(at) as T);
    for (let at = id; at < this.next; at++) this.#forget(at);
    this.next = id;
    for (const row of rows) this.push(row);
    for (const row of newer) this.push(row);
  }

  /**
   * Put lines in their places: those held stand in the order of `compare`, and so do these. What stands behind the
   * first of them gets a higher id, by as many as were put before it; the oldest go when the ring is full.
   */
  merge(rows: readonly T[], compare: (one: T, other: T) => number): void {
    const first = rows[0];
    if (first === undefined) return;
    const newer: T[] = [];
    while (this.size > 0 && compare(this.get(this.next - 1) as T, first) > 0) {
      this.next--;
      newer.push(this.#slots[this.next & this.#mask] as T);
      this.#forget(this.next);
    }
    for (const row of rows) {
      while (newer.length > 0 && compare(newer.at(-1) as T, row) <= 0) this.push(newer.pop() as T);
      this.push(row);
    }
    while (newer.length > 0) this.push(newer.pop() as T);
  }

  /** Put everything held in another order. */
  sort(compare: (one: T, other: T) => number): void {
    const all: T[] = [];
    for (let id = this.first; id < this.next; id++) all.push(this.get(id) as T);
    all.sort(compare);
    this.resetHeights();
    for (const [index, row] of all.entries()) this.#slots[(this.first + index) & this.#mask] = row;
  }

  dropFirst(count: number): void {
    for (let left = Math.min(count, this.size); left > 0; left--) {
      this.#forget(this.first);
      this.first++;
    }
  }

  clear(): void {
    this.#slots = new Array(this.capacity);
    this.resetHeights();
    this.first = this.next = 0;
  }

  /** How much higher than a plain line this one is, in pixels. */
  extra(id: number): number {
    return this.#extra[id & this.#mask] as number;
  }

  /** Returns whether it changed. */
  setExtra(id: number, extra: number): boolean {
    const slot = id & this.#mask;
    const change = extra - (this.#extra[slot] as number);
    if (change === 0) return false;
    this.#extra[slot] = extra;
    for (let node = slot + 1; node <= this.capacity; node += node & -node) {
      this.#tree[node] = (this.#tree[node] as number) + change;
    }
    return true;
  }

  resetHeights(): void {
    this.#extra.fill(0);
    this.#tree.fill(0);
  }

  /** Pixels from the top of the oldest line to the top of this one, with plain lines `height` high. */
  top(id: number, height: number): number {
    const start = this.first & this.#mask;
    const stop = id & this.#mask;
    const rows = id - this.first;
    let extra = this.#before(stop) - this.#before(start);
    if (rows > 0 && stop <= start) extra += this.#before(this.capacity);
    return rows * height + extra;
  }

  /** The id of the line at `y` pixels below the top of the oldest; the nearest when there is none. */
  at(y: number, height: number): number {
    let low = this.first;
    let high = Math.max(this.first, this.next - 1);
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (this.top(middle, height) <= y) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  #forget(id: number): void {
    this.setExtra(id, 0);
    this.#slots[id & this.#mask] = undefined;
  }

  /** The sum of the extras of slots [0, stop). */
  #before(stop: number): number {
    let sum = 0;
    for (let node = stop; node > 0; node -= node & -node) sum += this.#tree[node] as number;
    return sum;
  }
}
