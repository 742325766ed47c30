// Printed by `darkroom edge cloudfront` from the sizes in darkroom.toml; FunctionCode in the template.
// CloudFront runs it for each viewer's request (JavaScript runtime 2.0: ES 5.1, const, let, arrow functions).

const BASE_PATH = %BASE_PATH%; // of CDN_URL, or else of PUBLIC_URL; the origins do not know it
const VARIANT = /^(\/images\/%UPLOAD_ID%\/)(%SIZE%\.)(%FORMAT%|auto|jpeg)$/;
const INGEST = /^\/(?:images(?:\/upload|\/tickets|\/tokens|\/deletions\/%UPLOAD_ID%|\/%UPLOAD_ID%(?:\/(?:status|events|original))?)?|(?:page|docs)\/[a-z.-]+|docs|openapi\.json|sizes|healthz)?$/;

function handler(event) {
    const request = event.request;
    if (!request.uri.startsWith(BASE_PATH + '/')) {
        return notFound(request.uri);
    }
    request.uri = request.uri.slice(BASE_PATH.length);
    const variant = VARIANT.exec(request.uri);
    if (!variant) {
        return INGEST.test(request.uri) ? request : notFound(request.uri);
    }
    if (LACKED.test(variant[2] + variant[3])) {
        return notFound(request.uri);
    }
    if (variant[3] === 'jpeg') {
        return moved(variant[2] + 'jpg', 'public, max-age=31536000, immutable');
    }
    if (variant[3] === 'auto') {
        request.uri = variant[1] + variant[2] + negotiated(request.headers.accept, variant[2]);
    }
    return request;
}
