// The policy of `sha256_mask`, in C: the same rows, and the same rejections. It
// is built as a project of `etl-host new --lang c` whose `policy.c` it replaces.

#include "component.h"
#include "json.h"
#include "sha256.h"

// In the order in which they are judged: the first one at fault is named.
enum { USER_ID, APP_VERSION, DEVICE_TYPE, IP, DEVICE_ID, LOCALE, FIELDS };

static const field_t FIELD[FIELDS] = {
    [USER_ID] = {"user_id", false},         [APP_VERSION] = {"app_version", false},
    [DEVICE_TYPE] = {"device_type", false}, [IP] = {"ip", true},
    [DEVICE_ID] = {"device_id", true},      [LOCALE] = {"locale", false}};

static const column_t COLUMN[] = {{"user_id", CASE(VALUE_TYPE_TEXT), false},
                                  {"device_type", CASE(VALUE_TYPE_TEXT), false},
                                  {"masked_ip", CASE(VALUE_TYPE_TEXT), false},
                                  {"masked_device_id", CASE(VALUE_TYPE_TEXT), false},
                                  {"locale", CASE(VALUE_TYPE_TEXT), true},
                                  {"app_version", CASE(VALUE_TYPE_INTEGER), false},
                                  {"create_date", CASE(VALUE_TYPE_DATE), false}};

#define COLUMNS (sizeof COLUMN / sizeof *COLUMN)
#define MS_PER_DAY (24 * 60 * 60 * 1000ull)
#define MINOR_AND_PATCH_MAX 999
// More than any part of a version may be, and what one of many digits is read as.
#define TOO_MUCH 1000000ull

void exports_etl_transform_policy_describe(T(description) *ret) {
    *ret = described("sha256_mask", "0.1.0", COLUMN, COLUMNS, FIELD, FIELDS);
}

// It takes no parameters.
bool exports_etl_transform_policy_configure(T(list_argument) *arguments, T(refusal) *err) {
    (void)arguments, (void)err;
    return true;
}

typedef enum { GOOD, INVALID, OUT_OF_RANGE } judged_t;

// major × 1,000,000 + minor × 1,000 + patch; missing parts are 0.
static judged_t version(text_t text, uint64_t *number) {
    uint64_t parts[3] = {0};
    size_t part = 0, digits = 0;
    for (size_t i = 0; i <= text.len; i++) {
        uint8_t letter = i < text.len ? text.bytes[i] : '.';
        if (letter == '.') {
            if (!digits) return INVALID;
            part++;
            digits = 0;
        } else if (letter < '0' || letter > '9' || part == 3) {
            return INVALID;
        } else {
            parts[part] = 10 * parts[part] + (letter - '0');
            if (parts[part] > TOO_MUCH) parts[part] = TOO_MUCH;
            digits++;
        }
    }
    if (part > 3) return INVALID;
    *number = 1000000 * parts[0] + 1000 * parts[1] + parts[2];
    bool fits = parts[1] <= MINOR_AND_PATCH_MAX && parts[2] <= MINOR_AND_PATCH_MAX;
    return fits && *number <= INT32_MAX ? GOOD : OUT_OF_RANGE;
}

static T(value) of_text(text_t text) { return text_value(text.bytes, text.len); }

static T(value) hashed(text_t text) {
    uint8_t hex[SHA256_HEX];
    sha256_hex(text.bytes, text.len, hex);
    return text_value(hex, SHA256_HEX);
}

// The row of a login, its values in the order of the columns.
static T(outcome) outcome(const T(message) *message) {
    const char *names[FIELDS];
    member_t login[FIELDS];
    for (int i = 0; i < FIELDS; i++) names[i] = FIELD[i].name;
    text_t body = {message->body.ptr, message->body.len};
    switch (json_members(body, names, FIELDS, login)) {
    case MALFORMED: return rejected(CASE(REASON_MALFORMED), NO_FIELD);
    case NO_OBJECT: return rejected(CASE(REASON_UNSUPPORTED), NO_FIELD);
    case OBJECT: break;
    }
    bool any = false;
    for (int i = 0; i < FIELDS; i++) any |= login[i].kind != ABSENT;
    if (!any) return rejected(CASE(REASON_UNSUPPORTED), NO_FIELD);

    uint64_t number = 0;
    for (int i = 0; i < FIELDS; i++) {
        text_t text = login[i].text;
        if (i == LOCALE && (login[i].kind == ABSENT || login[i].kind == JSON_NULL)) continue;
        if (login[i].kind == ABSENT) return rejected(CASE(REASON_MISSING), i);
        if (login[i].kind != JSON_TEXT) return rejected(CASE(REASON_WRONG_TYPE), i);
        // PostgreSQL stores no U+0000; what is only hashed may hold it.
        bool storable = i == IP || i == DEVICE_ID || !memchr(text.bytes, 0, text.len);
        judged_t judged = i == APP_VERSION ? version(text, &number) : GOOD;
        if (!storable || judged == INVALID) return rejected(CASE(REASON_INVALID), i);
        if (judged == OUT_OF_RANGE) return rejected(CASE(REASON_OUT_OF_RANGE), i);
    }
    uint64_t days = message->sent_ms / MS_PER_DAY;
    if (days > INT32_MAX) return rejected(CASE(REASON_OUT_OF_RANGE), NO_FIELD);

    T(value) locale = {.tag = CASE(VALUE_NULL)}, app_version = {.tag = CASE(VALUE_INTEGER)},
             create_date = {.tag = CASE(VALUE_DATE)};
    if (login[LOCALE].kind == JSON_TEXT) locale = of_text(login[LOCALE].text);
    app_version.val.integer = (int64_t)number;
    create_date.val.date = (int32_t)days;
    T(value) values[COLUMNS] = {of_text(login[USER_ID].text), of_text(login[DEVICE_TYPE].text),
                                hashed(login[IP].text),       hashed(login[DEVICE_ID].text),
                                locale,                       app_version,
                                create_date};
    return one_row(values, COLUMNS);
}

// What is read is not freed: an instance lives for one batch.
void exports_etl_transform_policy_transform(T(list_message) *messages, T(list_outcome) *ret) {
    *ret = (T(list_outcome)){room(messages->len, sizeof(T(outcome))), messages->len};
    for (size_t i = 0; i < messages->len; i++) ret->ptr[i] = outcome(&messages->ptr[i]);
}
