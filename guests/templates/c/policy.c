// An order becomes a row, with the address replaced by its SHA-256: equal
// addresses stay equal, so that they can still be counted and joined.

#include "component.h"
#include "json.h"
#include "sha256.h"

enum { ORDER, EMAIL, COUNTRY, FIELDS };

static const field_t FIELD[FIELDS] = {
    [ORDER] = {"order", false}, [EMAIL] = {"email", true}, [COUNTRY] = {"country", false}};

static const column_t COLUMN[] = {{"order_id", CASE(VALUE_TYPE_TEXT), false},
                                  {"masked_email", CASE(VALUE_TYPE_TEXT), false},
                                  {"country", CASE(VALUE_TYPE_TEXT), true},
                                  {"placed_on", CASE(VALUE_TYPE_DATE), false}};

#define COLUMNS (sizeof COLUMN / sizeof *COLUMN)
#define MS_PER_DAY (24 * 60 * 60 * 1000ull)

void exports_etl_transform_policy_describe(T(description) *ret) {
    *ret = described("{{name}}", "0.1.0", COLUMN, COLUMNS, FIELD, FIELDS);
}

// It takes no parameters.
bool exports_etl_transform_policy_configure(T(list_argument) *arguments, T(refusal) *err) {
    (void)arguments, (void)err;
    return true;
}

// The row of an order, its values in the order of the columns.
static T(outcome) outcome(const T(message) *message) {
    const char *names[FIELDS];
    member_t members[FIELDS];
    for (int i = 0; i < FIELDS; i++) names[i] = FIELD[i].name;
    text_t body = {message->body.ptr, message->body.len};
    switch (json_members(body, names, FIELDS, members)) {
    case MALFORMED: return rejected(CASE(REASON_MALFORMED), NO_FIELD);
    case NO_OBJECT: return rejected(CASE(REASON_UNSUPPORTED), NO_FIELD);
    case OBJECT: break;
    }
    for (int i = 0; i < FIELDS; i++) {
        text_t text = members[i].text;
        bool null = members[i].kind == ABSENT || members[i].kind == JSON_NULL;
        if (i == COUNTRY && null) continue;
        if (members[i].kind == ABSENT) return rejected(CASE(REASON_MISSING), i);
        if (members[i].kind != JSON_TEXT) return rejected(CASE(REASON_WRONG_TYPE), i);
        // PostgreSQL stores no U+0000.
        if (memchr(text.bytes, 0, text.len)) return rejected(CASE(REASON_INVALID), i);
    }
    uint64_t days = message->sent_ms / MS_PER_DAY;
    if (days > INT32_MAX) return rejected(CASE(REASON_OUT_OF_RANGE), NO_FIELD);

    uint8_t masked[SHA256_HEX];
    sha256_hex(members[EMAIL].text.bytes, members[EMAIL].text.len, masked);
    T(value) country = {.tag = CASE(VALUE_NULL)}, placed_on = {.tag = CASE(VALUE_DATE)};
    if (members[COUNTRY].kind == JSON_TEXT)
        country = text_value(members[COUNTRY].text.bytes, members[COUNTRY].text.len);
    placed_on.val.date = (int32_t)days;
    T(value) values[COLUMNS] = {
        text_value(members[ORDER].text.bytes, members[ORDER].text.len),
        text_value(masked, SHA256_HEX), country, placed_on};
    return one_row(values, COLUMNS);
}

// What is read is not freed: an instance lives for one batch.
void exports_etl_transform_policy_transform(T(list_message) *messages, T(list_outcome) *ret) {
    *ret = (T(list_outcome)){room(messages->len, sizeof(T(outcome))), messages->len};
    for (size_t i = 0; i < messages->len; i++) ret->ptr[i] = outcome(&messages->ptr[i]);
}
