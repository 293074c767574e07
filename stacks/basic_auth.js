// Lets in who has a password, at CloudFront's edge, before anything is looked up (docs/how-to/serve-readers.md).
// The store has a user's name as key, and as value the SHA-256 of "name:password" in lower-case hex: it holds nothing
// that opens the cache. A password is 32 random bytes, so a fast hash is no help to whoever has stolen the store.
import cf from 'cloudfront';
import crypto from 'crypto';

const users = cf.kvs();
const NOBODY = '0'.repeat(64);
const USER = /^([A-Za-z0-9._@-]{1,64}):/;
const LONGEST = 512;
const REFUSED = {
    statusCode: 401,
    statusDescription: 'Unauthorized',
    headers: {
        'www-authenticate': { value: 'Basic realm="Nix binary cache", charset="UTF-8"' },
        'cache-control': { value: 'no-store' },
    },
};

// Returns "name:password", or "" for anything that is not Basic (RFC 7617).
function credentials(headers) {
    const header = headers.authorization;
    if (!header || header.multiValue || header.value.length > LONGEST) {
        return '';
    }
    const match = /^basic +([A-Za-z0-9+/]+={0,2})$/i.exec(header.value);
    return match ? Buffer.from(match[1], 'base64').toString('utf8') : '';
}

// All characters are compared, whichever differ: the time that it takes says nothing of where.
function same(left, right) {
    let difference = left.length ^ right.length;
    for (let i = 0; i < left.length; i++) {
        difference |= left.charCodeAt(i) ^ right.charCodeAt(i % right.length);
    }
    return difference === 0;
}

async function handler(event) {
    const request = event.request;
    const given = credentials(request.headers);
    const user = USER.exec(given);
    if (!user) {
        return REFUSED;
    }
    // Asked first, for get() fails alike for a user that is not there and for a store that does not answer. The second
    // ends as an error of the server, which Nix tries again; a 401 it would take for "this path is not here".
    const known = (await users.exists(user[1])) ? await users.get(user[1]) : NOBODY;
    const digest = crypto.createHash('sha256').update(given).digest('hex');
    if (!same(digest, known)) {
        return REFUSED;
    }
    delete request.headers.authorization;
    return request;
}
