/** Uploads by fetch, against a server that answers as told. Browsers: tests/browser/test_js_client_uploads.py. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { after, before, test } from "node:test";

import { upload, UploadError } from "darkroom-client";

const FILE = new Blob(["an image"], { type: "image/jpeg" });
const ACCEPTED = [201, {}, { uploadId: "1" }];
const OVERLOADED = [503, { "Retry-After": "0" }, { code: "overloaded", detail: "Try again later." }];
const IN_PROGRESS = [409, { "Retry-After": "0" }, { code: "in_progress", detail: "It is being received." }];

/** What the server answers and has received, by the first part of the path: a late request of one test disturbs no other. */
const conversations = [];
let root = "";

const server = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) {
        body += chunk;
    }
    const [, number, ...path] = request.url.split("/");
    const { requests, answers } = conversations[number];
    requests.push({ method: request.method, path: path.join("/"), headers: request.headers, body });
    const answer = answers.shift();
    if (answer === "hang up") {
        request.socket.destroy();
    } else if (answer !== "say nothing") {
        const [status, headers, document] = answer;
        response.writeHead(status, { "Content-Type": "application/json", ...headers });
        response.end(typeof document === "string" ? document : JSON.stringify(document));
    }
});

before(async () => {
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    root = `http://127.0.0.1:${server.address().port}`;
});
after(() => {
    server.closeAllConnections();
    server.close();
});

function answering(...answers) {
    const requests = [];
    const number = conversations.push({ answers, requests }) - 1;
    return { base: `${root}/${number}`, requests };
}

async function failure(promise) {
    return promise.then(
        () => assert.fail("it succeeded"),
        (error) => error,
    );
}

test("upload sends the ticket, the fields and then the file", async () => {
    const { base, requests } = answering(ACCEPTED);

    const fields = { owner: "42", metadata: { a: 1 }, visibility: "private", externalId: undefined };
    assert.deepEqual(await upload(FILE, { base: `${base}/`, ticket: "t.t.t", fields }), { uploadId: "1" });

    const [{ method, path, headers, body }] = requests;
    assert.deepEqual([method, path, headers.authorization, headers.accept], ["POST", "images/upload", "Bearer t.t.t", "application/json"]);
    assert.match(headers["content-type"], /^multipart\/form-data; boundary=/);
    assert.deepEqual([...body.matchAll(/ name="(\w+)"/g)].map(([, name]) => name), ["owner", "metadata", "visibility", "image"]);
    assert.match(body, /\r\n\r\n\{"a":1\}\r\n/);
    assert.match(body, /name="image"; filename="[^"]+"\r\nContent-Type: image\/jpeg\r\n\r\nan image\r\n/);
});

test("upload with a key sends it and the idempotency key", async () => {
    const { base, requests } = answering(ACCEPTED);

    await upload(FILE, { base, key: "secret", idempotencyKey: "once" });

    assert.deepEqual([requests[0].headers.authorization, requests[0].headers["idempotency-key"]], ["Bearer secret", "once"]);
});

test("upload is tried again after a 503 and while an earlier attempt is received, with the same ticket", async () => {
    const { base, requests } = answering(OVERLOADED, IN_PROGRESS, OVERLOADED, ACCEPTED);

    assert.deepEqual(await upload(FILE, { base, ticket: "t" }), { uploadId: "1" });

    assert.deepEqual(requests.map(({ headers }) => headers.authorization), Array(4).fill("Bearer t"));
    assert.ok(requests.every(({ body }) => body.includes("an image")));
});

/** Runs `act` with the pauses between attempts as `onPause(milliseconds)` returns them, and returns what was asked for. */
async function withPauses(onPause, act) {
    const pauses = [];
    const { setTimeout: original } = globalThis;
    globalThis.setTimeout = (callback, milliseconds, ...rest) => {
        if (!new Error("here").stack.includes("at pause")) {
            return original(callback, milliseconds, ...rest); // Node's fetch has timers, too
        }
        pauses.push(milliseconds);
        return onPause(callback, original);
    };
    try {
        await act(pauses);
    } finally {
        globalThis.setTimeout = original;
    }
    return pauses;
}

test("upload waits for as long as Retry-After says, and at most 30 seconds", async () => {
    const after = (value) => [503, value === null ? {} : { "Retry-After": value }, { code: "overloaded" }];
    const { base } = answering(after("7"), after("86400"), after(null), ACCEPTED);

    const pauses = await withPauses((end, later) => later(end, 0), () => upload(FILE, { base }));

    assert.deepEqual(pauses, [7000, 30_000, 4000]);
});

test("refusal is an error with the problem's code and sentence, and is not tried again", async () => {
    for (const [status, code] of [[413, "too_large"], [401, "unauthorized"], [409, "key_reused"], [500, "internal"]]) {
        const { base, requests } = answering([status, {}, { code, detail: "A sentence." }], ACCEPTED);
        const error = await failure(upload(FILE, { base, ticket: "t" }));
        assert.ok(error instanceof UploadError);
        assert.deepEqual([error.name, error.status, error.code, error.message, error.retryAfter], ["UploadError", status, code, "A sentence.", null]);
        assert.equal(requests.length, 1);
    }
});

test("response that is no JSON is an error with its status", async () => {
    for (const answer of [[502, {}, "<html>"], [200, {}, { uploadId: "1" }], [201, {}, "null"]]) {
        const { base } = answering(answer);
        const { code, status, message } = await failure(upload(FILE, { base }));
        assert.deepEqual([code, status, message], ["http", answer[0], `The server answered with ${answer[0]}.`]);
    }
});

test("attempts end after the given number, with the last error", async () => {
    const { base, requests } = answering(OVERLOADED, OVERLOADED, ACCEPTED);
    const { code, retryAfter } = await failure(upload(FILE, { base, retries: 1 }));
    assert.deepEqual([code, retryAfter, requests.length], ["overloaded", 0, 2]);
});

test("network error is tried again only if that cannot upload twice", async () => {
    const { base, requests } = answering("hang up", ACCEPTED);
    const { code, status } = await failure(upload(FILE, { base }));
    assert.deepEqual([code, status, requests.length], ["network", 0, 1]);

    for (const options of [{ ticket: "t" }, { idempotencyKey: "once" }]) {
        const { base } = answering("hang up", ACCEPTED); // the pause is a second
        assert.deepEqual(await upload(FILE, { base, ...options }), { uploadId: "1" });
    }
});

test("attempt that takes too long is an error", async () => {
    const { base } = answering("say nothing");
    const { code, message } = await failure(upload(FILE, { base, timeout: 50, retries: 0 }));
    assert.deepEqual([code, message], ["timeout", "The upload took more than 0.05 seconds."]);
});

test("abort before, during and between attempts throws the signal's reason", { timeout: 30_000 }, async () => {
    const reason = new Error("left the page");
    const { base, requests } = answering(ACCEPTED);
    assert.equal(await failure(upload(FILE, { base, signal: AbortSignal.abort(reason) })), reason);
    assert.equal(requests.length, 0);

    const during = answering("say nothing", ACCEPTED);
    const controller = new AbortController();
    const failed = failure(upload(FILE, { base: during.base, ticket: "t", signal: controller.signal }));
    while (during.requests.length === 0) {
        await new Promise((resolve) => setTimeout(resolve, 5));
    }
    controller.abort(reason);
    assert.equal(await failed, reason);

    const between = answering(OVERLOADED, ACCEPTED);
    const other = new AbortController();
    const abort = (_end, later) => later(() => other.abort(reason), 0); // and the pause never ends by itself
    await withPauses(abort, async () => {
        assert.equal(await failure(upload(FILE, { base: between.base, ticket: "t", signal: other.signal })), reason);
    });
    assert.deepEqual([during.requests.length, between.requests.length], [1, 1]);
});
