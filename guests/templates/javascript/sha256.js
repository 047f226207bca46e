// SHA-256 (FIPS 180-4), which QuickJS does not bring. An interpreter pays for
// each call, each allocation, and each number beyond signed 32 bits: the rounds do
// without.

const BLOCK_BYTES = 64;

// The first 32 bits of the fractional parts of the roots of the first primes:
// the square roots are the initial state, the cube roots the rounds' constants.
const PRIMES = [];
for (let n = 2; PRIMES.length < 64; n++) {
    if (PRIMES.every((prime) => n % prime !== 0)) PRIMES.push(n);
}
const INITIAL = Int32Array.from(PRIMES.slice(0, 8), (prime) => fraction(prime, 2n));
const ROUND = Int32Array.from(PRIMES, (prime) => fraction(prime, 3n));

// 2³² × the fractional part of a root, exactly: the integer root of the prime
// times a power of 2, by halving.
function fraction(prime, degree) {
    const square = BigInt(prime) << (32n * degree);
    let [low, high] = [0n, BigInt(prime) << 32n];
    while (high - low > 1n) {
        const middle = (low + high) >> 1n;
        if (middle ** degree <= square) low = middle;
        else high = middle;
    }
    return Number(BigInt.asUintN(32, low));
}

// The UTF-8 bytes of a text, with room after them for what SHA-256 appends.
function padded(text) {
    const bytes = [];
    for (const letter of text) {
        const code = letter.codePointAt(0);
        if (code < 0x80) {
            bytes.push(code);
        } else if (code < 0x800) {
            bytes.push(0xc0 | (code >> 6), 0x80 | (code & 63));
        } else if (code < 0x10000) {
            bytes.push(0xe0 | (code >> 12), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
        } else {
            bytes.push(
                0xf0 | (code >> 18),
                0x80 | ((code >> 12) & 63),
                0x80 | ((code >> 6) & 63),
                0x80 | (code & 63),
            );
        }
    }
    const length = bytes.length;
    const blocks = Math.ceil((length + 9) / BLOCK_BYTES);
    const view = new DataView(new ArrayBuffer(blocks * BLOCK_BYTES));
    bytes.forEach((byte, place) => view.setUint8(place, byte));
    view.setUint8(length, 0x80);
    view.setUint32(view.byteLength - 8, Math.floor(length / 2 ** 29));
    view.setUint32(view.byteLength - 4, length << 3);
    return view;
}

// The SHA-256 of a text's UTF-8 bytes, in lower-case hexadecimal.
export function sha256(text) {
    const view = padded(text);
    const state = Int32Array.from(INITIAL);
    const words = new Int32Array(64);
    for (let block = 0; block < view.byteLength; block += BLOCK_BYTES) {
        for (let i = 0; i < 16; i++) words[i] = view.getInt32(block + 4 * i);
        for (let i = 16; i < 64; i++) {
            const early = words[i - 15];
            const late = words[i - 2];
            // To turn a word is a shift to either side.
            const small0 = ((early >>> 7) | (early << 25)) ^ ((early >>> 18) | (early << 14)) ^ (early >>> 3);
            const small1 = ((late >>> 17) | (late << 15)) ^ ((late >>> 19) | (late << 13)) ^ (late >>> 10);
            words[i] = words[i - 16] + small0 + words[i - 7] + small1;
        }
        let [a, b, c, d, e, f, g, h] = state;
        for (let i = 0; i < 64; i++) {
            const large1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
            const first = (h + large1 + (g ^ (e & (f ^ g))) + ROUND[i] + words[i]) | 0;
            const large0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
            const second = large0 + ((a & b) | (c & (a | b)));
            h = g;
            g = f;
            f = e;
            e = (d + first) | 0;
            d = c;
            c = b;
            b = a;
            a = (first + second) | 0;
        }
        [a, b, c, d, e, f, g, h].forEach((word, i) => (state[i] += word));
    }
    return Array.from(state, (word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
}
