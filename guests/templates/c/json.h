// Members of a JSON object, read without recursion: a body may nest as deep as
// it likes. A member that is asked for and given twice makes the body malformed;
// what is not asked for is skipped.

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    const uint8_t *bytes;
    size_t len;
} text_t;

// What a member holds, as far as it matters.
typedef enum { ABSENT, JSON_NULL, JSON_TEXT, JSON_OTHER } member_kind_t;

typedef struct {
    member_kind_t kind;
    text_t text;
} member_t;

typedef enum { OBJECT, NO_OBJECT, MALFORMED } body_t;

// What a place in the text asks for.
typedef enum { VALUE, NAME, COLON, COMMA, END } asked_t;

typedef struct {
    text_t body;
    size_t at;
    // What is open: the bracket that closes each.
    uint8_t *closing;
    size_t depth, room;
} json_t;

static uint8_t json_letter(const json_t *json) {
    return json->at < json->body.len ? json->body.bytes[json->at] : 0;
}

static void json_open(json_t *json, uint8_t bracket) {
    if (json->depth == json->room) {
        json->room = json->room ? 2 * json->room : 64;
        json->closing = realloc(json->closing, json->room);
        if (!json->closing) abort();
    }
    json->closing[json->depth++] = bracket == '{' ? '}' : ']';
}

static int json_hex(uint8_t letter) {
    if (letter >= '0' && letter <= '9') return letter - '0';
    letter |= 0x20;
    return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
}

// The number of four hexadecimal digits, or -1.
static long json_hex4(const uint8_t *digits) {
    long number = 0;
    for (int i = 0; i < 4; i++) {
        int digit = json_hex(digits[i]);
        if (digit < 0) return -1;
        number = 16 * number + digit;
    }
    return number;
}

// Passes a text, with its quotes. False where it is none.
static bool json_pass_text(json_t *json) {
    const uint8_t *bytes = json->body.bytes;
    for (json->at++; json->at < json->body.len; json->at++) {
        uint8_t letter = bytes[json->at];
        if (letter == '"') {
            json->at++;
            return true;
        }
        if (letter < 0x20) return false;
        if (letter != '\\') continue;
        json->at++;
        letter = json_letter(json);
        if (letter == 'u') {
            if (json->body.len - json->at <= 4 || json_hex4(bytes + json->at + 1) < 0) return false;
            json->at += 4;
        } else if (!letter || !strchr("\"\\/bfnrt", letter)) {
            return false;
        }
    }
    return false;
}

static size_t json_pass_digits(json_t *json) {
    size_t from = json->at;
    while (json_letter(json) >= '0' && json_letter(json) <= '9') json->at++;
    return json->at - from;
}

static bool json_pass_number(json_t *json) {
    if (json_letter(json) == '-') json->at++;
    bool zero = json_letter(json) == '0';
    size_t digits = json_pass_digits(json);
    if (!digits || (zero && digits > 1)) return false;
    if (json_letter(json) == '.') {
        json->at++;
        if (!json_pass_digits(json)) return false;
    }
    if ((json_letter(json) | 0x20) == 'e') {
        json->at++;
        if (json_letter(json) == '+' || json_letter(json) == '-') json->at++;
        if (!json_pass_digits(json)) return false;
    }
    return true;
}

static bool json_pass_scalar(json_t *json) {
    static const char *const words[] = {"null", "true", "false"};
    if (json_letter(json) == '"') return json_pass_text(json);
    for (int i = 0; i < 3; i++) {
        size_t len = strlen(words[i]);
        if (json->body.len - json->at >= len &&
            !memcmp(json->body.bytes + json->at, words[i], len)) {
            json->at += len;
            return true;
        }
    }
    return json_pass_number(json);
}

static size_t json_utf8(uint8_t *to, unsigned long code) {
    if (code < 0x80) return to[0] = code, 1;
    if (code < 0x800) return to[0] = 0xc0 | code >> 6, to[1] = 0x80 | (code & 63), 2;
    if (code < 0x10000) {
        to[0] = 0xe0 | code >> 12;
        to[1] = 0x80 | (code >> 6 & 63);
        return to[2] = 0x80 | (code & 63), 3;
    }
    to[0] = 0xf0 | code >> 18;
    to[1] = 0x80 | (code >> 12 & 63);
    to[2] = 0x80 | (code >> 6 & 63);
    return to[3] = 0x80 | (code & 63), 4;
}

// The text between quotes without its escapes. False for half a surrogate pair.
static bool json_unescape(const uint8_t *bytes, size_t len, text_t *text) {
    *text = (text_t){bytes, len};
    if (!memchr(bytes, '\\', len)) return true;
    // No escape is shorter than what it stands for.
    uint8_t *to = malloc(len);
    if (!to) abort();
    text->bytes = to;
    for (const uint8_t *end = bytes + len; bytes < end; bytes++) {
        if (*bytes != '\\') {
            *to++ = *bytes;
            continue;
        }
        static const char letters[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
        if (*++bytes != 'u') {
            *to++ = meant[strchr(letters, *bytes) - letters];
            continue;
        }
        unsigned long code = json_hex4(bytes + 1);
        bytes += 4;
        if (code >= 0xdc00 && code < 0xe000) return false;
        if (code >= 0xd800 && code < 0xdc00) {
            if (end - bytes < 7 || bytes[1] != '\\' || bytes[2] != 'u') return false;
            unsigned long low = json_hex4(bytes + 3);
            if (low < 0xdc00 || low >= 0xe000) return false;
            code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
            bytes += 6;
        }
        to += json_utf8(to, code);
    }
    text->len = to - text->bytes;
    return true;
}

// Reads a scalar that is passed already. False where it is beyond what can be
// read: half a surrogate pair, or a number that is no float.
static bool json_scalar(const uint8_t *bytes, size_t len, member_t *member) {
    if (*bytes == '"') {
        member->kind = JSON_TEXT;
        return json_unescape(bytes + 1, len - 2, &member->text);
    }
    member->kind = *bytes == 'n' ? JSON_NULL : JSON_OTHER;
    if (*bytes == 'n' || *bytes == 't' || *bytes == 'f') return true;
    char *number = malloc(len + 1);
    if (!number) abort();
    memcpy(number, bytes, len);
    number[len] = 0;
    bool finite = isfinite(strtod(number, NULL));
    free(number);
    return finite;
}

// The members of these names that the body's object has.
static body_t json_members(text_t body, const char *const *names, size_t count,
                           member_t *members) {
    json_t json = {body, 0, NULL, 0, 0};
    asked_t asked = VALUE;
    // Whether what is open may end here.
    bool may_end = false, object = false;
    // The member that is being read.
    member_t *member = NULL;
    memset(members, 0, count * sizeof *members);
    for (;;) {
        while (json.at < body.len && strchr(" \t\n\r", body.bytes[json.at]) && body.bytes[json.at])
            json.at++;
        if (json.at == body.len) break;
        uint8_t letter = body.bytes[json.at];
        size_t from = json.at;
        if (may_end && letter == json.closing[json.depth - 1]) {
            json.depth--;
            json.at++;
        } else if (asked == COMMA && letter == ',') {
            asked = json.closing[json.depth - 1] == '}' ? NAME : VALUE;
            may_end = false;
            json.at++;
            continue;
        } else if (asked == COLON && letter == ':') {
            asked = VALUE;
            json.at++;
            continue;
        } else if (asked == NAME && letter == '"') {
            text_t name;
            if (!json_pass_text(&json)) return MALFORMED;
            // Whatever it belongs to, a name outside the members is only skipped.
            bool own = json.depth == 1, read = own || (json.depth == 2 && member);
            if (read && !json_unescape(body.bytes + from + 1, json.at - from - 2, &name))
                return MALFORMED;
            if (own) member = NULL;
            for (size_t i = 0; own && i < count; i++) {
                if (name.len != strlen(names[i]) || memcmp(name.bytes, names[i], name.len)) continue;
                member = &members[i];
                if (member->kind != ABSENT) return MALFORMED;
            }
            asked = COLON;
            may_end = false;
            continue;
        } else if (asked == VALUE && (letter == '{' || letter == '[')) {
            if (json.depth == 0) object = letter == '{';
            if (json.depth == 1 && member) member->kind = JSON_OTHER;
            json_open(&json, letter);
            asked = letter == '{' ? NAME : VALUE;
            may_end = true;
            json.at++;
            continue;
        } else if (asked == VALUE) {
            if (!json_pass_scalar(&json)) return MALFORMED;
            // What is read and not skipped: the body itself, and a member.
            member_t own, *read = json.depth == 0 ? &own : json.depth == 1 ? member : NULL;
            if (read && !json_scalar(body.bytes + from, json.at - from, read)) return MALFORMED;
        } else {
            return MALFORMED;
        }
        may_end = json.depth > 0;
        asked = may_end ? COMMA : END;
    }
    if (asked != END) return MALFORMED;
    return object ? OBJECT : NO_OBJECT;
}
