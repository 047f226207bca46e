// What a policy says and gives, in memory that the component's caller frees.

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "bindings/transform.h"

// The generated names, shortened.
#define T(name) exports_etl_transform_policy_##name##_t
#define CASE(name) EXPORTS_ETL_TRANSFORM_POLICY_##name

// `build.sh` adds the component's type, which the generated code would otherwise
// want linked.
void __component_type_object_force_link_transform(void) {}

// A rejection of the message as a whole.
#define NO_FIELD (-1)

typedef struct {
    const char *name;
    T(value_type) type;
    bool nullable;
} column_t;

typedef struct {
    const char *name;
    bool sensitive;
} field_t;

static void *room(size_t count, size_t size) {
    void *found = calloc(count ? count : 1, size);
    if (!found) abort();
    return found;
}

static transform_string_t copied(const void *bytes, size_t len) {
    transform_string_t text = {room(len, 1), len};
    if (len) memcpy(text.ptr, bytes, len);
    return text;
}

// The description of a policy without parameters, whose fields are members of
// the body.
static T(description) described(const char *name, const char *version, const column_t *columns,
                                size_t column_count, const field_t *fields, size_t field_count) {
    T(description) description = {
        .name = copied(name, strlen(name)),
        .version = copied(version, strlen(version)),
        .columns = {room(column_count, sizeof(T(column))), column_count},
        .fields = {room(field_count, sizeof(T(field))), field_count},
    };
    for (size_t i = 0; i < column_count; i++)
        description.columns.ptr[i] =
            (T(column)){copied(columns[i].name, strlen(columns[i].name)), columns[i].type,
                        columns[i].nullable};
    for (size_t i = 0; i < field_count; i++) {
        size_t len = strlen(fields[i].name);
        transform_string_t pointer = {room(len + 1, 1), len + 1};
        pointer.ptr[0] = '/';
        memcpy(pointer.ptr + 1, fields[i].name, len);
        description.fields.ptr[i] = (T(field)){pointer, fields[i].sensitive};
    }
    return description;
}

// One row out of its values.
static T(outcome) one_row(const T(value) *values, size_t count) {
    T(value) *kept = room(count, sizeof *values);
    memcpy(kept, values, count * sizeof *values);
    T(row) *row = room(1, sizeof *row);
    *row = (T(row)){kept, count};
    T(outcome) outcome = {.tag = CASE(OUTCOME_ROWS)};
    outcome.val.rows.ptr = row;
    outcome.val.rows.len = 1;
    return outcome;
}

static T(outcome) rejected(T(reason) reason, int field) {
    T(outcome) outcome = {.tag = CASE(OUTCOME_REJECT)};
    outcome.val.reject.reason = reason;
    outcome.val.reject.field.is_some = field != NO_FIELD;
    outcome.val.reject.field.val = field;
    return outcome;
}

static T(value) text_value(const void *bytes, size_t len) {
    T(value) value = {.tag = CASE(VALUE_TEXT)};
    value.val.text = copied(bytes, len);
    return value;
}
