// Printed by `darkroom edge cloudfront --private` from the sizes in darkroom.toml; FunctionCode of PrivateEdge in the template.
// CloudFront runs it for each request for a private variant, before it looks into its cache.

import cf from 'cloudfront';
const crypto = require('crypto');

const BASE_PATH = %BASE_PATH%; // of CDN_URL, or else of PUBLIC_URL; the origins do not know it
const VARIANT = /^(\/private\/(%UPLOAD_ID%)\/)(%SIZE%\.)(%FORMAT%|auto|jpeg)$/;
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
