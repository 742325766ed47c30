/** What needs a secret, for servers: Node, Deno, Bun and edge runtimes with Web Crypto. Never import it in a page. */

export { signTicket, verifyReceipt } from "./direct-uploads.js";
export type { Receipt, TicketOptions } from "./direct-uploads.js";
export { signToken, VerificationError } from "./signing.js";
export type { TokenOptions } from "./signing.js";
export { verifyWebhook } from "./webhook-verification.js";
export type { RequestHeaders, WebhookEvent } from "./webhook-verification.js";
