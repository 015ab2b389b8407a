// A queue whose first item is taken in constant time, also among a hundred thousand.

export class Queue<Item> {
  readonly #items: (Item | undefined)[] = [];
  /** The number of items at the start that were taken. */
  #taken = 0;

  get length(): number {
    return this.#items.length - this.#taken;
  }

  /** As `Array.prototype.at`. */
  at(index: 0 | -1): Item | undefined {
    return this.#items.at(index || this.#taken);
  }

  push(item: Item): void {
    this.#items.push(item);
  }

  shift(): Item | undefined {
    const item = this.at(0);
    this.#items[this.#taken++] = undefined;
    // Removing the first items moves all others, so it is done when they are half of the array.
    if (2 * this.#taken >= this.#items.length) {
      this.#items.splice(0, this.#taken);
      this.#taken = 0;
    }
    return item;
  }
}
