/** The warm-up's progress, as a bar and in words. */

import { partsOf } from "./dom.js";
import { bytes, milliseconds } from "./words.js";

export class WarmUpView {
  #root;
  #parts;

  /** @param {HTMLElement} root */
  constructor(root) {
    this.#root = root;
    this.#parts = partsOf(root);
  }

  /** @param {import("./api.js").Status} status */
  update(status) {
    this.#root.dataset.status = status.status;
    this.#parts.progress.value = status.progress;
    this.#parts.words.textContent = wordsFor(status);
  }
}

/** @param {import("./api.js").Status} status */
export function wordsFor(status) {
  const all = Object.values(status.variants);
  const stored = all.filter(({ state }) => state === "stored");
  const count = `${stored.length} of ${all.length} variants`;
  switch (status.status) {
    case "pending":
      return "Waits for a worker. Every URL works already.";
    case "processing":
      return `Warming up: ${count}.`;
    case "complete":
      return `Warm: ${count}, ${bytes(sum(stored, "bytes"))}, ${milliseconds(sum(stored, "milliseconds"))} of work.`;
    default:
      return `The warm-up failed after ${count}: ${status.error ?? "no reason was given"}`;
  }
}

/**
 * @param {import("./api.js").Variant[]} variants
 * @param {"bytes" | "milliseconds"} figure
 */
function sum(variants, figure) {
  return variants.reduce((total, variant) => total + (variant[figure] ?? 0), 0);
}
