// The policy of `sha256_mask`, in JavaScript: the same rows, and the same
// rejections.
//
// It is built as a project of `etl-host new --lang javascript` whose `policy.js`
// it replaces. `JSON.parse` does not tell a member that is given twice and is
// recursive, so the body is read token by token.

import { sha256 } from "./sha256.js";

// In the order in which they are judged: the first one at fault is named.
const FIELDS = ["user_id", "app_version", "device_type", "ip", "device_id", "locale"];
const SENSITIVE = ["ip", "device_id"];

const COLUMNS = [
    { name: "user_id", type: "text", nullable: false },
    { name: "device_type", type: "text", nullable: false },
    { name: "masked_ip", type: "text", nullable: false },
    { name: "masked_device_id", type: "text", nullable: false },
    { name: "locale", type: "text", nullable: true },
    { name: "app_version", type: "integer", nullable: false },
    { name: "create_date", type: "date", nullable: false },
];

const MS_PER_DAY = 24 * 60 * 60 * 1000;
const INT_MAX = 2 ** 31 - 1;
const MINOR_AND_PATCH_MAX = 999;

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
            name: "sha256_mask",
            version: "0.1.0",
            columns: COLUMNS,
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

// The row of a login, its values in the order of the columns.
function row(message) {
    const login = members(message.body);
    if (login.size === 0) throw new Rejected("unsupported");
    const userId = storable(login, "user_id");
    const appVersion = version(required(login, "app_version"));
    const deviceType = storable(login, "device_type");
    const ip = required(login, "ip");
    const deviceId = required(login, "device_id");
    const locale = (login.get("locale") ?? null) === null ? null : storable(login, "locale");
    const createDate = Math.floor(Number(message.sentMs) / MS_PER_DAY);
    if (createDate > INT_MAX) throw new Rejected("out-of-range");
    return [
        { tag: "text", val: userId },
        { tag: "text", val: deviceType },
        { tag: "text", val: sha256(ip) },
        { tag: "text", val: sha256(deviceId) },
        locale === null ? { tag: "null" } : { tag: "text", val: locale },
        { tag: "integer", val: appVersion },
        { tag: "date", val: createDate },
    ];
}

// The text of a member that must be there.
function required(login, name) {
    if (!login.has(name)) throw new Rejected("missing", name);
    const value = login.get(name);
    if (typeof value !== "string") throw new Rejected("wrong-type", name);
    return value;
}

// A text that PostgreSQL can store, which has no U+0000.
function storable(login, name) {
    const text = required(login, name);
    if (text.includes("\0")) throw new Rejected("invalid", name);
    return text;
}

// major × 1,000,000 + minor × 1,000 + patch; missing parts are 0.
function version(text) {
    const parts = text.split(".");
    if (parts.length > 3 || !parts.every((part) => /^[0-9]+$/.test(part))) {
        throw new Rejected("invalid", "app_version");
    }
    // Too many digits for a number are too many for the column.
    const [major, minor = 0, patch = 0] = parts.map(Number);
    const number = 1_000_000 * major + 1_000 * minor + patch;
    if (Math.max(minor, patch) > MINOR_AND_PATCH_MAX || number > INT_MAX) {
        throw new Rejected("out-of-range", "app_version");
    }
    return number;
}

const SPACE = /[ \t\n\r]*/y;
const PLAIN = /[^"\\\x00-\x1f]*/y;
const ESCAPE = /\\(?:["\\\/bfnrt]|u[0-9A-Fa-f]{4})/y;
const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
const WORD = /true|false|null/y;

// Where a pattern ends that stands at a place, or -1.
function end(pattern, body, place) {
    pattern.lastIndex = place;
    return pattern.test(body) ? pattern.lastIndex : -1;
}

// The place after white space. Mostly there is none, which costs no pattern.
function afterSpace(body, place) {
    return body.charCodeAt(place) > 0x20 ? place : end(SPACE, body, place);
}

// Where a text ends that begins at a place, or -1. It may have a million
// escapes: no pattern looks at all of them at once.
function endOfText(body, place) {
    for (place = end(PLAIN, body, place + 1); body[place] === "\\"; place = end(PLAIN, body, place)) {
        place = end(ESCAPE, body, place);
        if (place < 0) return -1;
    }
    return body[place] === '"' ? place + 1 : -1;
}

// What a member holds that is neither a text nor null.
const OTHER = Symbol("other");

// The members of a login that the body's object has, each once.
function members(body) {
    const found = new Map();
    // What is open: the bracket that closes each.
    const closing = [];
    // The member that is being read.
    let member = null;
    // What the place asks for: a value, a name, a colon, a comma; or the end.
    let asked = "value";
    // Whether what is open may end here.
    let mayEnd = false;
    let place = afterSpace(body, 0);
    for (; place < body.length; place = afterSpace(body, place)) {
        const letter = body[place];
        const depth = closing.length;
        if (mayEnd && letter === closing[depth - 1]) {
            closing.pop();
            place += 1;
        } else if (asked === "comma" && letter === ",") {
            asked = closing[depth - 1] === "}" ? "name" : "value";
            mayEnd = false;
            place += 1;
            continue;
        } else if (asked === "colon" && letter === ":") {
            asked = "value";
            place += 1;
            continue;
        } else if (asked === "name" && letter === '"') {
            const from = place;
            place = sure(endOfText(body, place));
            // Whatever it belongs to, a name outside them is only skipped.
            if (depth === 1) {
                const name = textOf(body.slice(from, place));
                member = FIELDS.includes(name) ? name : null;
                if (found.has(member)) throw new Rejected("malformed");
            } else if (depth === 2 && member !== null) {
                textOf(body.slice(from, place));
            }
            asked = "colon";
            mayEnd = false;
            continue;
        } else if (asked === "value" && (letter === "{" || letter === "[")) {
            if (member !== null && depth === 1) found.set(member, OTHER);
            closing.push(letter === "{" ? "}" : "]");
            asked = letter === "{" ? "name" : "value";
            mayEnd = true;
            place += 1;
            continue;
        } else if (asked === "value") {
            const from = place;
            place = sure(endOfScalar(body, place));
            // What is read and not skipped: the body itself, and a member.
            if (depth === 0) valueOf(body.slice(from, place));
            if (depth === 1 && member !== null) found.set(member, valueOf(body.slice(from, place)));
        } else {
            throw new Rejected("malformed");
        }
        mayEnd = closing.length > 0;
        asked = mayEnd ? "comma" : "end";
    }
    if (asked !== "end") throw new Rejected("malformed");
    return found;
}

function sure(place) {
    if (place < 0) throw new Rejected("malformed");
    return place;
}

function endOfScalar(body, place) {
    if (body[place] === '"') return endOfText(body, place);
    return Math.max(end(NUMBER, body, place), end(WORD, body, place));
}

// A scalar, as far as it matters.
function valueOf(word) {
    if (word[0] === '"') return textOf(word);
    if (word === "null") return null;
    if (word !== "true" && word !== "false" && !Number.isFinite(Number(word))) {
        throw new Rejected("malformed");
    }
    return OTHER;
}

// A text without its escapes, of which half a surrogate pair is none.
function textOf(word) {
    if (!word.includes("\\")) return word.slice(1, -1);
    const text = JSON.parse(word);
    if (!text.isWellFormed()) throw new Rejected("malformed");
    return text;
}
