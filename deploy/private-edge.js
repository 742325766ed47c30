// Printed by `darkroom edge cloudfront --private` from the sizes in darkroom.toml; FunctionCode of PrivateEdge in the template.
// CloudFront runs it for each request for a private variant, before it looks into its cache.

import cf from 'cloudfront';
const crypto = require('crypto');

const BASE_PATH = ""; // of CDN_URL, or else of PUBLIC_URL; the origins do not know it
const VARIANT = /^(\/private\/([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\/)((?:small|medium|large)(?:@[23]x)?\.)(jpg|png|webp|avif|auto|jpeg)$/;
const TOKEN = /^v1\.([1-9]\d{0,11})\.([A-Za-z0-9_-]{43})$/;

async function handler(event) {
    const request = event.request;
    if (!request.uri.startsWith(BASE_PATH + '/')) {
        return notFound(request.uri);
    }
    request.uri = request.uri.slice(BASE_PATH.length);
    const variant = VARIANT.exec(request.uri);
    if (!variant || LACKED.test(variant[3] + variant[4])) {
        return notFound(request.uri);
    }
    const given = request.querystring.token;
    const token = given && !given.multiValue && TOKEN.exec(given.value);
    if (!token || Number(token[1]) * 1000 <= Date.now() || !await isSigned(variant[2], token)) {
        return forbidden();
    }
    if (variant[4] === 'jpeg') {
        return moved(variant[3] + 'jpg?token=' + given.value, 'no-store');
    }
    if (variant[4] === 'auto') {
        request.uri = variant[1] + variant[3] + negotiated(request.headers.accept, variant[3]);
    }
    return request;
}

// The store has SIGNING_KEYS as Darkroom has them: any of them may have signed. Only empty ones are as short as this.
async function isSigned(uploadId, token) {
    const keys = (await cf.kvs().get('signing-keys')).split(/[,\n]/).map(key => key.trim()).filter(key => key.length >= 32);
    const digests = keys.map(key =>
        crypto.createHmac('sha256', key).update('v1:' + uploadId + ':' + token[1]).digest('base64url'));
    return digests.filter(digest => isEqual(digest, token[2])).length > 0;
}

// Takes the same time wherever the texts differ.
function isEqual(one, other) {
    let difference = one.length ^ other.length;
    for (let index = 0; index < one.length; index++) {
        difference |= one.charCodeAt(index) ^ other.charCodeAt(index);
    }
    return difference === 0;
}

function forbidden() {
    return {
        statusCode: 403,
        statusDescription: 'Forbidden',
        headers: Object.assign({
            'content-type': { value: 'application/problem+json' },
            'cache-control': { value: 'no-store' }
        }, CROSS_ORIGIN),
        body: JSON.stringify({
            type: 'urn:darkroom:problem:forbidden',
            title: 'A valid token is required',
            status: 403,
            detail: 'The token is missing, of another upload, or has expired. Reload the page that shows the image.',
            code: 'forbidden'
        })
    };
}

const VARIANT_LIKE = /^\/(?:images|private)\/[^\/]+\/[^\/]*\.[^\/]*$/;
const ANIMATED = /^(?:(?!))(?:@[23]x)?\.$/;
const LACKED = /^(?:(?!))$/; // formats that sizes do not have
const PARAMETER = /^(?:[^\s=]+=\S*)?$/;
const WEIGHT = /^(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)$/;
const CROSS_ORIGIN = {
    'access-control-allow-origin': { value: '*' },
    'access-control-expose-headers': { value: 'ETag, Content-Range, Content-Location, Retry-After, Cache-Status, Server-Timing' },
    'cross-origin-resource-policy': { value: 'cross-origin' },
    'timing-allow-origin': { value: '*' }
};

// 'avif' or 'webp' unless the client prefers an older format; else 'auto', for which the origin chooses JPEG or PNG.
// Of sizes with `animated` 'webp', if it may be: AVIF shows the first frame. `size`: its name and a dot.
function negotiated(header, size) {
    const weights = accepted(header);
    const avif = LACKED.test(size + 'avif') ? 0 : weights['image/avif'] || 0;
    const webp = LACKED.test(size + 'webp') ? 0 : weights['image/webp'] || 0;
    const legacy = Math.max(weight(weights, 'image/jpeg'), weight(weights, 'image/png'));
    if (avif + webp === 0 || Math.max(avif, webp) < legacy) {
        return 'auto';
    }
    if (ANIMATED.test(size) && webp > 0 && webp >= legacy) {
        return 'webp';
    }
    return avif >= webp ? 'avif' : 'webp';
}

// Weights by media range, in lower case. Malformed members are ignored; of duplicates, the first counts.
function accepted(header) {
    const weights = Object.create(null);
    const text = !header ? '' : header.multiValue ? header.multiValue.map(each => each.value).join() : header.value;
    if (text.includes('"')) {
        return weights; // a quoted parameter may contain commas, and no browser sends one
    }
    text.toLowerCase().split(',').forEach(member => {
        const parts = member.split(';').map(part => part.trim());
        const weight = parts.find((part, index) => index > 0 && part.startsWith('q='));
        const value = weight === undefined ? '1' : weight.slice(2);
        const wellFormed = WEIGHT.test(value) && parts.every((part, index) => index === 0 || PARAMETER.test(part));
        if (wellFormed && !(parts[0] in weights)) {
            weights[parts[0]] = Number(value);
        }
    });
    return weights;
}

// Wildcards count for older formats too; the most specific range decides.
function weight(weights, type) {
    const range = [type, 'image/*', '*/*'].find(each => each in weights);
    return range === undefined ? 0 : weights[range];
}

// To a name, not a path: right below any path and host.
function moved(name, caching) {
    return {
        statusCode: 308,
        statusDescription: 'Permanent Redirect',
        headers: Object.assign({
            'location': { value: name },
            'cache-control': { value: caching }
        }, CROSS_ORIGIN)
    };
}

function notFound(path) {
    return {
        statusCode: 404,
        statusDescription: 'Not Found',
        headers: Object.assign({
            'content-type': { value: 'application/problem+json' },
            'cache-control': { value: 'public, max-age=60' }
        }, VARIANT_LIKE.test(path) ? CROSS_ORIGIN : {}),
        body: JSON.stringify({
            type: 'urn:darkroom:problem:not_found',
            title: 'Not found',
            status: 404,
            detail: 'Variants are /images/{uploadId}/{size}.{format}, those of private uploads /private/{uploadId}/{size}.{format}, for the sizes that are configured.',
            code: 'not_found'
        })
    };
}
