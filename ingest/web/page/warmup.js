/** The warm-up's progress, as a bar and as text. */

import { partsOf } from "./dom.js";
import { formatBytes, formatMilliseconds } from "./formatting.js";

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
    this.#parts.text.textContent = describeWarmUp(status);
  }
}

/** @param {import("./api.js").Status} status */
export function describeWarmUp(status) {
  const all = Object.values(status.variants);
  const stored = all.filter(({ state }) => state === "stored");
  const count = `${stored.length} of ${all.length} variants ready`;
  switch (status.status) {
    case "pending":
      return "Waiting for a worker. Every URL works already.";
    case "processing":
      return `Warming up: ${count}.`;
    case "complete":
      return `${count}: ${formatBytes(sum(stored, "bytes"))}, derived in ${formatMilliseconds(sum(stored, "milliseconds"))}.`;
    default:
      return `The warm-up failed with ${count}. ${status.error ?? "The server gave no reason."}`;
  }
}

/**
 * @param {import("./api.js").Variant[]} variants
 * @param {"bytes" | "milliseconds"} figure
 */
function sum(variants, figure) {
  return variants.reduce((total, variant) => total + (variant[figure] ?? 0), 0);
}
