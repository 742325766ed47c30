const VARIANT_LIKE = /^\/(?:images|private)\/[^\/]+\/[^\/]*\.[^\/]*$/;
const ANIMATED = /^%ANIMATED%\.$/;
const LACKED = /^%LACKED%$/; // formats that sizes do not have
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
