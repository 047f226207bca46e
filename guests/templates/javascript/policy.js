// An order becomes a row, with the address replaced by its SHA-256: equal
// addresses stay equal, so that they can still be counted and joined.

import { sha256 } from "./sha256.js";

const FIELDS = ["order", "email", "country"];
const SENSITIVE = ["email"];

const MS_PER_DAY = 24 * 60 * 60 * 1000;
const DAY_MAX = 2 ** 31 - 1;
// Some thousand levels are the end of the stack of `JSON.parse`: a fault, and no
// exception.
const DEPTH_MAX = 128;

// The message is rejected, for a reason and, where one is at fault, a field.
class Rejected extends Error {
    constructor(reason, field) {
        super(reason);
        this.rejection = { reason, field: field ? FIELDS.indexOf(field) : null };
    }
}

// What the component exports. It takes no parameters.
export const policy = {
    describe() {
        return {
            name: "{{name}}",
            version: "0.1.0",
            columns: [
                { name: "order_id", type: "text", nullable: false },
                { name: "masked_email", type: "text", nullable: false },
                { name: "country", type: "text", nullable: true },
                { name: "placed_on", type: "date", nullable: false },
            ],
            fields: FIELDS.map((name) => ({
                pointer: `/${name}`,
                sensitive: SENSITIVE.includes(name),
            })),
            parameters: [],
        };
    },

    configure(_arguments) {},

    transform(messages) {
        return messages.map(outcome);
    },
};

function outcome(message) {
    try {
        return { tag: "rows", val: [row(message)] };
    } catch (error) {
        if (error instanceof Rejected) return { tag: "reject", val: error.rejection };
        throw error;
    }
}

// The row of an order, its values in the order of the columns.
function row(message) {
    if (depth(message.body) > DEPTH_MAX) throw new Rejected("malformed");
    let body;
    try {
        body = JSON.parse(message.body);
    } catch {
        throw new Rejected("malformed");
    }
    if (body === null || typeof body !== "object" || Array.isArray(body)) {
        throw new Rejected("unsupported");
    }
    const order = required(body, "order");
    const email = required(body, "email");
    const country = text(body, "country");
    const days = Math.floor(Number(message.sentMs) / MS_PER_DAY);
    if (days > DAY_MAX) throw new Rejected("out-of-range");
    return [
        { tag: "text", val: order },
        { tag: "text", val: sha256(email) },
        country === null ? { tag: "null" } : { tag: "text", val: country },
        { tag: "date", val: days },
    ];
}

// How deep objects and arrays lie within each other.
function depth(json) {
    let [open, deepest, quoted] = [0, 0, false];
    for (let i = 0; i < json.length; i++) {
        const letter = json[i];
        if (letter === '"') quoted = !quoted;
        else if (quoted && letter === "\\") i++;
        else if (quoted) continue;
        else if (letter === "{" || letter === "[") deepest = Math.max(deepest, ++open);
        else if (letter === "}" || letter === "]") open--;
    }
    return deepest;
}

// A text that must be there.
function required(body, name) {
    const value = text(body, name);
    if (value === null) throw new Rejected(Object.hasOwn(body, name) ? "wrong-type" : "missing", name);
    return value;
}

// A text, or null where it is null or absent.
function text(body, name) {
    const value = Object.hasOwn(body, name) ? body[name] : null;
    if (value === null) return null;
    if (typeof value !== "string") throw new Rejected("wrong-type", name);
    // PostgreSQL stores no U+0000, and half a surrogate pair is no text.
    if (value.includes("\0") || !value.isWellFormed()) throw new Rejected("invalid", name);
    return value;
}
