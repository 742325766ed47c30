/** What the server offers and what the key allows, so that the page shows no control that cannot work. */

/** @typedef {"upload" | "read" | "delete"} Scope */

export class Access extends EventTarget {
  #api;
  /** Until the server answers, and if it does not, every control is shown: the server decides. */
  #known = /** @type {import("./api.js").PageAccess} */ ({
    keyRequired: false,
    scopes: ["upload", "read", "delete"],
    metrics: false,
    privateImages: false,
  });
  /** @type {Promise<void>} */
  loaded = Promise.resolve();

  /** @param {import("./api.js").Api} api */
  constructor(api) {
    super();
    this.#api = api;
  }

  /** Asks the server again, after each change of the key. Dispatches `change`. */
  load() {
    this.loaded = this.#load();
    return this.loaded;
  }

  async #load() {
    this.#known = (await this.#api.access()) ?? this.#known;
    this.dispatchEvent(new Event("change"));
  }

  get keyRequired() {
    return this.#known.keyRequired;
  }

  /** Whether a link to the metrics works: a link sends no key. */
  get metrics() {
    return this.#known.metrics;
  }

  /** Whether the server signs tokens for private images. */
  get privateImages() {
    return this.#known.privateImages;
  }

  /**
   * Whether a control that needs this scope is shown. Before a key is entered, it is: using it asks for the key.
   * @param {Scope} scope
   */
  allows(scope) {
    const { scopes } = this.#known;
    return scopes.length === 0 || scopes.includes(scope);
  }
}
